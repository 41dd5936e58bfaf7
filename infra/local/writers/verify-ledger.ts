import type { Binding, Database } from '@unified-kits/data';
import { SOURCES, type Source, type Store } from '@unified-kits/domain';
import { type ExpectedRow, foldLedger } from './fold-ledger.ts';
import type { Content, LedgerEntry } from './ledger.ts';
import { contentStatement, unifiedValue } from './written-fields.ts';

export interface LedgerVerdict {
  /** Writes that the API had confirmed. */
  readonly acknowledged: number;
  /** Of these, those that the store shows, or that a later write of the same kit has followed. */
  readonly found: number;
  readonly lost: number;
  /** Kits that are there though no write that could have made them is in the ledger, or twice. */
  readonly unexpected: number;
  /** Up to 20 kits that are not as they must be, as `source:legacy id`. */
  readonly keys: readonly string[];
}

type StoredRow = {
  readonly key: string;
  readonly number: string | null;
  readonly values: readonly (string | null)[];
};

const ROWS_PER_QUERY = 1_000;

const fetchAll = async (db: Database, text: string, wanted: readonly string[]) => {
  const rows: StoredRow[] = [];
  for (let from = 0; from < wanted.length; from += ROWS_PER_QUERY)
    rows.push(
      ...(await db.query<StoredRow>(text, [wanted.slice(from, from + ROWS_PER_QUERY)], {
        readOnly: true,
      })),
    );
  return rows;
};

const numbersOf = (rows: readonly ExpectedRow[]) => rows.flatMap(({ number }) => number ?? []);
const keysOf = (rows: readonly ExpectedRow[]) => rows.flatMap(({ key }) => key ?? []);
const fieldsOf = (rows: readonly ExpectedRow[]): readonly string[] => [
  ...new Set(rows.flatMap(({ possible }) => possible.flatMap((one) => Object.keys(one ?? {})))),
];

const judge = (
  expected: ExpectedRow,
  stored: readonly Content[],
): 'right' | 'lost' | 'unexpected' => {
  const [row, second] = stored;
  if (second !== undefined) return 'unexpected';
  if (row === undefined) return expected.possible.includes(null) ? 'right' : 'lost';
  const matches = expected.possible.some(
    (one) => one !== null && Object.entries(one).every(([name, value]) => row[name] === value),
  );
  if (matches) return 'right';
  return expected.acknowledged === 0 ? 'unexpected' : 'lost';
};

/**
 * Looks up every kit that the ledger speaks of in the authoritative store: it must be there exactly once
 * with what its acknowledged writes have left (or a later one of which nobody knows). A kit that is not so
 * counts one lost write: an earlier one of the same kit cannot be told from one that was overwritten as it
 * should be.
 *
 * Run it when no writer writes.
 */
export const verifyLedger = async (
  db: Database,
  binding: Binding,
  entries: readonly LedgerEntry[],
  store: Store,
): Promise<LedgerVerdict> => {
  const rows = [...foldLedger(entries).values()];
  const acknowledged = entries.filter(({ outcome }) => outcome?.result === 'ok').length;
  let lost = 0;
  let unexpected = 0;
  const keys: string[] = [];
  for (const source of SOURCES) {
    const mine = rows.filter((row) => row.source === source);
    const fields = fieldsOf(mine);
    const bound = binding.sources[source];
    const content = ({ values }: StoredRow): Content =>
      Object.fromEntries(
        fields.flatMap((name, index) => {
          const value = unifiedValue(bound, store, name, values[index] ?? null);
          return value === null ? [] : [[name, value]];
        }),
      );
    const statement = (by: 'key' | 'number') =>
      contentStatement(binding, source, store, fields, by);
    const byKey = Map.groupBy(await fetchAll(db, statement('key'), keysOf(mine)), ({ key }) => key);
    const byNumber = Map.groupBy(
      await fetchAll(db, statement('number'), numbersOf(mine)),
      ({ number }) => number,
    );
    for (const row of mine) {
      // A new kit is looked up by its number: that finds it also where it is there twice.
      const stored = row.number === undefined ? byKey.get(row.key ?? '') : byNumber.get(row.number);
      const verdict = judge(row, (stored ?? []).map(content));
      if (verdict === 'right') continue;
      if (verdict === 'lost') lost += 1;
      else unexpected += 1;
      keys.push(`${source}:${row.key ?? 'new'}`);
    }
  }
  return { acknowledged, found: acknowledged - lost, lost, unexpected, keys: keys.slice(0, 20) };
};

/**
 * The legacy ids of every kit that the writers may have written, by source. A new one that a kill left
 * without an answer has none in the ledger: it is looked up by its number.
 */
export const touchedKeys = async (
  db: Database,
  binding: Binding,
  entries: readonly LedgerEntry[],
): Promise<Record<Source, readonly string[]>> => {
  const rows = [...foldLedger(entries).values()];
  const ofSource = async (source: Source): Promise<readonly string[]> => {
    const mine = rows.filter((row) => row.source === source);
    const unanswered = numbersOf(mine.filter(({ key }) => key === undefined));
    const statement = contentStatement(binding, source, 'legacy', [], 'number');
    return [...keysOf(mine), ...(await fetchAll(db, statement, unanswered)).map(({ key }) => key)];
  };
  return { kit: await ofSource('kit'), practitioner_kits: await ofSource('practitioner_kits') };
};
