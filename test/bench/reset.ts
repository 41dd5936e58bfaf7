import {
  type Binding,
  type Database,
  flip,
  quoteIdentifier,
  readStage,
  SECONDARY_INDEXES,
} from '@unified-kits/data';
import { stagePath } from '@unified-kits/domain';

/** An empty `kits` without secondary indexes, in stage `legacy`, no batch active: the start of every round. */
export const reset = async (db: Database, binding: Binding): Promise<void> => {
  const { stage } = await db.transaction({}, readStage);
  for (const to of stagePath(stage, 'legacy'))
    await flip(db, binding, { to, phase: 'bench', actor: 'bench' });
  await db.transaction({ asEngine: true }, async (session) => {
    await session.query(
      `update migration.batch set ended_at = now(), outcome = 'rolled-back' where ended_at is null`,
    );
    await session.query(`truncate ${binding.kits}`);
    for (const { name } of SECONDARY_INDEXES)
      await session.query(
        `drop index if exists ${quoteIdentifier(binding.mapping.target.schema)}.${quoteIdentifier(name)}`,
      );
  });
  await db.pool.query('checkpoint');
};
