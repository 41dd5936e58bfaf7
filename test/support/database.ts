import { createHash, randomBytes } from 'node:crypto';
import pg from 'pg';
import { inject } from 'vitest';

export type Template = {
  /** What the template holds, as a hash or a version: the same name is built once per run. */
  readonly name: string;
  /** Fills the database. It must close its connections before it resolves. */
  build(url: string): Promise<void>;
};

export type TestDatabase = {
  readonly name: string;
  /** Connection string of the same user as the server's. */
  readonly url: string;
  /** Opened on first use, closed by `drop()`. */
  readonly pool: pg.Pool;
  /** A connected client of its own; `drop()` closes it unless the test did. */
  client(): Promise<pg.Client>;
  /** Closes everything and drops the database; again is harmless. */
  drop(): Promise<void>;
};

/**
 * A database of its own on the run's server, cloned from a template where one is given.
 *
 * Cloning takes some 50 ms where running the schema and its data again would take seconds.
 */
export async function freshDatabase(
  options: { readonly template?: Template } = {},
): Promise<TestDatabase> {
  const { template } = options;
  const source = template ? await ensureTemplate(template) : 'template0';
  const name = databaseName('db', randomBytes(6).toString('hex'));
  await onServer((admin) =>
    admin.query(
      `create database ${pg.escapeIdentifier(name)} template ${pg.escapeIdentifier(source)}`,
    ),
  );
  const url = urlOf(name);
  const clients = new Set<pg.Client>();
  let pool: pg.Pool | undefined;
  let dropped: Promise<void> | undefined;
  return {
    name,
    url,
    get pool() {
      pool ??= listening(new pg.Pool({ connectionString: url, max: 10 }));
      return pool;
    },
    async client() {
      const client = listening(new pg.Client({ connectionString: url }));
      clients.add(client);
      client.once('end', () => clients.delete(client));
      await client.connect();
      return client;
    },
    drop() {
      dropped ??= (async () => {
        // The drop's force ends what is left; waiting for a client stuck in a lock would hang the test.
        const closing = [...clients].map((client) => client.end());
        if (pool) closing.push(pool.end());
        await onServer((admin) =>
          admin.query(`drop database if exists ${pg.escapeIdentifier(name)} with (force)`),
        );
        await Promise.allSettled(closing);
      })();
      return dropped;
    },
  };
}

async function ensureTemplate({ name, build }: Template): Promise<string> {
  const hash = createHash('sha256').update(name).digest('hex').slice(0, 16);
  const final = databaseName('tpl', hash);
  const building = databaseName('bld', hash);
  await onServer(async (admin) => {
    // A session lock: create database cannot run inside a transaction.
    await admin.query('select pg_advisory_lock(hashtextextended($1, 0))', [final]);
    const found = await admin.query('select from pg_database where datname = $1', [final]);
    if (found.rowCount) return;
    // Built under another name and renamed when whole: a failed build is never cloned.
    await admin.query(`drop database if exists ${pg.escapeIdentifier(building)} with (force)`);
    await admin.query(`create database ${pg.escapeIdentifier(building)} template template0`);
    await build(urlOf(building));
    await admin.query(
      `alter database ${pg.escapeIdentifier(building)} rename to ${pg.escapeIdentifier(final)}`,
    );
    // Nobody may connect by mistake: one connection would make every clone fail.
    await admin.query(`alter database ${pg.escapeIdentifier(final)} with allow_connections false`);
  });
  return final;
}

async function onServer<T>(work: (admin: pg.Client) => Promise<T>): Promise<T> {
  const admin = listening(new pg.Client({ connectionString: inject('postgresUrl') }));
  await admin.connect();
  try {
    return await work(admin);
  } finally {
    await admin.end();
  }
}

function databaseName(kind: string, suffix: string): string {
  return `uk_${inject('postgresRun')}_${kind}_${suffix}`;
}

function urlOf(database: string): string {
  const url = new URL(inject('postgresUrl'));
  url.pathname = `/${database}`;
  return url.href;
}

/** A connection ended by the server emits an error; without a listener it would end the test process. */
function listening<T extends NodeJS.EventEmitter>(connection: T): T {
  connection.on('error', () => undefined);
  return connection;
}
