import type { KitKey } from '@unified-kits/domain';
import type { Session } from '../connection/database.ts';

/** Whether something that happened later has set the kit's status already. The caller holds the kit's row. */
export const newerStatusKnown = async (
  session: Session,
  { source, legacyId }: KitKey,
  occurredAt: string,
): Promise<boolean> => {
  const { rowCount } = await session.query(
    `select from kits_service.status_time where source = $1 and legacy_id = $2 and occurred_at > $3::timestamptz`,
    [source, legacyId, occurredAt],
  );
  return rowCount === 1;
};

/**
 * Remembers when what set a kit's status happened. The caller holds the kit's row.
 *
 * @param occurredAt ISO 8601 with an offset; the transaction's own time by default
 */
export const noteStatusTime = async (
  session: Session,
  { source, legacyId }: KitKey,
  occurredAt?: string,
): Promise<void> => {
  await session.query(
    `insert into kits_service.status_time as t (source, legacy_id, occurred_at) values ($1, $2, coalesce($3::timestamptz, now()))
     on conflict (source, legacy_id) do update set occurred_at = greatest(t.occurred_at, excluded.occurred_at)`,
    [source, legacyId, occurredAt ?? null],
  );
};
