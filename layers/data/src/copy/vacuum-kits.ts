import type { Binding } from '../catalog/bind-mapping.ts';
import { type Database, ENGINE_ROLE } from '../connection/database.ts';

/**
 * Vacuums and analyses `kits`: after the copy, because a drain over vacuumed pages is three times as fast
 * (measured: 5.7 k against 1.9 k rows/s); after a rollback, because the next batch would otherwise begin
 * with a table full of dead rows.
 */
export const vacuumKits = (db: Database, binding: Binding): Promise<void> =>
  db.session(async (session) => {
    await session.query(`set role ${ENGINE_ROLE}`);
    try {
      await session.query(`vacuum (analyze) ${binding.kits}`);
    } finally {
      await session.query('reset role');
    }
  });
