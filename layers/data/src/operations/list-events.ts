import type { Session } from '../connection/database.ts';

/** One line of the audit log. */
export interface LoggedEvent {
  /** Rises with time, with gaps. */
  readonly id: number;
  /** ISO 8601. */
  readonly at: string;
  readonly phase: string;
  readonly action: string;
  readonly actor: string;
  readonly batchId: string | null;
  /** Ids, counters and keys. */
  readonly detail: Readonly<Record<string, unknown>>;
}

export interface EventsAsked {
  readonly limit: number;
  readonly batchId?: string | undefined;
  /** Only those before the event with this id: the next page. */
  readonly before?: number | undefined;
  /** Without those that only keep count of time and progress. */
  readonly notable?: boolean;
}

/** Written by the engine about itself, many times a minute. */
const BOOKKEEPING = ['worked', 'progress-noted'];

/** The newest events of the audit log, the newest first. */
export const listEvents = async (
  session: Session,
  { limit, batchId, before, notable = false }: EventsAsked,
): Promise<LoggedEvent[]> => {
  const { rows } = await session.query(
    `select id::float8 as id, at, phase, action, actor, batch_id as "batchId", detail
       from migration.event
      where ($2::uuid is null or batch_id = $2) and ($3::bigint is null or id < $3)
        and action <> all ($4)
      order by id desc limit $1`,
    [limit, batchId ?? null, before ?? null, notable ? BOOKKEEPING : []],
  );
  return rows.map((row) => ({ ...row, at: row.at.toISOString() }));
};
