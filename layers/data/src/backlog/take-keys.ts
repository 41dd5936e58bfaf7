import type { Source } from '@unified-kits/domain';
import type { Session } from '../connection/database.ts';

export type KeysBySource = ReadonlyMap<Source, readonly string[]>;

/** Which of the noted keys to take: those not yet found stuck by this drain, those stuck, or all. */
export type Selection = 'fresh' | 'stuck' | 'all';

const WHERE: Readonly<Record<Selection, string>> = {
  fresh: `where cause <> 'stuck'`,
  stuck: `where cause = 'stuck'`,
  all: '',
};

/**
 * Takes up to `limit` noted keys by deleting them. Deleting what is visible, and not following a
 * sequence: a key that commits late would be behind the cursor.
 *
 * @returns each source's distinct keys; empty when nothing was noted.
 */
export const takeKeys = async (
  session: Session,
  selection: Selection,
  limit: number,
): Promise<KeysBySource> => {
  const { rows } = await session.query(
    `with taken as (
       delete from migration.pending_sync
        where ctid = any (array(select ctid from migration.pending_sync ${WHERE[selection]} limit $1))
       returning source, legacy_id
     )
     select source, array_agg(distinct legacy_id) as keys from taken group by source`,
    [limit],
  );
  return new Map(rows.map(({ source, keys }) => [source, keys]));
};
