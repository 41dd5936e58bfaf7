import type { Database } from './database.ts';
import { hasSqlState, SQLSTATE } from './sqlstate.ts';

/**
 * Runs work while no other process runs work of the same name on this database. The lock belongs to a
 * session, so it ends with a process that dies.
 *
 * @param waitMs how long to wait for the other, in milliseconds
 * @returns the work's result, or undefined when the other was still at it.
 */
export const exclusively = <Result>(
  db: Database,
  name: string,
  waitMs: number,
  work: () => Promise<Result>,
): Promise<Result | undefined> =>
  db.session(async (session) => {
    const key = [`unified-kits ${name}`];
    try {
      await session.query(`select set_config('lock_timeout', $1, false)`, [
        String(Math.max(1, Math.round(waitMs))),
      ]);
      await session.query('select pg_advisory_lock(hashtextextended($1, 0))', key);
    } catch (error) {
      if (hasSqlState(error, SQLSTATE.lockNotAvailable)) return undefined;
      throw error;
    } finally {
      await session.query('reset lock_timeout').catch(() => {});
    }
    try {
      return await work();
    } finally {
      // A session that is gone has let go of the lock already.
      await session
        .query('select pg_advisory_unlock(hashtextextended($1, 0))', key)
        .catch(() => {});
    }
  });
