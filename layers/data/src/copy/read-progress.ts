import type { Session } from '../connection/database.ts';

export interface CopyProgress {
  readonly copied: number;
  /** An estimate made when the batch was planned. */
  readonly expected: number;
  readonly ranges: number;
  readonly rangesDone: number;
}

/** How far a batch's copy is, over all lanes. */
export const readProgress = async (session: Session, batchId: string): Promise<CopyProgress> =>
  (
    await session.query(
      `select coalesce(sum(rows_copied), 0)::float8 as copied,
              coalesce(sum(case when done_at is null then greatest(estimated_rows, rows_copied) else rows_copied end), 0)::float8 as expected,
              count(*)::int as ranges, count(done_at)::int as "rangesDone"
         from migration.chunk where batch_id = $1`,
      [batchId],
    )
  ).rows[0];

/** Rows copied so far, by source. */
export const readRowsBySource = async (
  session: Session,
  batchId: string,
): Promise<Record<string, number>> => {
  const { rows } = await session.query(
    'select source, sum(rows_copied)::float8 as copied from migration.chunk where batch_id = $1 group by source',
    [batchId],
  );
  return Object.fromEntries(rows.map(({ source, copied }) => [source, copied]));
};
