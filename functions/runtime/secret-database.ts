import { setTimeout as sleep } from 'node:timers/promises';
import { type Database, hasSqlState, openDatabase } from '@unified-kits/data';
import { DatabaseUnwell, InvalidInput } from '@unified-kits/domain';
import pg from 'pg';
import type { DatabaseLogin } from './database-login.ts';
import { isPassingFault } from './faults.ts';

export interface SecretDatabaseOptions {
  /** `postgres://host:5432/database`: the place alone. */
  readonly url: string;
  readonly login: DatabaseLogin;
  /** Certificate authorities that the server's certificate must lead to, as PEM texts. */
  readonly ca: readonly string[];
}

/** One works; a second is opened only to hold the lock of `exclusively` meanwhile. */
const MOST_CONNECTIONS = 2;

/** How long a connection, or a turn on a busy pool, may take to be had. */
const CONNECT_TIMEOUT_MS = 10_000;

/** Between a connection that could not be had and the second try. */
const PAUSE_MS = 200;

/** A connection unused for this long may be gone: a process that was frozen heard of nothing. */
const STALE_AFTER_MS = 5_000;

/** How long a live connection may take to say so. */
const ANSWER_MS = 2_000;

/** Wrong password; no such role, or no rule that lets it in: what a rotation looks like from here. */
const LOGIN_REFUSED = ['28P01', '28000'] as const;

const placeOf = (text: string): { host: string; port: number; database: string } => {
  const url = URL.parse(text);
  const database = decodeURIComponent(url?.pathname.slice(1) ?? '');
  if (url === null || !/^postgres(ql)?:$/.test(url.protocol) || !url.hostname || !database)
    throw new InvalidInput('DATABASE_URL must be like postgres://host:5432/database');
  if (url.username || url.password || url.search)
    throw new InvalidInput(
      'DATABASE_URL names a user or options although DATABASE_SECRET_ID gives the login: leave them out',
    );
  return { host: url.hostname, port: Number(url.port || 5432), database };
};

/** A driver's client that logs in as whoever the secret names when it is made: rotations may change the user, too. */
const clientOf = (login: DatabaseLogin) =>
  class extends pg.Client {
    constructor(config?: string | pg.ClientConfig) {
      super({ ...(typeof config === 'object' ? config : {}), ...login.known });
    }
  };

const answers = (client: pg.PoolClient): Promise<boolean> =>
  Promise.race([
    client.query('select').then(
      () => true,
      () => false,
    ),
    sleep(ANSWER_MS, false, { ref: false }),
  ]);

/**
 * Opens a pool whose login a secret holds, over TLS, the server's certificate and name verified. A
 * connection that cannot be had is asked for once more, and a login that the database refuses is read anew
 * before that: so a failover and a rotation pass unnoticed.
 *
 * A session fails with `DatabaseUnwell` when the database refuses a login that its secret still holds: the
 * password is changed before the secret is, so the middle of a rotation looks like this.
 *
 * @throws {InvalidInput} when the URL names more, or less, than a place.
 */
export const openSecretDatabase = ({ url, login, ca }: SecretDatabaseOptions): Database => {
  const lastUsed = new WeakMap<pg.PoolClient, number>();

  const working = async (pool: pg.Pool): Promise<pg.PoolClient> => {
    const client = await pool.connect();
    const used = lastUsed.get(client);
    if (used === undefined || Date.now() - used < STALE_AFTER_MS) return client;
    if (await answers(client)) return client;
    client.release(true);
    return pool.connect();
  };

  const acquire = async (pool: pg.Pool): Promise<pg.PoolClient> => {
    const given = await login.read();
    try {
      return await working(pool);
    } catch (error) {
      if (hasSqlState(error, ...LOGIN_REFUSED)) {
        const { user, password } = await login.readAfter(given);
        if (user === given.user && password === given.password)
          throw new DatabaseUnwell(
            `the database refused the login of its secret (${error.code}): a rotation may be under way, try again`,
          );
      } else if (isPassingFault(error)) await sleep(PAUSE_MS);
      else throw error;
      return pool.connect();
    }
  };

  const database = openDatabase(
    {
      ...placeOf(url),
      ssl: { ca: [...ca], rejectUnauthorized: true },
      Client: clientOf(login),
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      // A process that is thawed finds its connection again; the server ends those nobody comes back to.
      idleTimeoutMillis: 0,
      keepAlive: true,
    },
    MOST_CONNECTIONS,
    acquire,
  );
  database.pool.on('release', (_error, client) => lastUsed.set(client, Date.now()));
  return database;
};
