import type { Binding } from '../catalog/bind-mapping.ts';
import type { Database } from '../connection/database.ts';
import { hasSqlState, SQLSTATE } from '../connection/sqlstate.ts';
import { SECONDARY_INDEXES } from '../schema/kits-table.ts';
import { qualifiedName } from '../sql/identifier.ts';

/**
 * Drops the indexes that an earlier batch, rolled back since, has left on an empty `kits`: the copy is
 * half again as fast without. A reader of `kits` that holds its lock is not waited for: then they stay.
 */
export const dropSecondaryIndexes = async (db: Database, binding: Binding): Promise<void> => {
  const names = SECONDARY_INDEXES.map(({ name }) =>
    qualifiedName(binding.mapping.target.schema, name),
  );
  try {
    await db.transaction({ asEngine: true, lockTimeoutMs: 200 }, async (session) => {
      const { rowCount } = await session.query(`select from ${binding.kits} limit 1`);
      if (rowCount === 0) await session.query(`drop index if exists ${names.join(', ')}`);
    });
  } catch (error) {
    if (!hasSqlState(error, SQLSTATE.lockNotAvailable)) throw error;
  }
};
