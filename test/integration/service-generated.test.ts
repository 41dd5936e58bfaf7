import { createHash } from 'node:crypto';
import {
  type Binding,
  bindInstalled,
  bindMapping,
  bindService,
  type CatalogColumn,
  deleteBatch,
  drain,
  flip,
  installKits,
  openDatabase,
  quoteIdentifier,
} from '@unified-kits/data';
import {
  type Caller,
  type Kit,
  KitRefused,
  type KitValues,
  kitJson,
  type Mapping,
  type MappingInput,
  parseMapping,
  SOURCES,
  type Source,
  type Stage,
  stagePath,
  UnifiedKitsError,
} from '@unified-kits/domain';
import fc from 'fast-check';
import pg from 'pg';
import { describe, expect, it } from 'vitest';
import { freshDatabase } from '../support/database.ts';
import { type GeneratedSchema, generatedSchema } from '../support/generated-schema.ts';
import { serviceOn, type TestService } from '../support/kits-service.ts';
import type { LegacyDatabase } from '../support/legacy.ts';
import { migrateTo, parity } from '../support/migration.ts';

const NUMBERS = ['smallint', 'integer', 'bigint', 'numeric'];
const typeOf = ({ baseType }: CatalogColumn) => {
  if (baseType === 'jsonb') return 'json' as const;
  if (baseType === 'boolean') return 'boolean' as const;
  return NUMBERS.includes(baseType) ? ('number' as const) : ('string' as const);
};

/** Ids that no generated row has. */
const FRESH = 30_000;

const fill = async (client: pg.Client, schema: GeneratedSchema) => {
  await client.query(`set timezone = 'UTC'`);
  await client.query(schema.ddl);
  await client.query(`create sequence "fresh ids" start ${FRESH}`);
  for (const source of SOURCES) {
    const { relation, columns, rows } = schema.tables[source];
    const [id] = columns;
    if (id?.declaration.includes('as identity'))
      await client.query(
        `alter table ${relation} alter column ${quoteIdentifier(id.name)} restart with ${FRESH}`,
      );
    const written = columns.filter(({ role }) => role !== 'generated');
    for (const row of rows)
      await client.query(
        `insert into ${relation} (${written.map(({ name }) => quoteIdentifier(name)).join(', ')}) overriding system value values (${written.map((_, n) => `$${n + 1}`).join(', ')})`,
        [...row],
      );
  }
};

/** A database with a generated schema, cloned for every stage. */
const databaseOf = async (
  schema: GeneratedSchema,
  mapping: MappingInput,
): Promise<LegacyDatabase> => {
  const content = JSON.stringify([
    schema.ddl,
    schema.tables.kit.rows,
    schema.tables.practitioner_kits.rows,
  ]);
  const database = await freshDatabase({
    template: {
      name: createHash('sha256').update(content).digest('hex'),
      async build(url) {
        const client = new pg.Client({ connectionString: url });
        await client.connect();
        await fill(client, schema);
        await client.end();
      },
    },
  });
  const db = openDatabase(database.url, 4);
  return {
    ...database,
    get pool() {
      return database.pool;
    },
    db,
    mapping: parseMapping(mapping),
    async drop() {
      await db.close();
      await database.drop();
    },
  };
};

/** The mapping of a schema, with every column that no rule names shown by the API. */
const showingAll = async (schema: GeneratedSchema): Promise<MappingInput> => {
  const legacy = await databaseOf(schema, schema.mapping);
  const binding = await legacy.db.transaction({}, (session) =>
    bindMapping(session, legacy.mapping),
  );
  await legacy.drop();
  const attributes = (source: Source) =>
    Object.fromEntries(
      binding.sources[source].attributes.map((column, n) => [
        `a${n}`,
        { column: column.name, type: typeOf(column) },
      ]),
    );
  /** New kits need an id and a status: what the generated tables have not, the mapping is given. */
  const creatable = <Rules extends MappingInput['sources'][Source]>(
    source: Source,
    rules: Rules,
  ): Rules => {
    const { baseType, identity } = binding.sources[source].id;
    const { status } = rules.columns;
    const [word] = typeof status === 'string' ? [] : Object.keys(status.values ?? {});
    const generator = ['smallint', 'integer', 'bigint'].includes(baseType)
      ? ({ kind: 'sequence', name: 'fresh ids' } as const)
      : ({ kind: 'uuid' } as const);
    return {
      ...rules,
      id: { ...rules.id, ...(identity === '' ? { generator } : {}) },
      columns: {
        ...rules.columns,
        status:
          typeof status === 'string' || word === undefined
            ? status
            : { ...status, values: { ...status.values, [word]: 'created' } },
      },
      api: { attributes: attributes(source) },
    };
  };
  const { kit, practitioner_kits } = schema.mapping.sources;
  return {
    ...schema.mapping,
    sources: {
      kit: creatable('kit', kit),
      practitioner_kits: creatable('practitioner_kits', practitioner_kits),
    },
  };
};

