import { recordEvent } from '../batch/record-event.ts';
import type { Binding } from '../catalog/bind-mapping.ts';
import type { Database } from '../connection/database.ts';
import { maintain } from '../connection/maintain.ts';
import { createSecondaryIndex, SECONDARY_INDEXES } from '../schema/kits-table.ts';
import { vacuumKits } from './vacuum-kits.ts';

/**
 * Builds the indexes that the copy did without. Nobody but the drain reads `kits` yet, so plain builds
 * block nobody; each may run again after a death. One after another, for each uses parallel workers itself.
 */
export const buildSecondaryIndexes = async (db: Database, binding: Binding): Promise<void> => {
  for (const index of SECONDARY_INDEXES) await maintain(db, createSecondaryIndex(binding, index));
};

/** What follows the last chunk: the remaining indexes, a vacuum, the record. */
export const finishCopy = async (
  db: Database,
  binding: Binding,
  batchId: string,
  actor: string,
): Promise<void> => {
  await buildSecondaryIndexes(db, binding);
  await vacuumKits(db, binding);
  await db.transaction({ asEngine: true }, async (session) => {
    const { rowCount } = await session.query(
      'update migration.batch set copied_at = now() where id = $1 and copied_at is null',
      [batchId],
    );
    if (rowCount === 1)
      await recordEvent(session, { phase: 'phase2-migration', action: 'copied', actor, batchId });
  });
};
