import { connect, createServer, type Socket } from 'node:net';
import type { Database } from '@unified-kits/data';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { databaseOf } from '../../functions/runtime/database.ts';
import { DatabaseLogin } from '../../functions/runtime/database-login.ts';
import { readEnvironment, withEnvironment } from '../../functions/runtime/environment.ts';
import { openSecretDatabase } from '../../functions/runtime/secret-database.ts';
import { type SecretsManager, secretsManager } from '../support/secrets-manager.ts';
import { eventually } from '../support/system.ts';
import { startTlsPostgres, type TlsPostgres } from '../support/tls-postgres.ts';

const SECRET = 'unified-kits/test/migration';

let server: TlsPostgres;
let aws: SecretsManager;
let opened: Database[];

const storeLogin = (username: string, password: string) =>
  aws.secrets.set(SECRET, JSON.stringify({ username, password, engine: 'postgres' }));

const setPassword = (role: string, password: string) =>
  server.query(`alter role ${role} password '${password}'`);

const open = (given: { host?: string; port?: number; ca?: string } = {}): Database => {
  const { host = 'localhost', port = server.port, ca = server.ca } = given;
  const database = openSecretDatabase({
    url: `postgres://${host}:${port}/postgres`,
    login: new DatabaseLogin(aws.client, SECRET),
    ca: [ca],
  });
  opened.push(database);
  return database;
};

const whoAmI = async (database: Database): Promise<string | undefined> =>
  (await database.query<{ name: string }>('select session_user as name'))[0]?.name;

/** Ends the pool's connections from the server's side, and waits until the pool has heard. */
const endConnections = async (database: Database) => {
  await server.query(
    `select pg_terminate_backend(pid) from pg_stat_activity where usename like 'kits%'`,
  );
  await eventually(
    async () => database.pool.totalCount,
    (count) => count === 0,
  );
};

beforeAll(async () => {
  server = await startTlsPostgres();
  aws = await secretsManager();
});
afterAll(async () => {
  await aws.close();
  await server.stop();
});

beforeEach(async () => {
  opened = [];
  await server.query(`create role kits_login login password 'first'`);
  storeLogin('kits_login', 'first');
});
afterEach(async () => {
  vi.restoreAllMocks();
  for (const database of opened) if (!database.pool.ending) await database.close();
  await server.query('drop role kits_login');
});

describe('the login', () => {
  it('is the one that the secret holds, read once, and goes over TLS', async () => {
    const database = open();
    const rows = await database.query(
      'select session_user, ssl from pg_stat_ssl where pid = pg_backend_pid()',
    );
    expect(rows).toEqual([{ session_user: 'kits_login', ssl: true }]);
    expect(await whoAmI(database)).toBe('kits_login');
    expect(aws.reads()).toBe(1);
  });

  it('is read anew once the password has changed underneath', async () => {
    const database = open();
    await whoAmI(database);
    const before = aws.reads();
    await setPassword('kits_login', 'second');
    storeLogin('kits_login', 'second');
    await endConnections(database);
    expect(await whoAmI(database)).toBe('kits_login');
    expect(aws.reads()).toBe(before + 1);
  });

  it('is read anew when a rotation gave it another user', async () => {
    const database = open();
    await whoAmI(database);
    await server.query(`create role kits_clone login password 'second'`);
    try {
      await setPassword('kits_login', 'retired');
      storeLogin('kits_clone', 'second');
      await endConnections(database);
      expect(await whoAmI(database)).toBe('kits_clone');
    } finally {
      await server.query('drop role kits_clone');
    }
  });

  it('is refused as passing while the secret lags behind the database, and never quoted', async () => {
    const database = open();
    await setPassword('kits_login', 'ahead');
    const failure = await whoAmI(database).catch((error: unknown) => error);
    expect(failure).toMatchObject({ name: 'DatabaseUnwell' });
    expect(String(failure)).not.toMatch(/first|ahead/);
    storeLogin('kits_login', 'ahead');
    expect(await whoAmI(database)).toBe('kits_login');
  });

  it('is worth another try when Secrets Manager is down, and works when it is back', async () => {
    const database = open();
    aws.failNext('GetSecretValue', 'InternalServerError', 3);
    await expect(whoAmI(database)).rejects.toMatchObject({ name: 'DatabaseUnwell' });
    expect(await whoAmI(database)).toBe('kits_login');
  });

  it.each([
    ['there is no such secret', undefined],
    ['it is not JSON', 'hunter2'],
    ['it lacks a password', '{"username": "hunter2"}'],
  ])('is unusable when %s, and what it holds is not told', async (_why, content) => {
    if (content === undefined) aws.secrets.delete(SECRET);
    else aws.secrets.set(SECRET, content);
    const failure = await whoAmI(open()).catch((error: unknown) => error);
    expect(failure).toMatchObject({ name: 'SecretUnusable' });
    expect(String(failure)).not.toContain('hunter2');
  });
});

