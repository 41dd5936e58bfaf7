import pg from 'pg';
import { CANONICAL_FORMATS, CANONICAL_SETTINGS } from './settings.ts';

/** A session inside a transaction. */
export type Session = pg.ClientBase;

/** The roles of DESIGN section 3; the engine's own statements run as the first. */
export const ENGINE_ROLE = 'kits_owner';
export const APPLICATION_ROLE = 'kits_app';
export const READONLY_ROLE = 'kits_readonly';

export interface TransactionOptions {
  /** How long a statement may wait for a lock, in milliseconds. */
  readonly lockTimeoutMs?: number;
  /** How long a statement may run, in milliseconds. */
  readonly statementTimeoutMs?: number;
  /** Run as the engine's role, which the fence lets through. Off for what needs the tables' owner. */
  readonly asEngine?: boolean;
  /**
   * As a service of the organisation's: names resolve by the login's own search_path, and row security
   * applies. The engine's settings would break the organisation's own triggers and bypass its policies.
   */
  readonly asApplication?: boolean;
  readonly isolation?: 'read committed' | 'repeatable read';
  readonly readOnly?: boolean;
  /** Off for work whose bookkeeping commits with it, so that a crash loses both or none. */
  readonly synchronousCommit?: boolean;
}

const DEFAULTS = { lockTimeoutMs: 1_000, statementTimeoutMs: 60_000 } as const;

/** Connections to one Postgres, and transactions with the engine's settings. */
export interface Database {
  readonly pool: pg.Pool;
  transaction<Result>(
    options: TransactionOptions,
    work: (session: Session) => Promise<Result>,
  ): Promise<Result>;
  /** One statement in a transaction of its own. */
  query<Row extends pg.QueryResultRow>(
    text: string,
    values?: readonly unknown[],
    options?: TransactionOptions,
  ): Promise<Row[]>;
  /**
   * A session outside any transaction, for what refuses to run inside one (VACUUM).
   * Settings made on it are the caller's to undo.
   */
  session<Result>(work: (session: Session) => Promise<Result>): Promise<Result>;
  close(): Promise<void>;
}

const beginStatement = (options: TransactionOptions): string => {
  const isolation = options.isolation ?? 'read committed';
  const settings: [string, string][] = [
    ...Object.entries(options.asApplication === true ? CANONICAL_FORMATS : CANONICAL_SETTINGS),
    ['lock_timeout', String(options.lockTimeoutMs ?? DEFAULTS.lockTimeoutMs)],
    ['statement_timeout', String(options.statementTimeoutMs ?? DEFAULTS.statementTimeoutMs)],
    // A dead worker's session must not hold its locks for ever.
    ['idle_in_transaction_session_timeout', '60000'],
  ];
  if (options.synchronousCommit === false) settings.push(['synchronous_commit', 'off']);
  return [
    `begin isolation level ${isolation}${options.readOnly === true ? ' read only' : ''}`,
    ...settings.map(([name, value]) =>
      name === 'search_path'
        ? `set local search_path = ${value}`
        : `set local ${name} = '${value}'`,
    ),
    ...(options.asEngine === true ? [`set local role "${ENGINE_ROLE}"`] : []),
  ].join('; ');
};

/**
 * Opens a pool. `max` counts connections: a Lambda needs one per lane it runs.
 *
 * @param connection a connection string, or node-postgres settings
 * @param acquire how a session gets its connection; it may try again where the pool alone would give up
 */
export const openDatabase = (
  connection: string | pg.PoolConfig,
  max = 4,
  acquire: (pool: pg.Pool) => Promise<pg.PoolClient> = (pool) => pool.connect(),
): Database => {
  const pool = new pg.Pool({
    ...(typeof connection === 'string' ? { connectionString: connection } : connection),
    max,
    application_name: 'unified-kits',
    allowExitOnIdle: true,
  });
  // An idle connection that breaks would otherwise end the process; the pool discards it by itself.
  pool.on('error', () => {});
  // The pool stops listening when it hands a connection out, and a server that ends it in the same packet as
  // its greeting is quicker than whoever asked for it: without a listener that would end the process, too.
  pool.on('connect', (client) => client.on('error', () => {}));

  const session: Database['session'] = async (work) => {
    const client = await acquire(pool);
    let broken: Error | undefined;
    const onError = (error: Error) => {
      broken = error;
    };
    client.on('error', onError);
    try {
      return await work(client);
    } finally {
      client.off('error', onError);
      client.release(broken);
    }
  };

  const transaction: Database['transaction'] = (options, work) =>
    session(async (client) => {
      await client.query(beginStatement(options));
      try {
        const result = await work(client);
        await client.query('commit');
        return result;
      } catch (error) {
        // The first error is the one to tell; a rollback on a dead connection has nothing to add.
        await client.query('rollback').catch(() => {});
        throw error;
      }
    });

  return {
    pool,
    session,
    transaction,
    query: (text, values = [], options = {}) =>
      transaction(options, async (client) => (await client.query(text, [...values])).rows),
    close: () => pool.end(),
  };
};
