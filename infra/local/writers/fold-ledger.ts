import type { Source } from '@unified-kits/domain';
import type { Content, LedgerEntry } from './ledger.ts';

/** What a row may hold now, as far as the writers know; null: it is not there. */
export type Possible = Content | null;

/** What the ledger says of one row. */
export interface ExpectedRow {
  readonly source: Source;
  /** Undefined for a new kit whose answer never came. */
  readonly key: string | undefined;
  /** Of a kit that a writer made. */
  readonly number: string | undefined;
  /** What the acknowledged writes have left, with and without each later one that nobody heard of again. */
  readonly possible: readonly Possible[];
  readonly acknowledged: number;
}

const nameOf = (entry: LedgerEntry, keyOfNumber: ReadonlyMap<string, string>) => {
  const { intent, outcome } = entry;
  const number = intent.key === null ? intent.content.kitNumber : undefined;
  const key =
    intent.key ??
    outcome?.key ??
    (number === undefined ? undefined : keyOfNumber.get(number)) ??
    undefined;
  return { key, number, name: `${intent.source}:${key ?? `number ${number}`}` };
};

/** A change leaves alone what it does not name. */
const merged = (before: Possible, { content }: LedgerEntry['intent']): Possible => ({
  ...before,
  ...content,
});

/**
 * What every written row must hold. A new kit is known by its number until its key is known; a write that
 * was refused changed nothing; a write without an outcome may have happened or not.
 */
export const foldLedger = (entries: readonly LedgerEntry[]): ReadonlyMap<string, ExpectedRow> => {
  const keyOfNumber = new Map<string, string>();
  for (const { intent, outcome } of entries)
    if (intent.key === null && intent.content.kitNumber !== undefined && outcome?.key != null)
      keyOfNumber.set(intent.content.kitNumber, outcome.key);
  const rows = new Map<string, ExpectedRow>();
  for (const entry of entries) {
    const { intent, outcome } = entry;
    const { key, number, name } = nameOf(entry, keyOfNumber);
    const before = rows.get(name);
    // Of a kit that was there already nothing is known, but that it is there.
    const earlier = before?.possible ?? [intent.key === null ? null : {}];
    const after = earlier.map((one) => merged(one, intent));
    rows.set(name, {
      source: intent.source,
      key: key ?? before?.key,
      number: number ?? before?.number,
      possible:
        outcome === undefined ? [...earlier, ...after] : outcome.result === 'ok' ? after : earlier,
      acknowledged: (before?.acknowledged ?? 0) + (outcome?.result === 'ok' ? 1 : 0),
    });
  }
  return rows;
};
