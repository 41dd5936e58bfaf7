import { randomBytes } from 'node:crypto';
import pg from 'pg';
import type { TestProject } from 'vitest/node';
import { THROW_AWAY } from '../../infra/local/postgres/settings.ts';
import { startPostgres } from '../../infra/local/postgres/start.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    /** Connection string of a superuser, or of a user that may create databases. */
    postgresUrl: string;
    /** Distinguishes this run's databases from other runs' on the same server. */
    postgresRun: string;
  }
}

type Shared = {
  readonly url: string;
  readonly run: string;
  stop(): Promise<void>;
};

/**
 * Each vitest project loads this file through a module runner of its own, so a module variable would
 * start a cluster per project; the process is what they share.
 */
const SHARED = Symbol.for('unified-kits.test-postgres');
const registry = globalThis as {
  [SHARED]?: { users: number; server: Promise<Shared> } | undefined;
};

export async function setup(project: TestProject): Promise<() => Promise<void>> {
  registry[SHARED] ??= { users: 0, server: start() };
  const shared = registry[SHARED];
  shared.users += 1;
  const server = await shared.server;
  project.provide('postgresUrl', server.url);
  project.provide('postgresRun', server.run);
  return async () => {
    shared.users -= 1;
    if (shared.users > 0) return;
    registry[SHARED] = undefined;
    await server.stop();
  };
}

async function start(): Promise<Shared> {
  const run = randomBytes(4).toString('hex');
  const given = process.env.DATABASE_URL;
  if (given) return { url: given, run, stop: () => dropLeftovers(given, run) };
  const server = await startPostgres({
    ephemeral: true,
    settings: { ...THROW_AWAY, max_connections: '200', max_prepared_transactions: '5' },
  });
  return { url: server.url, run, stop: () => server.stop({ mode: 'immediate' }) };
}

/** On a server that is not ours, whatever a test forgot to drop, and the templates, go with the run. */
async function dropLeftovers(url: string, run: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  try {
    const { rows } = await client.query<{ name: string }>(
      'select datname as name from pg_database where starts_with(datname, $1)',
      [`uk_${run}_`],
    );
    for (const { name } of rows) {
      await client.query(`drop database if exists ${pg.escapeIdentifier(name)} with (force)`);
    }
  } finally {
    await client.end();
  }
}
