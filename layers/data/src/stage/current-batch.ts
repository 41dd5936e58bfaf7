import type { Session } from '../connection/database.ts';
import { quoteLiteral } from '../sql/identifier.ts';

/** SQL of the batch that rows belong to which are written to `kits` now; null before the first. */
export const CURRENT_BATCH = 'migration.current_batch()';

/**
 * The batch as a function, which a flip replaces: PostgreSQL resolves functions by the newest catalog, as it
 * does triggers. Rejected: `select batch_id from migration.stage`, which a REPEATABLE READ transaction that
 * is older than the batch reads in its own snapshot; its kit then had no batch or the one before, and a
 * rollback left it. As plain SQL and STABLE it is inlined, and plans that hold it are made anew.
 */
export const currentBatchFunction = (batchId: string | null): string => `
create or replace function ${CURRENT_BATCH} returns uuid language sql stable as
  ${quoteLiteral(`select ${batchId === null ? 'null' : quoteLiteral(batchId)}::pg_catalog.uuid`)};`;

/** Begins a batch for whatever is written from the commit on; as the engine, whose function it is. */
export const setCurrentBatch = async (session: Session, batchId: string | null): Promise<void> => {
  await session.query(currentBatchFunction(batchId));
};
