import { RollbackRefused } from '@unified-kits/domain';
import { clearBacklog } from '../backlog/clear-backlog.ts';
import type { Binding } from '../catalog/bind-mapping.ts';
import type { Database, Session } from '../connection/database.ts';
import { vacuumKits } from '../copy/vacuum-kits.ts';
import { holdStage } from '../stage/read-stage.ts';

/** About 10,000 rows of `kits` at some 400 bytes each: measured 30 to 45 k rows/s in such pieces. */
const BLOCKS_PER_PIECE = 512;

/**
 * Foreign keys that point at `kits` would dangle: they must point at the legacy tables again first.
 *
 * @throws {RollbackRefused} naming each.
 */
export const assertUnreferenced = async (session: Session, binding: Binding): Promise<void> => {
  const { rows } = await session.query(
    `select conname as name, conrelid::regclass::text as table from pg_constraint where contype = 'f' and confrelid = $1::regclass and conrelid <> confrelid`,
    [binding.kits],
  );
  if (rows.length > 0)
    throw new RollbackRefused(
      `foreign keys point at ${binding.kits}: ${rows.map(({ name, table }) => `${table} (${name})`).join(', ')}. Point them back at the legacy tables, then roll back again.`,
    );
};

/**
 * Nothing may point at the rows that are about to go, and no stage may need them.
 *
 * @throws {RollbackRefused} naming what does.
 */
const assertDeletable = async (
  session: Session,
  binding: Binding,
  batchId: string,
): Promise<void> => {
  // Held: a cutover that began between this look and the deletion would lose rows that it has just copied.
  const { stage, batchId: staged } = await holdStage(session);
  if (stage !== 'legacy')
    throw new RollbackRefused(
      `batch ${batchId} cannot be deleted in stage "${stage}": flip back to "legacy" first (staged batch: ${staged ?? 'none'})`,
    );
  await assertUnreferenced(session, binding);
};

/**
 * Deletes a batch's rows from `kits`, a range of pages at a time: it needs no index on the batch, and
 * every statement is bounded. Only rows of that batch; running it again finds nothing. The backlog goes
 * with them: the flip clears it too, but may have died before, and nothing drains it in stage `legacy`.
 *
 * @returns rows deleted now, and whether the deadline (milliseconds of `Date.now()`) left nothing undone.
 * @throws {RollbackRefused} when a stage or a foreign key needs the rows.
 */
export const deleteBatch = async (
  db: Database,
  binding: Binding,
  batchId: string,
  deadline: number,
  onProgress: (rows: number) => void = () => {},
): Promise<{ rows: number; done: boolean }> => {
  const blocks = await db.transaction({ asEngine: true }, async (session) => {
    await assertDeletable(session, binding, batchId);
    const { rows } = await session.query(
      `select (pg_relation_size($1::regclass) / current_setting('block_size')::bigint)::int as n`,
      [binding.kits],
    );
    return rows[0].n as number;
  });
  let rows = 0;
  for (let block = 0; block <= blocks; block += BLOCKS_PER_PIECE) {
    if (Date.now() >= deadline) return { rows, done: false };
    const deleted = await db.transaction(
      { asEngine: true, statementTimeoutMs: 60_000, synchronousCommit: false },
      async (session) => {
        await assertDeletable(session, binding, batchId);
        const { rowCount } = await session.query(
          `delete from ${binding.kits} where ctid >= $1::tid and ctid < $2::tid and migration_batch_id = $3`,
          [`(${block},0)`, `(${block + BLOCKS_PER_PIECE},0)`, batchId],
        );
        return rowCount ?? 0;
      },
    );
    rows += deleted;
    onProgress(deleted);
  }
  await clearBacklog(db);
  if (rows > 0) await vacuumKits(db, binding);
  return { rows, done: true };
};

export interface RollbackProof {
  /** Rows of the batch left in `kits`; the map is a view over it. */
  readonly rowsLeft: number;
  readonly backlogLeft: number;
  readonly stage: string;
  readonly suspendedTriggers: number;
  /** Triggers of the migration that are still switched on on a legacy table. */
  readonly triggersOn: number;
}

/**
 * What is left of a batch after its rollback: all zero, in stage `legacy`. The stage is held, for a cutover that
 * begins before the transaction ends would make the proof untrue.
 */
export const proveRolledBack = async (
  session: Session,
  binding: Binding,
  batchId: string,
): Promise<RollbackProof> => {
  const { stage } = await holdStage(session);
  const { rows } = await session.query(
    `select (select count(*)::int from ${binding.kits} where migration_batch_id = $1) as "rowsLeft",
              (select count(*)::int from migration.pending_sync) as "backlogLeft",
              (select count(*)::int from migration.suspended_trigger) as "suspendedTriggers",
              (select count(*)::int from pg_trigger t where t.tgrelid = any ($2::regclass[]) and t.tgname like 'uk\\_%' and t.tgenabled <> 'D') as "triggersOn"`,
    [batchId, Object.values(binding.sources).map(({ relation }) => relation)],
  );
  return { ...rows[0], stage };
};
