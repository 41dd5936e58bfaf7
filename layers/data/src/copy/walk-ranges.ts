import type { BoundSource } from '../catalog/bind-mapping.ts';
import type { Session } from '../connection/database.ts';
import { quoteIdentifier } from '../sql/identifier.ts';

/** What a walk needs to know of a table: any of the organisation's with a unique key. */
export type KeyedTable = Pick<BoundSource, 'relation' | 'id' | 'idType'>;

/** Keys greater than `lower` up to and including `upper`; null is open. */
export interface KeyRange {
  readonly lower: string | null;
  readonly upper: string | null;
}

/** SQL of "alias.id in the range", with the bounds as parameters from `$first` on. */
export const inRange = (
  key: string,
  source: KeyedTable,
  range: KeyRange,
  first: number,
): { sql: string; values: string[] } => {
  const parts: string[] = [];
  const values: string[] = [];
  const bound = (operator: string, value: string) => {
    values.push(value);
    parts.push(`${key} ${operator} cast($${first + values.length - 1} as ${source.idType})`);
  };
  if (range.lower !== null) bound('>', range.lower);
  if (range.upper !== null) bound('<=', range.upper);
  return { sql: parts.length === 0 ? 'true' : parts.join(' and '), values };
};

/** The key `rows` rows into a range, or undefined where the range has not as many: one bounded walk of the id's index. */
export const keyAt = async (
  session: Session,
  source: KeyedTable,
  range: KeyRange,
  rows: number,
): Promise<string | undefined> => {
  const id = `s.${quoteIdentifier(source.id.name)}`;
  const { sql, values } = inRange(id, source, range, 2);
  const found = await session.query(
    `select ${id}::text as key from ${source.relation} s where ${sql} order by ${id} offset $1 limit 1`,
    [rows - 1, ...values],
  );
  return found.rows[0]?.key;
};

/**
 * Cuts a table into ranges of about `rows` rows, the first and the last open-ended, so that together
 * they cover every key there is or will be.
 */
export const walkRanges = async (
  session: Session,
  source: KeyedTable,
  rows: number,
): Promise<KeyRange[]> => {
  const ranges: KeyRange[] = [];
  let lower: string | null = null;
  for (;;) {
    const upper: string | undefined = await keyAt(session, source, { lower, upper: null }, rows);
    if (upper === undefined) break;
    ranges.push({ lower, upper });
    lower = upper;
  }
  return [...ranges, { lower, upper: null }];
};
