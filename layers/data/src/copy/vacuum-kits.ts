import type { Binding } from '../catalog/bind-mapping.ts';
import type { Database } from '../connection/database.ts';
import { maintain } from '../connection/maintain.ts';

/**
 * Vacuums and analyses `kits`: after the copy, because a drain over vacuumed pages is three times as fast
 * (measured: 5.7 k against 1.9 k rows/s); after a rollback, because the next batch would otherwise begin
 * with a table full of dead rows.
 */
export const vacuumKits = (db: Database, binding: Binding): Promise<void> =>
  maintain(db, `vacuum (analyze) ${binding.kits}`);
