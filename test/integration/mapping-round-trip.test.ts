import {
  type Binding,
  bindInstalled,
  type Database,
  drain,
  flip,
  installKits,
  openDatabase,
  type Projection,
  project,
  quoteIdentifier,
  quoteLiteral,
} from '@unified-kits/data';
import {
  parseMapping,
  SHARED_COLUMNS,
  SOURCES,
  type Source,
  type Stage,
} from '@unified-kits/domain';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { freshDatabase, type TestDatabase } from '../support/database.ts';
import {
  type GeneratedSchema,
  type GeneratedTable,
  generatedSchema,
} from '../support/generated-schema.ts';
import { begin, copyAll, parity } from '../support/migration.ts';

const engine = { asEngine: true } as const;

const fill = async (db: Database, { relation, columns, rows }: GeneratedTable) => {
  const written = columns.filter(({ role }) => role !== 'generated');
  for (const row of rows)
    await db.query(
      `insert into ${relation} (${written.map(({ name }) => quoteIdentifier(name)).join(', ')}) overriding system value
       values (${written.map((_, index) => `$${index + 1}`).join(', ')})`,
      row,
    );
};

/** Every row as the text of its record, in key order, under the engine's settings. */
const snapshot = (db: Database, projection: Projection) =>
  db.query(
    `select ${projection.legacyIdText} as key, s::text as row from ${projection.source.relation} s order by ${projection.legacyKey}`,
  );

const sync = (db: Database, { source }: Projection, routine: string, keys: readonly string[]) =>
  db.query(
    `select migration.${quoteIdentifier(routine)}($1::text[]::${source.idType}[], '{}')`,
    [keys],
    engine,
  );

/** The compared columns that differ, by legacy id. */
const differing = async (db: Database, projection: Projection, keys: readonly string[]) => {
  const { binding, source, compared, legacyFrom, legacyIdText } = projection;
  const side = (which: 'legacy' | 'kits') =>
    compared.map((pair, index) => `${pair[which]} as c${index}`).join(', ');
  const rows = await db.query<{ key: string; differs: boolean[] }>(
    `select l.key, array[${compared.map((_, index) => `l.c${index} is distinct from k.c${index}`).join(', ')}] as differs
       from (select ${legacyIdText} as key, ${side('legacy')} from ${legacyFrom}) l
       join (select k.legacy_id as key, ${side('kits')} from ${binding.kits} k where k.source = $1) k on k.key = l.key
      order by l.key`,
    [source.source],
    engine,
  );
  expect(rows.map(({ key }) => key).sort()).toEqual([...keys].sort());
  return new Map(
    rows.map(({ key, differs }) => [
      key,
      compared.flatMap(({ column }, index) => (differs[index] === true ? [column] : [])),
    ]),
  );
};

interface Prepared {
  readonly database: TestDatabase;
  readonly db: Database;
  readonly binding: Binding;
  readonly schema: GeneratedSchema;
}

/** A database with a generated legacy schema and its rows, and phase 1 done. */
const withSchema = async (schema: GeneratedSchema, test: (prepared: Prepared) => Promise<void>) => {
  const database = await freshDatabase();
  const db = openDatabase(database.url, 2);
  try {
    await database.pool.query(schema.ddl);
    for (const source of SOURCES) await fill(db, schema.tables[source]);
    const mapping = parseMapping(schema.mapping);
    await installKits(db, mapping, 'test');
    const binding = await db.transaction({}, (session) => bindInstalled(session, mapping));
    await test({ database, db, binding, schema });
  } finally {
    await db.close();
    await database.drop();
  }
};

const forward = async (prepared: Prepared, source: Source) => {
  const projection = project(prepared.binding, prepared.binding.sources[source]);
  const before = await snapshot(prepared.db, projection);
  const keys = before.map(({ key }) => key as string);
  await sync(prepared.db, projection, `sync_${source}_to_kits`, keys);
  return { projection, before, keys };
};

const ids = (db: Database, { binding }: Projection, source: Source) =>
  db.query(
    `select legacy_id, id from ${binding.kits} where source = $1 order by legacy_id`,
    [source],
    engine,
  );

const backAndForth = async (prepared: Prepared, source: Source) => {
  const { db } = prepared;
  const { projection, before, keys } = await forward(prepared, source);
  const born = await ids(db, projection, source);
  expect(born).toHaveLength(before.length);
  for (const columns of (await differing(db, projection, keys)).values())
    expect(columns).toEqual([]);

  await sync(db, projection, `sync_kits_to_${source}`, keys);
  expect(await snapshot(db, projection)).toEqual(before);
  await db.query(`delete from ${projection.source.relation}`);
  await sync(db, projection, `sync_kits_to_${source}`, keys);
  expect(await snapshot(db, projection)).toEqual(before);

  await sync(db, projection, `sync_${source}_to_kits`, keys);
  expect(await ids(db, projection, source)).toEqual(born);
  await db.query(`delete from ${projection.binding.kits} where source = $1`, [source], engine);
  await sync(db, projection, `sync_${source}_to_kits`, keys);
  expect(await ids(db, projection, source)).toEqual(born);
};

