import {
  type Binding,
  bindInstalled,
  type Database,
  installKits,
  openDatabase,
} from '@unified-kits/data';
import { type Mapping, referenceMapping } from '@unified-kits/domain';
import pg from 'pg';
import { REFERENCE_SCHEMA } from '../../infra/local/legacy/reference-schema.ts';
import { freshDatabase, type TestDatabase } from './database.ts';

const seedRows = (rows: number) => `
insert into users select md5('user' || n)::uuid from generate_series(0, 49) n;
insert into practitioners select md5('practitioner' || n)::uuid, md5('user' || n)::uuid from generate_series(0, 9) n;
insert into kit (kit_number, user_id, status, kit_type, order_id, metadata, notes, registered_at, created_at, updated_at)
select 'K' || n, md5('user' || n % 50)::uuid, (array['created', 'registered', 'processing', 'completed'])[1 + n % 4], 'DNA', 'O' || n,
       case when n % 3 = 0 then jsonb_build_object('n', n) end, case when n % 2 = 0 then 'note ' || n end,
       timestamptz '2024-01-01' + n * interval '1 hour 1 microsecond', timestamptz '2023-01-01' + n * interval '1 minute', now()
  from generate_series(1, ${rows}) n;
insert into practitioner_kits (id, kit_number, practitioner_id, patient_name, patient_email, status, kit_type, metadata, created_at, updated_at)
select md5('pk' || n)::uuid, 'P' || n, md5('practitioner' || n % 10)::uuid, 'Patient ' || n, 'p' || n || '@example.net',
       (array['ordered', 'sampled', 'at_lab', 'reported'])[1 + n % 4], 'GUT', jsonb_build_object('n', n),
       timestamptz '2023-06-01' + n * interval '1 minute', now()
  from generate_series(1, ${rows}) n;
analyze kit; analyze practitioner_kits;
`;

export interface LegacyDatabase extends TestDatabase {
  readonly db: Database;
  readonly mapping: Mapping;
}

/** A database with the reference schema and `rows` rows in each source. */
export const legacyDatabase = async (rows = 100): Promise<LegacyDatabase> => {
  const database = await freshDatabase({
    template: {
      name: `reference-${rows}`,
      async build(url) {
        const client = new pg.Client({ connectionString: url });
        await client.connect();
        await client.query(REFERENCE_SCHEMA);
        await client.query(seedRows(rows));
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
    mapping: referenceMapping,
    async drop() {
      await db.close();
      await database.drop();
    },
  };
};

/** Phase 1 on such a database. */
export const installed = async (legacy: LegacyDatabase): Promise<Binding> => {
  await installKits(legacy.db, legacy.mapping, 'test');
  return legacy.db.transaction({}, (session) => bindInstalled(session, legacy.mapping));
};
