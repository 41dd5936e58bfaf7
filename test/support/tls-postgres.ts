import { chmod, chown, copyFile, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { THROW_AWAY } from '../../infra/local/postgres/settings.ts';
import { startPostgres } from '../../infra/local/postgres/start.ts';

const FIXTURES = join(import.meta.dirname, '..', 'fixtures', 'tls');

/** A throw-away server that speaks TLS as `localhost`, with a certificate of an authority of the tests' own. */
export interface TlsPostgres {
  readonly port: number;
  /** The authority's certificate. */
  readonly ca: string;
  /** As the superuser, without TLS. */
  query(text: string, values?: readonly unknown[]): Promise<Record<string, unknown>[]>;
  stop(): Promise<void>;
}

export const startTlsPostgres = async (): Promise<TlsPostgres> => {
  const server = await startPostgres({ ephemeral: true, settings: THROW_AWAY });
  const { uid, gid } = await stat(server.dataDirectory);
  for (const file of ['server.pem', 'server.key']) {
    const copy = join(server.dataDirectory, file);
    await copyFile(join(FIXTURES, file), copy);
    await chown(copy, uid, gid);
    await chmod(copy, 0o600);
  }
  const admin = new pg.Client({ connectionString: server.url });
  await admin.connect();
  await admin.query(`alter system set ssl_cert_file = 'server.pem'`);
  await admin.query(`alter system set ssl_key_file = 'server.key'`);
  await admin.query(`alter system set ssl = on`);
  await admin.query('select pg_reload_conf()');
  return {
    port: Number(new URL(server.url).port),
    ca: await readFile(join(FIXTURES, 'ca.pem'), 'utf8'),
    query: async (text, values = []) => (await admin.query(text, [...values])).rows,
    async stop() {
      await admin.end();
      await server.stop({ mode: 'immediate' });
    },
  };
};
