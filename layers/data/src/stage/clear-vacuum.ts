import { setTimeout as sleep } from 'node:timers/promises';
import { FlipBlocked } from '@unified-kits/domain';
import type { Database } from '../connection/database.ts';
import { hasSqlState, SQLSTATE } from '../connection/sqlstate.ts';

interface Vacuum {
  readonly pid: number;
  readonly relation: string;
  readonly automatic: boolean;
  readonly againstWraparound: boolean;
}

// The view tells of the whole cluster, and databases of one template give their tables the same oids.
const VACUUMS = `
  select v.pid, v.relid::regclass::text as relation, a.backend_type = 'autovacuum worker' as automatic,
         a.query like '%(to prevent wraparound)%' as "againstWraparound"
    from pg_stat_progress_vacuum v join pg_stat_activity a on a.pid = v.pid
   where v.datname = current_database() and v.relid = any ($1::regclass[])`;

/**
 * Makes sure that no vacuum is at work on the tables of a flip. A lock timeout below `deadlock_timeout`
 * never evicts an autovacuum (measured: 12 of 12 flips failed), so an ordinary one is cancelled, it
 * comes back by itself; one that an operator started, one against wraparound, or one we may not cancel
 * is waited for.
 *
 * @throws {FlipBlocked} naming the vacuum, when it is still there after `waitMs`.
 */
export const clearVacuum = async (
  db: Database,
  relations: readonly string[],
  waitMs: number,
): Promise<void> => {
  const until = Date.now() + waitMs;
  for (;;) {
    const vacuums = await db.query<Vacuum & Record<string, unknown>>(VACUUMS, [relations]);
    const stubborn = [];
    for (const vacuum of vacuums) {
      if (!vacuum.automatic || vacuum.againstWraparound) stubborn.push(vacuum);
      else
        await db.query('select pg_cancel_backend($1)', [vacuum.pid]).catch((error: unknown) => {
          if (!hasSqlState(error, SQLSTATE.insufficientPrivilege)) throw error;
          stubborn.push(vacuum);
        });
    }
    if (stubborn.length === 0) return;
    if (Date.now() >= until)
      throw new FlipBlocked(
        `a vacuum is at work: ${stubborn.map(({ pid, relation }) => `pid ${pid} on ${relation}`).join(', ')}. Wait for it to end, or end it with pg_cancel_backend, and try again.`,
      );
    await sleep(Math.min(500, Math.max(1, until - Date.now())));
  }
};
