import { readFile } from 'node:fs/promises';
import { type Database, loadMapping, openDatabase } from '@unified-kits/data';
import type { Mapping } from '@unified-kits/domain';
import pg from 'pg';
import { freshDatabase, type TestDatabase } from './database.ts';

const FIXTURE = new URL('../fixtures/clinic-legacy.sql', import.meta.url);

export interface ClinicDatabase extends TestDatabase {
  readonly db: Database;
  readonly mapping: Mapping;
}

/** The clinic's own database, as its dump says. */
export const clinicDatabase = async (): Promise<ClinicDatabase> => {
  const database = await freshDatabase({
    template: {
      name: 'clinic',
      async build(url) {
        const client = new pg.Client({ connectionString: url });
        await client.connect();
        await client.query(await readFile(FIXTURE, 'utf8'));
        await client.query('analyze');
        await client.end();
      },
    },
  });
  const db = openDatabase(database.url, 6);
  return {
    ...database,
    get pool() {
      return database.pool;
    },
    db,
    mapping: await loadMapping('test/fixtures/clinic.mapping.ts'),
    async drop() {
      await db.close();
      await database.drop();
    },
  };
};

/** Every row of the three tables as text, in order. */
export const clinicContent = async (database: TestDatabase): Promise<Record<string, string[]>> => {
  const content: Record<string, string[]> = {};
  for (const table of ['kit', 'practitioner_kits', 'kit_result', 'practitioner', 'user']) {
    const { rows } = await database.pool.query(
      `select t::text as row from app."${table}" t order by t.id`,
    );
    content[table] = rows.map(({ row }) => row);
  }
  return content;
};