/** Changes one column at a time in the first legacy row that it really changes. */
const changeLegacy = async ({ db, binding, schema }: Prepared, source: Source) => {
  const projection = project(binding, binding.sources[source]);
  const before = await snapshot(db, projection);
  const keys = before.map(({ key }) => key as string);
  const { relation, columns } = schema.tables[source];
  for (const { name, role, other } of columns) {
    if (other === undefined || role === 'generated') continue;
    const column = quoteIdentifier(name);
    const key = keys[columns.findIndex((one) => one.name === name) % keys.length];
    const where = `where ${projection.legacyIdText} = $1`;
    const read = async () =>
      (await db.query(`select s.${column}::text as value from ${relation} s ${where}`, [key]))[0]
        ?.value;
    const old = await read();
    await db.query(`update ${relation} s set ${column} = $2 ${where}`, [key, other]);
    const now = await read();
    const found = (await differing(db, projection, keys)).get(key ?? '') ?? [];
    const expected = old === now ? [] : [name];
    expect(found.filter((one) => role !== 'owner' || one !== 'kits.user_id')).toEqual(expected);
    await db.query(`update ${relation} s set ${column} = $2 ${where}`, [key, old]);
    expect(await snapshot(db, projection)).toEqual(before);
  }
};

/** The same on the other side: every text and every kept attribute of one kit, each by itself. */
const changeKits = async ({ db, binding }: Prepared, source: Source) => {
  const bound = binding.sources[source];
  const projection = project(binding, bound);
  const keys = (await snapshot(db, projection)).map(({ key }) => key as string);
  const texts = bound.rules
    .filter(({ field }) => SHARED_COLUMNS[field].type === 'text')
    .map(({ field, column }) => ({
      name: column.name,
      change: `${SHARED_COLUMNS[field].column} = coalesce(${SHARED_COLUMNS[field].column}, '') || '~'`,
    }));
  const attributes = bound.attributes.map(({ name }) => ({
    name,
    change: `legacy_attributes = legacy_attributes || jsonb_build_object(${quoteLiteral(name)}, coalesce(legacy_attributes ->> ${quoteLiteral(name)}, '') || '~')`,
  }));
  for (const [index, { name, change }] of [...texts, ...attributes].entries()) {
    const key = keys[index % keys.length] ?? '';
    await db.query(
      `update ${binding.kits} set ${change} where source = $1 and legacy_id = $2`,
      [source, key],
      engine,
    );
    expect((await differing(db, projection, keys)).get(key)).toEqual([name]);
    await sync(db, projection, `sync_${source}_to_kits`, [key]);
  }
  for (const columns of (await differing(db, projection, keys)).values())
    expect(columns).toEqual([]);
};

const noted = async (db: Database) =>
  db.query('select source, legacy_id, error from migration.pending_sync where error is not null');

/** Writers change every column that may be changed, of every row, while the triggers of a stage are on. */
const rewrite = async ({ database, schema }: Prepared, source: Source) => {
  const { relation, columns } = schema.tables[source];
  const changed = columns.filter(
    ({ role, other }) => other !== undefined && !['generated', 'kitNumber'].includes(role),
  );
  await database.pool.query(
    `update ${relation} set ${changed.map(({ name }, index) => `${quoteIdentifier(name)} = $${index + 1}`).join(', ')}`,
    changed.map(({ other }) => other),
  );
};

/** Every stage up to `dual-write` and back, with writes in each; what a mirror or a drain missed shows. */
const throughStages = async (prepared: Prepared) => {
  const { db, binding, database } = prepared;
  const snapshots = () =>
    Promise.all(SOURCES.map((source) => snapshot(db, project(binding, binding.sources[source]))));
  const inStep = async () => {
    expect(await noted(db)).toEqual([]);
    await drain(db, binding, Date.now() + 20_000);
    expect(await parity(db, binding)).toMatchObject({ mismatched: 0, done: true });
  };
  const step = (to: Stage) => flip(db, binding, { to, phase: 'test', actor: 'test' });

  const batchId = await begin(db, binding);
  await rewrite(prepared, 'kit');
  await copyAll(db, binding, batchId);
  await rewrite(prepared, 'practitioner_kits');
  await drain(db, binding, Date.now() + 20_000);
  await step('mirrored');
  await inStep();
  for (const source of SOURCES) await rewrite(prepared, source);
  const { relation } = prepared.schema.tables.kit;
  await database.pool.query(
    `delete from ${relation} where ctid = (select min(ctid) from ${relation})`,
  );
  await inStep();
  const before = await snapshots();
  await step('dual-write');
  await database.pool.query(`update ${binding.kits} set user_id = user_id`);
  await inStep();
  expect(await snapshots()).toEqual(before);
  await step('mirrored');
  await step('legacy');
  expect(await snapshots()).toEqual(before);
};

describe('a generated legacy schema', () => {
  it('comes back bit for bit after it has been in kits, and gives every kit the same id again', async () => {
    await fc.assert(
      fc.asyncProperty(generatedSchema, (schema) =>
        withSchema(schema, async (prepared) => {
          for (const source of SOURCES) await backAndForth(prepared, source);
        }),
      ),
      { numRuns: Number(process.env.KITS_PROPERTY_RUNS ?? 25), endOnFailure: true },
    );
  });

  it('shows parity every change of a single column on either side, by name', async () => {
    await fc.assert(
      fc.asyncProperty(generatedSchema, (schema) =>
        withSchema(schema, async (prepared) => {
          for (const source of SOURCES) {
            await forward(prepared, source);
            await changeLegacy(prepared, source);
            await changeKits(prepared, source);
          }
        }),
      ),
      { numRuns: 10, endOnFailure: true },
    );
  });

  it('stays in step through the stages and back, while its rows change under capture and mirrors', async () => {
    await fc.assert(
      fc.asyncProperty(generatedSchema, (schema) => withSchema(schema, throughStages)),
      { numRuns: 8, endOnFailure: true },
    );
  });
});
