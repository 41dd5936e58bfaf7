import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { REFERENCE_SCHEMA } from '../../infra/local/legacy/reference-schema.ts';
import { THROW_AWAY } from '../../infra/local/postgres/settings.ts';
import { type LocalPostgres, startPostgres } from '../../infra/local/postgres/start.ts';
import { smallDisk } from './small-disk.ts';

/** Where the databases of runs are. */
export interface ProveServer {
  /** Of a superuser. */
  readonly url: string;
  /** Stops it at once, as a crash does, and starts it again; undefined for a server that others use, too. */
  readonly crash: (() => Promise<void>) | undefined;
  /** Fills the server's disk, and frees it after so many milliseconds; undefined where that cannot be had. */
  readonly fillDisk: ((milliseconds: number) => Promise<void>) | undefined;
  close(): Promise<void>;
}

/** What a crash of the server must not undo is written through to the system; a power cut is not tried here. */
const SETTINGS = {
  ...THROW_AWAY,
  synchronous_commit: 'on',
  log_min_messages: 'fatal',
  max_wal_size: '128MB',
};

const onServer = async <Result>(
  url: string,
  work: (client: pg.Client) => Promise<Result>,
): Promise<Result> => {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
};

/** A server of our own. */
export const ownServer = async (): Promise<ProveServer> => {
  // Not `mkdtemp`, whose folder the server's user could not enter.
  const home = join(tmpdir(), `kits-prove-${randomUUID()}`);
  const disk = await smallDisk(home);
  const dataDirectory = join(home, 'data');
  const settings = SETTINGS;
  let server: LocalPostgres = await startPostgres({ dataDirectory, settings });
  const { url } = server;
  const port = Number(new URL(url).port);
  const crash = async () => {
    await server.stop({ mode: 'immediate' });
    server = await startPostgres({ dataDirectory, settings, port });
  };
  return {
    url,
    crash,
    fillDisk:
      disk &&
      (async (milliseconds) => {
        await disk.fill();
        try {
          await sleep(milliseconds);
        } finally {
          await disk.free();
        }
        // Without room for its log the server gives up; somebody starts it again.
        await onServer(url, (client) => client.query('select')).catch(crash);
      }),
    async close() {
      await server.stop({ mode: 'immediate' });
      await disk?.remove();
      await rm(home, { recursive: true, force: true });
    },
  };
};

/** Kits of each source; with what is born meanwhile a run stays below 300 rows. */
export const ROWS = 48;
/** Owners: clients and practitioners, whose users are others. */
export const CLIENTS = 6;
export const PRACTITIONERS = 4;

const SEED = `
insert into users select md5('user' || n)::uuid from generate_series(0, 59) n;
insert into practitioners select md5('practitioner' || n)::uuid, md5('user' || 10 + n)::uuid from generate_series(0, ${PRACTITIONERS - 1}) n;
insert into kit (kit_number, user_id, kit_type, order_id, metadata, notes, created_at, updated_at)
select 'K' || n, md5('user' || n % ${CLIENTS})::uuid, 'DNA', 'O' || n, case when n % 3 = 0 then jsonb_build_object('n', n) end,
       case when n % 2 = 0 then 'note ' || n end, timestamptz '2023-01-01' + n * interval '1 minute 1 microsecond', '2024-01-01'
  from generate_series(1, ${ROWS}) n;
insert into practitioner_kits (id, kit_number, practitioner_id, patient_name, patient_email, kit_type, metadata, created_at, updated_at)
select md5('pk' || n)::uuid, 'P' || n, md5('practitioner' || n % ${PRACTITIONERS})::uuid, 'Patient ' || n, 'p' || n || '@example.net',
       'GUT', jsonb_build_object('n', n), timestamptz '2023-06-01' + n * interval '1 minute', '2024-01-01'
  from generate_series(1, ${ROWS}) n;
analyze kit; analyze practitioner_kits;`;

export const onDatabase = (url: string, name: string): string => {
  const changed = new URL(url);
  changed.pathname = `/${name}`;
  return changed.href;
};

export interface ProveDatabase {
  readonly url: string;
  drop(): Promise<void>;
}

/** A database of its own with the reference schema and its kits. */
export const proveDatabase = async ({ url }: Pick<ProveServer, 'url'>): Promise<ProveDatabase> => {
  const name = `prove_${randomUUID().slice(0, 8)}`;
  await onServer(url, (client) => client.query(`create database ${name} template template0`));
  const own = onDatabase(url, name);
  await onServer(own, async (client) => {
    await client.query(REFERENCE_SCHEMA);
    await client.query(SEED);
  });
  return {
    url: own,
    async drop() {
      await onServer(url, (client) => client.query(`drop database if exists ${name} with (force)`));
    },
  };
};
