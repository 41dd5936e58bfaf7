import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Binding, deleteBatch, drain, flip, openDatabase } from '@unified-kits/data';
import {
  type Caller,
  type MappingInput,
  parseMapping,
  type Stage,
  stagePath,
} from '@unified-kits/domain';
import pg from 'pg';
import { type ApiResponse, type ApiRig, apiOn } from './api.ts';
import { freshDatabase } from './database.ts';
import { stageOf } from './system.ts';

/** Another organisation: its tables, its rows, and what a mapping says of them. */
export interface Organisation {
  readonly ddl: string;
  readonly mapping: MappingInput;
  readonly client: Caller;
  readonly practitioner: Caller;
}

/** The whole system on an organisation's database. */
export const mappedApi = async ({
  ddl,
  mapping,
}: Pick<Organisation, 'ddl' | 'mapping'>): Promise<ApiRig> => {
  const database = await freshDatabase({
    template: {
      name: `organisation ${createHash('sha256').update(ddl).digest('hex')}`,
      async build(url) {
        const client = new pg.Client({ connectionString: url });
        await client.connect();
        await client.query(ddl);
        await client.end();
      },
    },
  });
  const db = openDatabase(database.url, 6);
  const directory = await mkdtemp(join(tmpdir(), 'uk-mapping-'));
  const mappingPath = join(directory, 'mapping.json');
  await writeFile(mappingPath, JSON.stringify(mapping));
  const legacy = {
    ...database,
    get pool() {
      return database.pool;
    },
    db,
    mapping: parseMapping(mapping),
  };
  // The schedule stays away: a test that flips on its own does not have its flips put back.
  const rig = await apiOn(legacy, { mappingPath, scheduleSeconds: 3_600 });
  // What an organisation's own services may do already.
  const { rows } = await database.pool.query(
    `select distinct quote_ident(nspname) as name from pg_namespace where nspname !~ '^pg_' and nspname not in ('information_schema', 'migration', 'kits_service')`,
  );
  for (const { name } of rows)
    await database.pool.query(
      `grant usage on schema ${name} to kits_app; grant usage on all sequences in schema ${name} to kits_app`,
    );
  return {
    ...rig,
    async close() {
      await rig.close();
      await db.close();
      await database.drop();
      await rm(directory, { recursive: true });
    },
  };
};

/** Holds flags and stage as they are: nobody reconciles them until the session ends. */
export const holdFlags = async (rig: ApiRig): Promise<pg.Client> => {
  const session = await rig.legacy.client();
  await session.query(`select pg_advisory_lock(hashtextextended('unified-kits reconcile', 0))`);
  return session;
};

/** All the way back, as the rollback workflow goes. */
export const rollBackTo = async (rig: ApiRig, binding: Binding): Promise<void> => {
  const { db, pool } = rig.legacy;
  const reconciling = await holdFlags(rig);
  const far = Date.now() + 60_000;
  const { rows } = await pool.query('select batch_id as id from migration.stage');
  for (const to of stagePath((await stageOf(rig)) as Stage, 'legacy')) {
    if ((await stageOf(rig)) !== 'copying') await drain(db, binding, far);
    await flip(db, binding, { to, phase: 'test', actor: 'test' });
  }
  await deleteBatch(db, binding, rows[0].id, far);
  await reconciling.end();
};

const UUID = /[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}/g;
const TIME = /\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d(?::\d\d)?)?)?/g;
const DAY_MS = 86_400_000;
const isRecent = (time: string) =>
  Math.abs(Date.parse(time.slice(0, 10)) - Date.now()) < 2 * DAY_MS;

/** A text without what is made anew each time: UUIDs, and times of today. */
export const lasting = (text: string): string =>
  text.replaceAll(UUID, '<uuid>').replaceAll(TIME, (time) => (isRecent(time) ? '<now>' : time));

/** A response without what is made anew each time; legacy ids too, for sequences have gaps. */
export const lastingResponse = ({ status, text, headers }: ApiResponse): unknown => ({
  status,
  text: lasting(text)
    .replace(/^\{"id":(?:\d+|"[^"]*")/, '{"id":"<id>"')
    .replace(/"legacyId":"[^"]*"/, '"legacyId":"<id>"')
    .replace(/urn:request:[^"]+/, '<request>'),
  headers: [...headers.keys()].filter((name) => !['date', 'content-length'].includes(name)).sort(),
});

/** Rows of a table by another column than their id, as they last. */
export const lastingRows = async (
  rig: ApiRig,
  relation: string,
  id: string,
  order: string,
): Promise<unknown[]> =>
  (
    await rig.legacy.pool.query(
      `select (to_jsonb(t) - $1)::text as row from ${relation} t order by ${order} collate "C"`,
      [id],
    )
  ).rows.map(({ row }) => lasting(row));
