import type { Session } from '../connection/database.ts';

/** An event of the outbox, as it is handed on. */
export interface OutboxEvent {
  /** Rises with each change of one kit. */
  readonly number: string;
  readonly id: string;
  readonly kitsId: string;
  readonly body: Readonly<Record<string, unknown>>;
  /** ISO 8601 in UTC with microseconds. */
  readonly occurredAt: string;
}

/**
 * The oldest unsent event of each of up to `limit` kits. One a kit: when sending one fails, none of that
 * kit that came later is in the same batch. An event that commits late has a low number and is read late;
 * it is another kit's, for those of one kit commit in order.
 */
export const readUnsent = async (
  session: Session,
  limit: number,
): Promise<readonly OutboxEvent[]> => {
  const { rows } = await session.query(
    `select distinct on (kits_id) number::text as number, id, kits_id as "kitsId", body,
            to_char(occurred_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as "occurredAt"
       from (select * from kits_service.kit_event where sent_at is null order by number limit $1) e
      order by kits_id, e.number`,
    [limit],
  );
  return rows.toSorted((one, other) => (BigInt(one.number) < BigInt(other.number) ? -1 : 1));
};

/** Marks events as handed on. */
export const markSent = async (session: Session, numbers: readonly string[]): Promise<void> => {
  await session.query(
    `update kits_service.kit_event set sent_at = clock_timestamp() where number = any ($1::bigint[])`,
    [numbers],
  );
};

/**
 * Forgets events that were handed on more than so many days ago, of the oldest `limit`: no index leads to
 * when an event was sent, and none is needed, for they are sent about in the order of their numbers.
 */
export const pruneEvents = async (
  session: Session,
  days: number,
  limit: number,
): Promise<number> => {
  const { rowCount } = await session.query(
    `delete from kits_service.kit_event where number in (
       select number from (select number, sent_at from kits_service.kit_event order by number limit $2) oldest
        where sent_at < now() - $1::float8 * interval '1 day')`,
    [days, limit],
  );
  return rowCount ?? 0;
};
