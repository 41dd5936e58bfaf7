import { type Database, ENGINE_ROLE } from './database.ts';

/**
 * Runs one maintenance statement as the engine, outside any transaction of ours. The server ends and
 * commits such a statement also when its client is gone meanwhile: a build that takes longer than a
 * worker may live is there when the next one asks for it.
 */
export const maintain = (db: Database, statement: string): Promise<void> =>
  db.session(async (session) => {
    await session.query(`set role ${ENGINE_ROLE}`);
    try {
      await session.query(`set lock_timeout = '10s'`);
      await session.query('set statement_timeout = 0');
      await session.query(`set maintenance_work_mem = '256MB'`);
      await session.query(statement);
    } finally {
      // A session that broke is discarded by the pool, and its settings with it.
      await session.query('reset all').catch(() => {});
      await session.query('reset role').catch(() => {});
    }
  });
