import { createHash } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { type Database, openDatabase, quoteIdentifier } from '@unified-kits/data';
import { InvalidInput } from '@unified-kits/domain';
import { type DirectoryLock, lockDirectory } from '../postgres/lock.ts';
import { startPostgres } from '../postgres/start.ts';
import { dataDirectoryOf, lastingHome } from '../postgres/throw-away.ts';
import type { TargetOptions } from './options.ts';

/** The database that a run works on, and the directory that keeps the run's state. */
export interface Target {
  /** Ours to seed, drop and write to. */
  readonly embedded: boolean;
  readonly description: string;
  readonly databaseUrl: string;
  readonly stateDirectory: string;
  /** Drops the database and makes it again, empty; only where it is ours. */
  recreate(): Promise<void>;
  /** Whether the database is there. */
  exists(): Promise<boolean>;
  close(): Promise<void>;
}

/** What the embedded database is for: each use has one of its own, and a state of its own. */
export type Use = 'run' | 'blockers' | 'serve';

const EMBEDDED: Readonly<Record<Use, { readonly database: string; readonly state: string }>> = {
  run: { database: 'kits_demo', state: 'run' },
  blockers: { database: 'kits_blockers', state: 'run-blockers' },
  serve: { database: 'kits_serve', state: 'serve' },
};

const homeOf = (options: TargetOptions): string =>
  options.dataDirectory === undefined ? lastingHome() : resolve(options.dataDirectory);

/** Two processes on one run would write one ledger: the second is refused. */
const lockState = async (directory: string): Promise<DirectoryLock> => {
  // The clusters' home must stay open to the server's user; a run's own state is nobody else's.
  await mkdir(directory, { recursive: true, mode: 0o700 });
  return lockDirectory(directory);
};

const withDatabase = (url: string, name: string): string => {
  const other = new URL(url);
  other.pathname = `/${name}`;
  return other.href;
};

const embeddedTarget = async (options: TargetOptions, use: Use): Promise<Target> => {
  const home = homeOf(options);
  await mkdir(home, { recursive: true, mode: 0o755 });
  const { database: name, state } = EMBEDDED[use];
  const stateDirectory = join(home, state);
  const lock = await lockState(stateDirectory);
  try {
    const server = await startPostgres({ dataDirectory: dataDirectoryOf(home) });
    const admin = openDatabase(server.url, 1);
    const database = quoteIdentifier(name);
    const [facts] = await admin.query<{ version: string }>(
      `select current_setting('server_version') as version`,
    );
    return {
      embedded: true,
      description: `embedded Postgres ${facts?.version ?? ''}`,
      databaseUrl: withDatabase(server.url, name),
      stateDirectory,
      recreate: () =>
        admin.session(async (session) => {
          await session.query(`drop database if exists ${database} with (force)`);
          await session.query(`create database ${database}`);
        }),
      exists: async () =>
        (await admin.query('select from pg_database where datname = $1', [name])).length > 0,
      async close() {
        await admin.close();
        await server.stop();
        await lock.release();
      },
    };
  } catch (error) {
    await lock.release();
    throw error;
  }
};

const OLDEST = 150_000;

/** Which database it is, whoever connects: two logins of one database share a run. */
const identityOf = async (db: Database) => {
  const [facts] = await db.query<{ number: number; version: string; name: string }>(
    `select current_setting('server_version_num')::int as number, current_setting('server_version') as version, current_database() as name`,
  );
  if (facts === undefined || facts.number < OLDEST)
    throw new InvalidInput(
      `DATABASE_URL names a Postgres ${facts?.version ?? ''}; versions 15 to 18 are supported`,
    );
  return facts;
};

const givenTarget = async (options: TargetOptions, databaseUrl: string): Promise<Target> => {
  if (!URL.canParse(databaseUrl))
    throw new InvalidInput(
      'DATABASE_URL is not a URL: write it as postgres://user:password@host:port/database',
    );
  const db = openDatabase(databaseUrl, 1);
  try {
    const { version, name } = await identityOf(db);
    const { host } = new URL(databaseUrl);
    const identity = createHash('sha256').update(`${host} ${name}`).digest('hex').slice(0, 12);
    const home = homeOf(options);
    await mkdir(home, { recursive: true, mode: 0o755 });
    const stateDirectory = join(home, `run-${identity}`);
    const lock = await lockState(stateDirectory);
    return {
      embedded: false,
      description: `Postgres ${version.split(' ')[0]}, database "${name}"`,
      databaseUrl,
      stateDirectory,
      recreate: () => Promise.reject(new InvalidInput('a given database is never dropped')),
      exists: async () => true,
      close: () => lock.release(),
    };
  } finally {
    await db.close();
  }
};

/**
 * Opens the database that the options name: the given one, or the embedded one, which is started. A given one
 * has one state whatever it is used for, for it has one set of flags.
 *
 * @throws {DataDirectoryInUseError} when another process is at the same run.
 * @throws {InvalidInput} for an address or a version that will not do.
 */
export const openTarget = (options: TargetOptions, use: Use): Promise<Target> =>
  options.databaseUrl === undefined
    ? embeddedTarget(options, use)
    : givenTarget(options, options.databaseUrl);
