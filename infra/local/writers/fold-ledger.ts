import type { Source } from '@unified-kits/domain';
import type { Content, LedgerEntry } from './ledger.ts';

/** What a row may hold now; null: it is not there. */
export type Possible = Content | null;

/** What the ledger says of one row. */
export interface ExpectedRow {
  readonly source: Source;
  /** Undefined for an insert whose answer never came. */
  readonly key: string | undefined;
  /** Of a row that a writer inserted. */
  readonly number: string | undefined;
  /** The last acknowledged content, and that of every later write whose outcome is unknown. */
  readonly possible: readonly Possible[];
  readonly acknowledged: number;
  /** An outcome is missing: nobody may write the row again, or its content could not be told. */
  readonly doubtful: boolean;
}

const nameOf = (entry: LedgerEntry, keyOfNumber: ReadonlyMap<string, string>) => {
  const { intent, outcome } = entry;
  const key =
    intent.key ??
    outcome?.key ??
    (intent.number === null ? undefined : keyOfNumber.get(intent.number));
  return { key: key ?? undefined, name: `${intent.source}:${key ?? `number ${intent.number}`}` };
};

/**
 * What every written row must hold. An insert is known by its kit number until its key is known; a
 * write that failed changed nothing; a write without an outcome may have happened or not.
 */
export const foldLedger = (entries: readonly LedgerEntry[]): ReadonlyMap<string, ExpectedRow> => {
  const keyOfNumber = new Map<string, string>();
  for (const { intent, outcome } of entries)
    if (intent.number !== null && outcome?.key != null) keyOfNumber.set(intent.number, outcome.key);
  const rows = new Map<string, ExpectedRow>();
  for (const entry of entries) {
    const { intent, outcome } = entry;
    const { key, name } = nameOf(entry, keyOfNumber);
    const before = rows.get(name);
    const result = outcome?.result ?? 'unknown';
    const after: Possible = intent.op === 'delete' ? null : intent.content;
    const earlier = before?.possible ?? (intent.op === 'insert' ? [null] : undefined);
    if (result === 'failed' && before === undefined && intent.op !== 'insert') continue;
    const possible =
      result === 'ok'
        ? [after]
        : result === 'failed'
          ? (earlier ?? [])
          : // Nobody knows what an untouched row held: an unknown first write leaves it unjudged.
            earlier === undefined
            ? []
            : [...earlier, after];
    rows.set(name, {
      source: intent.source,
      key: key ?? before?.key,
      number: intent.number ?? before?.number,
      possible,
      acknowledged: (before?.acknowledged ?? 0) + (result === 'ok' ? 1 : 0),
      doubtful: (before?.doubtful ?? false) || result === 'unknown',
    });
  }
  return rows;
};