/** What each column of a source is to hold next, one change for each, and then all in one. */
const changesOf = (schema: GeneratedSchema, mapping: Mapping, source: Source): KitValues[] => {
  const { columns, api } = mapping.sources[source];
  const other = (name: string) =>
    schema.tables[source].columns.find((one) => one.name === name)?.other;
  const single: KitValues[] = [];
  for (const field of ['kitType', 'orderId', 'metadata'] as const) {
    const column = columns[field]?.column;
    const value = column === undefined ? undefined : other(column);
    if (value !== undefined) single.push({ fields: { [field]: value }, attributes: {} });
  }
  for (const [name, { column, type }] of Object.entries(api.attributes)) {
    const value = other(column);
    // What JSON cannot say no request can ask for.
    if (value !== undefined && !(type === 'number' && value === 'NaN'))
      single.push({ fields: {}, attributes: { [name]: value } });
  }
  const all: KitValues = {
    fields: Object.assign({}, ...single.map(({ fields }) => fields)),
    attributes: Object.assign({}, ...single.map(({ attributes }) => attributes)),
  };
  return [...single, all];
};

/** A kit without what is made anew each time. */
const lasting = ({ kitsId: _kitsId, legacyId: _legacyId, fields, ...kit }: Kit) => {
  const { createdAt: _createdAt, updatedAt: _updatedAt, ...kept } = fields;
  return { ...kit, fields: kept };
};

const outcome = async (work: Promise<Kit>) => {
  try {
    return lasting(await work);
  } catch (error) {
    if (error instanceof KitRefused) return { refused: error.field, why: error.message };
    if (error instanceof UnifiedKitsError) return { refused: error.name };
    throw error;
  }
};

const changed = ({ service }: TestService, caller: Caller, kit: Kit, values: KitValues) =>
  service.change({
    reference: { source: kit.source, legacyId: kit.legacyId },
    caller,
    valuesFor: () => values,
    statusFor: () => undefined,
    precondition: () => undefined,
  });

const callersOf = ({ owners }: GeneratedSchema): Caller[] =>
  owners.userIds.map((userId, n) => ({ userId, practitionerId: owners.practitionerIds[n] }));

/** Makes and changes kits of both sources; what came of it, in order. */
const worked = async (rig: TestService, schema: GeneratedSchema, mapping: Mapping) => {
  const results: unknown[] = [];
  for (const caller of callersOf(schema)) {
    const all = await rig.service.listAll(caller, { after: undefined, limit: 100 });
    for (const source of SOURCES) {
      const [kit] = all
        .filter((one) => one.source === source)
        .toSorted((a, b) => (a.legacyId < b.legacyId ? -1 : 1));
      if (kit === undefined) continue;
      for (const values of changesOf(schema, mapping, source))
        results.push([source, values, await outcome(changed(rig, caller, kit, values))]);
    }
  }
  const [caller] = callersOf(schema);
  if (caller?.practitionerId === undefined) throw new Error('there are owners');
  for (const source of SOURCES) {
    const [last] = schema.tables[source].rows.slice(-1);
    const number = schema.tables[source].columns.findIndex(({ role }) => role === 'kitNumber');
    // A number that no kit has: of the same type as those that are there.
    const kitNumber = (last?.[number] ?? '').replace(/\d(?=\D*$)/, '7').replace(/^(\D*)\d/, '$17');
    const values: KitValues = { fields: { kitNumber }, attributes: {} };
    const owner =
      source === 'kit'
        ? ({ ownerType: 'client', id: caller.userId } as const)
        : ({ ownerType: 'practitioner', id: caller.practitionerId } as const);
    const respond = (kit: Kit) => ({ status: 201, headers: {}, body: JSON.stringify(kit) });
    results.push([
      source,
      'created',
      await outcome(
        rig.service.create({ owner, values, respond }).then(({ body }) => JSON.parse(body) as Kit),
      ),
    ]);
  }
  return results;
};

