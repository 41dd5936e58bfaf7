import type { Session } from '../connection/database.ts';
import { type HealthFinding, orOk } from './finding.ts';
import { DEFAULT_HEALTH_LIMITS } from './read-health.ts';

/** A flip waits for transactions in flight: one this old, in seconds, will hold it up. */
const LONG_SECONDS = 60;
const MOST_NAMED = 10;

const OPEN = `
  select pid::text as name, application_name as application, state,
         extract(epoch from clock_timestamp() - xact_start)::float8 as seconds
    from pg_stat_activity
   where xact_start < clock_timestamp() - $1 * interval '1 second' and backend_type = 'client backend'
     and pid <> pg_backend_pid() and datname = current_database()
   order by xact_start limit $2`;

const PREPARED = `
  select gid as name, extract(epoch from clock_timestamp() - prepared)::float8 as seconds
    from pg_prepared_xacts where database = current_database() order by prepared limit $1`;

const SEES_ALL = `
  select coalesce(pg_has_role(current_user, 'pg_read_all_stats', 'usage'), false) or
         (select rolsuper from pg_roles where rolname = current_user) as all`;

const age = (seconds: number): string =>
  seconds < 120 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`;

/**
 * Transactions that are open for long, and prepared ones, which nobody may ever end.
 *
 * @param longSeconds the age from which a transaction is named
 */
export const checkSessions = async (
  session: Session,
  longSeconds = LONG_SECONDS,
): Promise<readonly HealthFinding[]> => {
  const open = await session.query(OPEN, [longSeconds, MOST_NAMED]);
  const prepared = await session.query(PREPARED, [MOST_NAMED]);
  const { rows: sight } = await session.query(SEES_ALL);
  const findings: HealthFinding[] = [
    ...open.rows.map(
      ({ name, application, state, seconds }): HealthFinding => ({
        check: 'transactions',
        level: seconds > DEFAULT_HEALTH_LIMITS.transactionSeconds ? 'fault' : 'warning',
        message: `a transaction of process ${name} (${application || 'no application name'}, ${state}) is open for ${age(seconds)}`,
        fix: `end it where it comes from, or with select pg_terminate_backend(${name}): flips wait for it, and the copy does when it is ${age(DEFAULT_HEALTH_LIMITS.transactionSeconds)} old`,
      }),
    ),
    ...prepared.rows.map(
      ({ seconds }): HealthFinding => ({
        check: 'transactions',
        level: 'fault',
        message: `a prepared transaction is open for ${age(seconds)}`,
        fix: 'find it in pg_prepared_xacts, then COMMIT PREPARED or ROLLBACK PREPARED it: its locks stop every flip',
      }),
    ),
    ...(sight[0].all
      ? []
      : [
          {
            check: 'transactions',
            level: 'note',
            message: 'this login sees how old its own transactions are, and not those of others',
            fix: 'GRANT pg_monitor to the migration’s login',
          } as const,
        ]),
  ];
  return orOk('transactions', findings, `none is open for more than ${longSeconds} s`);
};
