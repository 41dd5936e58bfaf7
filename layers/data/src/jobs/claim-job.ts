import type { Session } from '../connection/database.ts';

/** What became of a job. */
export type JobOutcome = 'applied' | 'stale';

/**
 * Records a job's id in the transaction that applies it: another delivery waits here until that one has
 * ended, and then finds it.
 *
 * @returns false when the job was handled before.
 */
export const claimJob = async (session: Session, jobId: string): Promise<boolean> => {
  const { rowCount } = await session.query(
    `insert into kits_service.handled_job (job_id, outcome) values ($1, 'applied') on conflict do nothing`,
    [jobId],
  );
  return rowCount === 1;
};

/** A job that came too late stays handled: it would be too late again. */
export const markStale = async (session: Session, jobId: string): Promise<void> => {
  await session.query(`update kits_service.handled_job set outcome = 'stale' where job_id = $1`, [
    jobId,
  ]);
};

/**
 * Forgets jobs handled more than so many days ago, at most `limit` at a time. Longer than a queue keeps its
 * messages (14 days at most), or a late delivery would be applied again.
 */
export const pruneJobs = async (session: Session, days: number, limit: number): Promise<number> => {
  const { rowCount } = await session.query(
    `delete from kits_service.handled_job where job_id in (
       select job_id from kits_service.handled_job where handled_at < now() - $1::float8 * interval '1 day'
        order by handled_at limit $2 for update skip locked)`,
    [days, limit],
  );
  return rowCount ?? 0;
};
