import { SOURCES, type Source } from '@unified-kits/domain';
import type { Session } from '../connection/database.ts';
import { NOTED_PRACTITIONER } from './changed-owners.ts';

export type KeysBySource = ReadonlyMap<Source, readonly string[]>;

export interface Taken {
  readonly keys: KeysBySource;
  /** Practitioners whose user has changed. */
  readonly practitioners: readonly string[];
}

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
 * @returns each source's distinct keys, and the practitioners noted; empty when nothing was noted.
 */
export const takeKeys = async (
  session: Session,
  selection: Selection,
  limit: number,
): Promise<Taken> => {
  const { rows } = await session.query(
    `with taken as (
       delete from migration.pending_sync
        where ctid = any (array(select ctid from migration.pending_sync ${WHERE[selection]} limit $1))
       returning source, legacy_id
     )
     select source, array_agg(distinct legacy_id) as keys from taken group by source`,
    [limit],
  );
  const taken = new Map<string, readonly string[]>(rows.map(({ source, keys }) => [source, keys]));
  const practitioners = taken.get(NOTED_PRACTITIONER) ?? [];
  const keys = new Map<Source, readonly string[]>();
  for (const source of SOURCES) {
    const noted = taken.get(source);
    if (noted !== undefined) keys.set(source, noted);
  }
  return { keys, practitioners };
};
