import type { Session } from '../connection/database.ts';

/** A comparison of both stores, under way or over. */
export interface ParityWork {
  readonly startedAt: string;
  readonly finished: boolean;
  readonly ranges: number;
  readonly rangesDone: number;
  readonly compared: number;
  readonly mismatched: number;
}

/** The newest comparison of a batch in a stage's epoch. */
export const readParityWork = async (
  session: Session,
  { batchId, epoch }: { readonly batchId: string | null; readonly epoch: number },
): Promise<ParityWork | undefined> => {
  const { rows } = await session.query(
    `select run.started_at as "startedAt", run.finished_at is not null as finished,
            count(*)::int as ranges, count(range.done_at)::int as "rangesDone",
            coalesce(sum(range.compared), 0)::float8 as compared,
            coalesce(sum(range.mismatched), 0)::float8 as mismatched
       from (select * from migration.parity_run where batch_id = $1 and epoch = $2
              order by started_at desc limit 1) run
       join migration.parity_range range on range.run_id = run.id
      group by run.started_at, run.finished_at`,
    [batchId, epoch],
  );
  const [row] = rows;
  return row === undefined ? undefined : { ...row, startedAt: row.startedAt.toISOString() };
};

/** How many checks of the monitoring window were made in this stage of a batch. */
export const readChecks = async (
  session: Session,
  { batchId, stage }: { readonly batchId: string | null; readonly stage: string },
): Promise<number> =>
  (
    await session.query(
      `select coalesce((select (detail ->> 'checks')::int from migration.event
                         where batch_id = $1 and action = 'monitored' and detail ->> 'stage' = $2
                         order by id desc limit 1), 0) as checks`,
      [batchId, stage],
    )
  ).rows[0].checks;
