import type { Session } from '../connection/database.ts';

/** A flip as the audit log tells of it. */
export interface FlipRecord {
  readonly from: string;
  readonly to: string;
  /** The longest that a writer waited for it, in milliseconds. */
  readonly writersHeldMs: number;
  readonly heldInVainMs: number;
  readonly attempts: number;
  readonly drained: number;
}

/** The flips of a batch, in order. */
export const readFlips = async (session: Session, batchId: string): Promise<FlipRecord[]> =>
  (
    await session.query(
      `select detail ->> 'from' as "from", detail ->> 'to' as "to", (detail ->> 'writersHeldMs')::float8 as "writersHeldMs",
              (detail ->> 'heldInVainMs')::float8 as "heldInVainMs", (detail ->> 'attempts')::int as attempts, (detail ->> 'drained')::int as drained
         from migration.event where batch_id = $1 and action = 'flip-held' order by id`,
      [batchId],
    )
  ).rows;

/**
 * Wall time by phase, in seconds, over all executions that drove a batch: what lanes did at the same time
 * counts once, and the pauses between an execution's steps not at all.
 */
export const readPhaseSeconds = async (
  session: Session,
  batchId: string,
): Promise<{ name: string; seconds: number }[]> =>
  (
    await session.query(
      `with work as (
         select phase, range_agg(tstzrange(at - (detail ->> 'milliseconds')::float8 * interval '1 millisecond', at, '[]')) as spans, min(id) as first
           from migration.event
          where action = 'worked' and detail ->> 'execution' in (
                select detail ->> 'execution' from migration.event where batch_id = $1 and action = 'lead-taken')
          group by phase)
       select phase as name, round(sum(extract(epoch from upper(span) - lower(span)))::numeric, 3)::float8 as seconds
         from work, unnest(spans) span group by phase, first order by first`,
      [batchId],
    )
  ).rows;

/** Rows that rollbacks of a batch have deleted from `kits`, over all their calls. */
export const readRowsDeleted = async (session: Session, batchId: string): Promise<number> =>
  (
    await session.query(
      `select coalesce(sum((detail ->> 'rows')::float8), 0) as rows from migration.event where batch_id = $1 and action = 'rows-deleted'`,
      [batchId],
    )
  ).rows[0].rows;

/** Whether a batch was closed at any time: after that nothing noted what changed. */
export const wasClosed = async (session: Session, batchId: string): Promise<boolean> =>
  (
    await session.query(
      `select from migration.event where batch_id = $1 and action = 'flip' and detail ->> 'to' = 'closed' limit 1`,
      [batchId],
    )
  ).rowCount === 1;

/** The count of refused writes at the batch's last check, or undefined before the first. */
export const readRefusedBefore = async (
  session: Session,
  batchId: string,
): Promise<number | undefined> =>
  (
    await session.query(
      `select (detail ->> 'refusedTotal')::float8 as total from migration.event
        where batch_id = $1 and action = 'monitored' order by id desc limit 1`,
      [batchId],
    )
  ).rows[0]?.total;
