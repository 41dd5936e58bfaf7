import type { Session } from '../connection/database.ts';
import { type HealthFinding, orOk } from './finding.ts';

const OLDEST = 150_000;
const NEWEST = 190_000;
const MEBIBYTE = 1024 * 1024;
const LEAST_WAL_BYTES = 1024 * MEBIBYTE;
/** Of the server's connections: fewer than the functions together may need at once. */
const LEAST_FREE_CONNECTIONS = 20;

interface Server {
  readonly number: number;
  readonly version: string;
  readonly standby: boolean;
  readonly readOnly: boolean;
  readonly fsync: boolean;
  readonly synchronousCommit: string;
  readonly autovacuum: boolean;
  readonly walCompression: string;
  readonly maxWalBytes: number;
  readonly connections: number;
  readonly maxConnections: number;
  readonly databaseBytes: number;
}

const READ = `
  select current_setting('server_version_num')::int as number, current_setting('server_version') as version,
         pg_is_in_recovery() as standby,
         coalesce((select setting = 'on' from pg_settings where name = 'default_transaction_read_only'), false) as "readOnly",
         current_setting('fsync')::bool as fsync,
         (select reset_val from pg_settings where name = 'synchronous_commit') as "synchronousCommit",
         current_setting('autovacuum')::bool as autovacuum, current_setting('wal_compression') as "walCompression",
         pg_size_bytes(current_setting('max_wal_size'))::float8 as "maxWalBytes",
         (select count(*)::int from pg_stat_activity where backend_type = 'client backend') as connections,
         current_setting('max_connections')::int as "maxConnections",
         pg_database_size(current_database())::float8 as "databaseBytes"`;

const finding = (
  holds: boolean,
  level: HealthFinding['level'],
  message: string,
  fix: string,
): HealthFinding[] => (holds ? [{ check: 'server', level, message, fix }] : []);

/** The server's version and settings, as far as the migration rests on them. Needs no privilege. */
export const checkServer = async (session: Session): Promise<readonly HealthFinding[]> => {
  const server: Server = (await session.query(READ)).rows[0];
  const free = server.maxConnections - server.connections;
  const findings = [
    ...finding(
      server.number < OLDEST || server.number >= NEWEST,
      'fault',
      `Postgres ${server.version} is not supported`,
      'use Postgres 15 to 18',
    ),
    ...finding(
      server.standby,
      'fault',
      'this is a standby, which nobody can write to',
      'let DATABASE_URL name the primary',
    ),
    ...finding(
      server.readOnly,
      'fault',
      'transactions are read-only by default for this login',
      'ALTER ROLE … RESET default_transaction_read_only, or connect to the primary',
    ),
    ...finding(
      !server.fsync,
      'fault',
      'fsync is off: a crash of the host may lose or corrupt the database',
      'set fsync to on before anything is migrated',
    ),
    ...finding(
      server.synchronousCommit === 'off',
      'warning',
      'synchronous_commit is off: a crash loses writes that clients were told are done',
      'set synchronous_commit to on, or know that it is so with and without the migration',
    ),
    ...finding(
      !server.autovacuum,
      'warning',
      'autovacuum is off: the migration leaves dead rows behind',
      'set autovacuum to on, or vacuum kits and both legacy tables by hand',
    ),
    ...finding(
      server.walCompression === 'pglz',
      'warning',
      'wal_compression is pglz: just after a checkpoint the drain is about four times slower',
      'set wal_compression to lz4, zstd or off for the migration',
    ),
    ...finding(
      server.maxWalBytes < LEAST_WAL_BYTES,
      'warning',
      `max_wal_size is ${Math.round(server.maxWalBytes / MEBIBYTE)} MiB: the copy will force checkpoints`,
      'set max_wal_size to 1 GiB or more for the copy',
    ),
    ...finding(
      free < LEAST_FREE_CONNECTIONS,
      'warning',
      `${server.connections} of ${server.maxConnections} connections are taken`,
      'raise max_connections, or have clients keep fewer open',
    ),
  ];
  return orOk(
    'server',
    findings,
    `Postgres ${server.version}, ${server.connections} of ${server.maxConnections} connections taken`,
  );
};
