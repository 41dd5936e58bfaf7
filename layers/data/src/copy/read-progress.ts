import type { Source } from '@unified-kits/domain';
import type { Session } from '../connection/database.ts';

export interface CopyProgress {
  readonly copied: number;
  /** An estimate, made when the batch was planned, for what is not copied yet. */
  readonly expected: number;
  readonly ranges: number;
  readonly rangesDone: number;
}

/** How far the copy of one source is. */
export interface SourceProgress extends CopyProgress {
  readonly source: Source;
  /** Ranges that are begun and not done: as many lanes at most are at them. */
  readonly rangesOpen: number;
}

/** How far a batch's copy is, source by source; empty before it is planned. */
export const readProgressBySource = async (
  session: Session,
  batchId: string,
): Promise<SourceProgress[]> =>
  (
    await session.query(
      `select source, sum(rows_copied)::float8 as copied,
              sum(case when done_at is null then greatest(estimated_rows, rows_copied) else rows_copied end)::float8 as expected,
              count(*)::int as ranges, count(done_at)::int as "rangesDone",
              count(*) filter (where done_at is null and cursor is not null)::int as "rangesOpen"
         from migration.chunk where batch_id = $1 group by source order by source`,
      [batchId],
    )
  ).rows;

/** How far a batch's copy is, over all lanes; nothing of nothing before it is planned. */
export const readProgress = async (session: Session, batchId: string): Promise<CopyProgress> =>
  (await readProgressBySource(session, batchId)).reduce<CopyProgress>(
    (sum, source) => ({
      copied: sum.copied + source.copied,
      expected: sum.expected + source.expected,
      ranges: sum.ranges + source.ranges,
      rangesDone: sum.rangesDone + source.rangesDone,
    }),
    { copied: 0, expected: 0, ranges: 0, rangesDone: 0 },
  );

/** Rows copied so far, by source. */
export const readRowsBySource = async (
  session: Session,
  batchId: string,
): Promise<Partial<Record<Source, number>>> =>
  Object.fromEntries(
    (await readProgressBySource(session, batchId)).map(({ source, copied }) => [source, copied]),
  );
