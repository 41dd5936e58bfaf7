import type { Database } from '@unified-kits/data';
import pg from 'pg';
import type { TestDatabase } from './database.ts';

const PASSWORD = 'only-in-tests';

/**
 * A session of an application: logged in as a role that is a member of `kits_app` and nothing else. The
 * tables named are the application's own; it may do with them what applications do.
 */
export const appSession = async (
  database: TestDatabase,
  tables: readonly string[] = ['kit', 'practitioner_kits', 'users', 'practitioners'],
): Promise<pg.Client> => {
  // Two sessions of one test ask at once, and roles belong to the server, where other files ask too.
  await database.pool.query(`
    select pg_advisory_xact_lock(hashtextextended('uk_test_app', 0));
    do $do$ begin
      if not exists (select from pg_roles where rolname = 'uk_test_app') then
        create role uk_test_app login password '${PASSWORD}' in role kits_app;
      end if;
    exception when duplicate_object or unique_violation then null;
    end $do$;
    grant select, insert, update, delete, truncate on ${tables.join(', ')} to uk_test_app`);
  const url = new URL(database.url);
  url.username = 'uk_test_app';
  url.password = PASSWORD;
  const client = new pg.Client({ connectionString: url.href, application_name: 'uk-test-app' });
  // Ended by the drop of its database, unless the test did.
  client.on('error', () => undefined);
  await client.connect();
  return client;
};

/** The server process of a session. */
export const pidOf = async (client: pg.ClientBase): Promise<number> =>
  (await client.query('select pg_backend_pid() as pid')).rows[0].pid;

/** Waits until some session of this database waits for a lock, or a condition of your own holds. */
export const until = async (
  db: Pick<Database, 'pool'>,
  condition: string,
  values: readonly unknown[] = [],
): Promise<void> => {
  const deadline = Date.now() + 10_000;
  for (;;) {
    const { rows } = await db.pool.query(`select (${condition}) as holds`, [...values]);
    if (rows[0].holds) return;
    if (Date.now() > deadline) throw new Error(`in ten seconds never: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
};

/** For `until`: a session waits for a lock of any kind. */
export const WAITING = `exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')`;
