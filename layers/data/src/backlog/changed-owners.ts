import type { Binding } from '../catalog/bind-mapping.ts';
import type { Session } from '../connection/database.ts';
import { quoteIdentifier } from '../sql/identifier.ts';
import type { Direction } from './sync-keys.ts';

/** The source under which a practitioner is noted whose kits must all be looked at again. */
export const NOTED_PRACTITIONER = 'practitioners';

/**
 * Writers of practitioner kits hold this lock shared, who gives a practitioner to another user holds it
 * alone: one reads the user whom the other changes, the other changes the kits that the first is about to
 * add, and neither sees the other's. Nobody waits for it but the drain: a client that cannot have it at
 * once notes what it wrote. Rejected: `for share` on the practitioner, with which two clients that add a
 * kit and then change the practitioner deadlock.
 */
export const OWNERS_LOCK = `hashtextextended('unified-kits kits against owners', 0)`;

/** Waits, up to the transaction's lock timeout, until nobody is changing a practitioner's user. */
export const holdOwners = async (session: Session): Promise<void> => {
  await session.query(`select pg_advisory_xact_lock_shared(${OWNERS_LOCK})`);
};

/**
 * Notes the kits of practitioners whose user has changed, each to be synchronised like any other. Here and
 * not in the client's transaction, which would read the whole table where nothing indexes the practitioner.
 * Waits, up to the transaction's lock timeout, until the kits that were being written have committed.
 */
export const noteKitsOf = async (
  session: Session,
  binding: Binding,
  direction: Direction,
  practitioners: readonly string[],
): Promise<void> => {
  if (practitioners.length === 0) return;
  await session.query(`select pg_advisory_xact_lock(${OWNERS_LOCK})`);
  const { id, relation, ownerColumn } = binding.sources.practitioner_kits;
  const type = ownerColumn.baseType;
  const keys =
    direction === 'legacy-to-kits'
      ? `select s.${quoteIdentifier(id.name)}::text from ${relation} s where s.${quoteIdentifier(ownerColumn.name)} = any ($1::text[]::${type}[])`
      : `select k.legacy_id from ${binding.kits} k where k.source = 'practitioner_kits' and k.practitioner_id = any ($1::text[]::${binding.mapping.target.practitionerIdType}[])`;
  await session.query(
    `insert into migration.pending_sync (source, legacy_id, cause) select 'practitioner_kits', key, 'owner' from (${keys}) noted(key)`,
    [practitioners],
  );
};
