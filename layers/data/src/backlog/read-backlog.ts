import type { Session } from '../connection/database.ts';
import { COPY_AGAINST_DRAIN } from './drain-lock.ts';

export interface Backlog {
  /** Noted keys, repeated ones counted. */
  readonly noted: number;
  /** Of these, keys that came with an error. */
  readonly failed: number;
  /** Seconds since the oldest was noted. */
  readonly oldestSeconds: number;
}

/** How much waits to be re-synchronised. */
export const readBacklog = async (session: Session): Promise<Backlog> =>
  (
    await session.query(
      `select count(*)::int as noted, count(error)::int as failed,
              coalesce(extract(epoch from clock_timestamp() - min(noted_at)), 0)::float8 as "oldestSeconds"
         from migration.pending_sync`,
    )
  ).rows[0];

/** The part of the backlog that was noted for one cause. */
export interface BacklogOfCause extends Pick<Backlog, 'noted' | 'failed'> {
  /** `capture`, `mirror`, `parity`, `owner`, `copy`, or `stuck` for what a drain could not do. */
  readonly cause: string;
}

/** How much waits to be re-synchronised, by what noted it; causes that noted nothing are left out. */
export const readBacklogByCause = async (session: Session): Promise<readonly BacklogOfCause[]> =>
  (
    await session.query(
      `select cause, count(*)::int as noted, count(error)::int as failed
         from migration.pending_sync group by cause order by cause`,
    )
  ).rows;

/**
 * Keeps one of each repeated key. A capture that is left on after a failed batch notes for as long as
 * nobody resumes; its backlog then grows with the keys that change, not with the changes. While a drain
 * is under way nothing is removed: it may have taken the repetition that would be kept, and read the row
 * before the change that the other one tells of.
 *
 * @returns how many repetitions were removed.
 */
export const compactBacklog = async (session: Session): Promise<number> => {
  const { rows } = await session.query(
    `select pg_try_advisory_xact_lock(${COPY_AGAINST_DRAIN}) as alone`,
  );
  if (!rows[0].alone) return 0;
  const { rowCount } = await session.query(
    `delete from migration.pending_sync
      where ctid in (select ctid from (
              select ctid, row_number() over (partition by source, legacy_id order by error nulls last, noted_at) as nth
                from migration.pending_sync) numbered
             where nth > 1)`,
  );
  return rowCount ?? 0;
};