describe('the certificate', () => {
  it('must lead to an authority that is trusted: RDS did not sign this one', async () => {
    const url = `postgres://localhost:${server.port}/postgres`;
    const variables = {
      DATABASE_URL: url,
      DATABASE_SECRET_ID: SECRET,
      AWS_ENDPOINT_URL: aws.endpoint,
      AWS_REGION: 'eu-central-1',
      AWS_ACCESS_KEY_ID: 'test',
      AWS_SECRET_ACCESS_KEY: 'test',
    };
    const database = withEnvironment({ variables, log: () => {} }, () =>
      databaseOf(readEnvironment()),
    );
    opened.push(database);
    await expect(whoAmI(database)).rejects.toThrow(/unable to verify|self-signed/);
  });

  it('must name the host', async () => {
    await expect(whoAmI(open({ host: '127.0.0.1' }))).rejects.toThrow(/IP: 127\.0\.0\.1/);
  });
});

describe('a connection', () => {
  /** A way to the server that can be cut, or silenced: packets then go nowhere and nobody is told. */
  const detour = async () => {
    const sockets = new Set<Socket>();
    let silent = new Set<Socket>();
    let refusals = 0;
    const proxy = createServer((client) => {
      if (refusals > 0) {
        refusals -= 1;
        client.destroy();
        return;
      }
      const upstream = connect(server.port, '127.0.0.1');
      for (const [from, to] of [
        [client, upstream],
        [upstream, client],
      ] as const) {
        sockets.add(from);
        from.on('error', () => to.destroy());
        from.on('close', () => to.destroy());
        from.on('data', (data) => {
          if (!silent.has(from)) to.write(data);
        });
      }
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    const address = proxy.address();
    if (address === null || typeof address === 'string') throw new TypeError('a port');
    return {
      port: address.port,
      silence: () => {
        silent = new Set(sockets);
      },
      refuse: (times: number) => {
        refusals = times;
      },
      close: () => {
        for (const socket of sockets) socket.destroy();
        proxy.close();
      },
    };
  };

  it('that the server ended while nobody used it is replaced', async () => {
    const database = open();
    await whoAmI(database);
    await endConnections(database);
    expect(await whoAmI(database)).toBe('kits_login');
  });

  it('that went dead in silence while the process was frozen is replaced', async () => {
    const way = await detour();
    const database = open({ port: way.port });
    await whoAmI(database);
    way.silence();
    const now = Date.now();
    vi.spyOn(Date, 'now').mockReturnValue(now + 60_000);
    expect(await whoAmI(database)).toBe('kits_login');
    expect(database.pool.totalCount).toBe(1);
    await database.close();
    way.close();
  });

  it('that cannot be had is asked for once more, and no more than that', async () => {
    const way = await detour();
    const database = open({ port: way.port });
    way.refuse(1);
    expect(await whoAmI(database)).toBe('kits_login');
    await endConnections(database);
    way.refuse(2);
    await expect(whoAmI(database)).rejects.toThrow(/ECONNRESET|terminated|disconnected/);
    expect(await whoAmI(database)).toBe('kits_login');
    await database.close();
    way.close();
  });

  it('is one of two at most', async () => {
    const database = open();
    await Promise.all([1, 2, 3, 4].map(() => whoAmI(database)));
    expect(database.pool.totalCount).toBe(2);
  });
});

describe('the place', () => {
  it.each([
    ['postgres://kits_login:first@localhost/postgres', /leave them out/],
    ['postgres://localhost/postgres?sslmode=disable', /leave them out/],
    ['postgres://localhost:5432', /postgres:\/\/host:5432\/database/],
    ['localhost', /postgres:\/\/host:5432\/database/],
  ])('is refused as %s, without a word of it', (url, message) => {
    const login = new DatabaseLogin(aws.client, SECRET);
    const refused = () => openSecretDatabase({ url, login, ca: [] });
    expect(refused).toThrow(message);
    expect(refused).not.toThrow(/first/);
  });
});