/** Both stores show every kit alike, under both contracts, byte for byte. */
const shownAlike = async ({ db, binding }: TestService, mapping: Mapping) => {
  const shown = await db.transaction({ readOnly: true, asApplication: true }, async (session) => {
    const { stores, idTypes } = await bindService(session, mapping);
    const texts = async (store: 'legacy' | 'kits') => {
      const kits: Kit[] = [];
      for (const source of SOURCES) {
        const { id, relation } = binding.sources[source];
        const { rows } = await session.query(
          `select s.${quoteIdentifier(id.name)}::text as id from ${relation} s`,
        );
        kits.push(
          ...(await stores[store].findMany(
            session,
            source,
            rows.map((row) => row.id),
          )),
        );
      }
      return kits
        .map((kit) => [
          kit,
          kitJson(kit, 'legacy', mapping, idTypes),
          kitJson(kit, 'v2', mapping, idTypes),
        ])
        .sort(([, a], [, b]) => (String(a) < String(b) ? -1 : 1));
    };
    return { legacy: await texts('legacy'), kits: await texts('kits') };
  });
  expect(shown.kits).toEqual(shown.legacy);
  for (const [, ...texts] of shown.kits)
    for (const text of texts) expect(() => JSON.parse(String(text))).not.toThrow();
};

const back = async ({ db, pool }: LegacyDatabase, binding: Binding) => {
  const far = Date.now() + 60_000;
  const { rows } = await pool.query('select stage, batch_id as batch from migration.stage');
  for (const to of stagePath(rows[0].stage as Stage, 'legacy')) {
    if (to !== 'legacy') await drain(db, binding, far);
    await flip(db, binding, { to, phase: 'test', actor: 'test' });
  }
  await deleteBatch(db, binding, rows[0].batch, far);
};

/** Rows of both tables but for their ids and what tells the time of day. */
const rowsOf = async ({ db }: LegacyDatabase, { sources }: Binding): Promise<unknown[]> => {
  const contents: unknown[] = [];
  for (const source of SOURCES) {
    const { relation, rules, id, catalog } = sources[source];
    const anew = new Set([
      id.name,
      ...rules
        .filter(({ field }) => field === 'createdAt' || field === 'updatedAt')
        .map(({ column }) => column.name),
    ]);
    const names = catalog.columns.map(({ name }) => name).filter((name) => !anew.has(name));
    const rows = await db.query<{ row: string }>(
      `select row(${names.map((name) => `t.${quoteIdentifier(name)}`).join(', ')})::text as row from ${relation} t order by 1`,
    );
    contents.push(rows.map(({ row }) => row));
  }
  return contents;
};

const inStage = async (schema: GeneratedSchema, mapping: MappingInput, stage: Stage) => {
  const legacy = await databaseOf(schema, mapping);
  const rig = await serviceOn(legacy);
  try {
    const { schema: one } = legacy.mapping.sources.kit;
    for (const name of new Set([one, legacy.mapping.users.schema]))
      await legacy.pool.query(
        `grant usage on sequence "fresh ids" to kits_app; grant usage on schema ${quoteIdentifier(name)} to kits_app; grant usage on all sequences in schema ${quoteIdentifier(name)} to kits_app`,
      );
    await installKits(legacy.db, legacy.mapping, 'test');
    const binding = await legacy.db.transaction({}, (session) =>
      bindInstalled(session, legacy.mapping),
    );
    if (stage !== 'legacy') await migrateTo(legacy.db, binding, stage);
    const results = await worked(rig, schema, legacy.mapping);
    const stuck = await legacy.pool.query(
      'select * from migration.pending_sync where error is not null',
    );
    expect(stuck.rows).toEqual([]);
    if (stage === 'mirrored' || stage === 'dual-write') {
      await shownAlike(rig, legacy.mapping);
      expect(await parity(legacy.db, binding)).toMatchObject({ done: true, mismatched: 0 });
    }
    if (stage !== 'legacy') await back(legacy, binding);
    return { results, rows: await rowsOf(legacy, binding) };
  } finally {
    await rig.close();
    await legacy.drop();
  }
};

describe('the kits service on generated schemas', () => {
  it('shows, changes and makes kits alike in every stage, and leaves the same rows', async () => {
    await fc.assert(
      fc.asyncProperty(generatedSchema, async (schema) => {
        const mapping = await showingAll(schema);
        const expected = await inStage(schema, mapping, 'legacy');
        for (const stage of ['mirrored', 'dual-write', 'unified'] as const) {
          const actual = await inStage(schema, mapping, stage);
          for (const [n, result] of actual.results.entries())
            expect([stage, result]).toEqual([stage, expected.results[n]]);
          expect(actual.rows).toEqual(expected.rows);
        }
      }),
      { numRuns: Number(process.env.KITS_PROPERTY_RUNS ?? 2), endOnFailure: true },
    );
  });
});
