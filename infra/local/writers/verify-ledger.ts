import type { Database } from '@unified-kits/data';
import { SOURCES, type Source, type Store } from '@unified-kits/domain';
import { type ExpectedRow, foldLedger, type Possible } from './fold-ledger.ts';
import type { LedgerEntry } from './ledger.ts';
import { statusIn, storeStatements } from './statements.ts';
import type { WriteShape } from './write-shape.ts';

export interface LedgerVerdict {
  /** Writes that the store had confirmed. */
  readonly acknowledged: number;
  /** Of these, those that the store shows, or that a later write of the same row has followed. */
  readonly found: number;
  readonly lost: number;
  /** Rows that are there though no write that could have made them is in the ledger, or twice. */
  readonly unexpected: number;
  /** Up to 20 rows that are not as they must be, as `source:legacy id`. */
  readonly keys: readonly string[];
}

interface StoredRow {
  readonly key: string;
  readonly token: string | null;
  readonly status: string | null;
  readonly number: string | null;
}

const ROWS_PER_QUERY = 1_000;

const fetchAll = async (db: Database, text: string, wanted: readonly string[]) => {
  const rows: StoredRow[] = [];
  for (let from = 0; from < wanted.length; from += ROWS_PER_QUERY)
    rows.push(
      ...(await db.query<StoredRow & Record<string, unknown>>(
        text,
        [wanted.slice(from, from + ROWS_PER_QUERY)],
        { readOnly: true },
      )),
    );
  return rows;
};

const grouped = (rows: readonly StoredRow[], name: (row: StoredRow) => string | null) =>
  Map.groupBy(rows, name);

const matches = (shape: WriteShape, store: Store, possible: Possible, row: StoredRow) =>
  possible !== null &&
  row.token === possible.token &&
  (possible.status === undefined || row.status === statusIn(shape, store, possible.status));

const judge = (
  shape: WriteShape,
  store: Store,
  expected: ExpectedRow,
  stored: readonly StoredRow[],
): 'right' | 'lost' | 'unexpected' => {
  const [row, second] = stored;
  if (second !== undefined) return 'unexpected';
  if (row === undefined) return expected.possible.includes(null) ? 'right' : 'lost';
  if (expected.possible.some((possible) => matches(shape, store, possible, row))) return 'right';
  return expected.acknowledged === 0 ? 'unexpected' : 'lost';
};

/**
 * Looks up every row that the ledger speaks of in the authoritative store: it must be there exactly
 * once with the content of its last acknowledged write (or of a later one whose outcome nobody knows),
 * or be gone where that was a delete. A row that is not so counts one lost write: an earlier one of the
 * same row cannot be told from one that was overwritten as it should be.
 *
 * Run it when no writer writes.
 */
export const verifyLedger = async (
  db: Database,
  shapes: Readonly<Record<Source, WriteShape | undefined>>,
  entries: readonly LedgerEntry[],
  store: Store,
): Promise<LedgerVerdict> => {
  const rows = [...foldLedger(entries).values()].filter(({ possible }) => possible.length > 0);
  const acknowledged = entries.filter(({ outcome }) => outcome?.result === 'ok').length;
  let lost = 0;
  let unexpected = 0;
  const keys: string[] = [];
  for (const source of SOURCES) {
    const shape = shapes[source];
    if (shape === undefined) continue;
    const { read, readByNumber } = storeStatements(shape)[store];
    const mine = rows.filter((row) => row.source === source);
    const byKey = grouped(
      await fetchAll(
        db,
        read,
        mine.flatMap(({ key }) => key ?? []),
      ),
      ({ key }) => key,
    );
    const byNumber = grouped(
      await fetchAll(
        db,
        readByNumber,
        mine.flatMap(({ number }) => number ?? []),
      ),
      ({ number }) => number,
    );
    for (const row of mine) {
      // An inserted row is looked up by its number: that finds it also where it is there twice.
      const stored = row.number === undefined ? byKey.get(row.key ?? '') : byNumber.get(row.number);
      const verdict = judge(shape, store, row, stored ?? []);
      if (verdict === 'right') continue;
      if (verdict === 'lost') lost += 1;
      else unexpected += 1;
      keys.push(`${source}:${row.key ?? 'inserted'}`);
    }
  }
  return { acknowledged, found: acknowledged - lost, lost, unexpected, keys: keys.slice(0, 20) };
};

/**
 * The legacy ids of every row that the writers may have written, by source. An insert that a kill left
 * without an answer has none in the ledger: it is looked up by its kit number.
 */
export const touchedKeys = async (
  db: Database,
  shapes: Readonly<Record<Source, WriteShape | undefined>>,
  entries: readonly LedgerEntry[],
  store: Store,
): Promise<Record<Source, readonly string[]>> => {
  const rows = [...foldLedger(entries).values()];
  const ofSource = async (source: Source): Promise<readonly string[]> => {
    const mine = rows.filter((row) => row.source === source);
    const shape = shapes[source];
    const unanswered = mine.flatMap(({ key, number }) => (key === undefined ? (number ?? []) : []));
    const found =
      shape === undefined
        ? []
        : await fetchAll(db, storeStatements(shape)[store].readByNumber, unanswered);
    return [...mine.flatMap(({ key }) => key ?? []), ...found.map(({ key }) => key)];
  };
  return { kit: await ofSource('kit'), practitioner_kits: await ofSource('practitioner_kits') };
};
