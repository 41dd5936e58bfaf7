import {
  type Binding,
  bindInstalled,
  bindService,
  type Database,
  installKits,
  type JobsService,
  jobsService,
  openDatabase,
  project,
  quoteIdentifier,
  type ServiceBinding,
  type Session,
} from '@unified-kits/data';
import {
  type Job,
  type JobReferences,
  JobRejected,
  type KitKey,
  parseJob,
  parseMapping,
  referenceMapping,
  SOURCES,
  type Source,
} from '@unified-kits/domain';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freshDatabase } from '../support/database.ts';
import {
  type GeneratedSchema,
  type GeneratedTable,
  generatedSchema,
} from '../support/generated-schema.ts';
import { serviceOn, type TestService } from '../support/kits-service.ts';
import { installed, type LegacyDatabase, legacyDatabase } from '../support/legacy.ts';
import { begin, copyAll, migrateTo } from '../support/migration.ts';

const BOTH = ['legacy', 'kits'] as const;

/** A kit with every reference that a job may carry, as texts. */
interface Known {
  readonly source: Source;
  readonly legacyId: string;
  readonly kitsId: string;
  readonly kitNumber: string;
}

/** Every kit by its legacy row. */
const knownKits = async (db: Database, binding: Binding): Promise<Known[]> =>
  (
    await Promise.all(
      SOURCES.map((source) => {
        const { forward, legacyFrom, legacyIdText } = project(binding, binding.sources[source]);
        const of = (column: string) =>
          forward.find((projected) => projected.column === column)?.expression;
        return db.query<Omit<Known, 'source'>>(
          `select ${legacyIdText} as "legacyId", (${of('id')})::text as "kitsId", ${of('kit_number')} as "kitNumber" from ${legacyFrom}`,
          [],
          { asEngine: true },
        );
      }),
    )
  ).flatMap((rows, index) => rows.map((row) => ({ ...row, source: SOURCES[index] ?? 'kit' })));

/** What each reference of each job leads to in a store, as texts. */
const found = async (
  db: Database,
  { stores }: ServiceBinding,
  store: 'legacy' | 'kits',
  references: readonly JobReferences[],
) => {
  const batch = await db.transaction({ asEngine: true, readOnly: true }, (session) =>
    stores[store].resolve(session, references),
  );
  const text = (key: KitKey | undefined) => key && `${key.source}:${key.legacyId}`;
  return batch.found.map(({ byKitsId, byKitId, byPractitionerKitId, byKitNumber }) => [
    text(byKitsId),
    text(byKitId),
    text(byPractitionerKitId),
    byKitNumber.map(text),
  ]);
};

const bound = (db: Database, mapping: Parameters<typeof bindService>[1]) =>
  db.transaction({}, (session) => bindService(session, mapping));

const jobOf = (references: Record<string, unknown>): Job =>
  parseJob(
    JSON.stringify({
      jobId: 'job',
      type: 'kit.results-ready',
      version: 1,
      occurredAt: '2026-06-01T10:00:00Z',
      ...references,
    }),
    Date.parse('2026-06-02'),
  );

const jobsOn = (rig: TestService): JobsService =>
  jobsService({
    db: rig.db,
    mapping: referenceMapping,
    flags: rig.flags,
    observer: { redirected: () => {}, staleReadAvoided: () => {} },
  });

const outcome = (one: Awaited<ReturnType<JobsService['resolve']>>[number]) =>
  one instanceof JobRejected
    ? one.reason
    : `${one.key.source}:${one.key.legacyId} by ${one.path}${one.conflicting ? ', conflicting' : ''}`;

describe('a job with every combination of references', () => {
  const NOBODY = '00000000-0000-8000-a000-0000000000ff';
  let legacy: LegacyDatabase;
  let rig: TestService;
  let jobs: JobsService;
  let kits: Known[];
  beforeAll(async () => {
    legacy = await legacyDatabase(20);
    rig = await serviceOn(legacy);
    jobs = jobsOn(rig);
    kits = await knownKits(legacy.db, await installed(legacy));
  });
  afterAll(async () => {
    await rig.close();
    await legacy.drop();
  });

  const named = (number: string): Known => {
    const kit = kits.find(({ kitNumber }) => kitNumber === number);
    if (kit === undefined) throw new TypeError(`a seeded kit ${number}`);
    return kit;
  };
  const key = ({ source, legacyId }: Known) => `${source}:${legacyId}`;

  /** Each reference absent, to one kit or another of its source, unknown, or what it cannot be. */
  const combinations = () => {
    const [k1, k2, p1, p2] = [named('K1'), named('K2'), named('P1'), named('P2')];
    type Choice = readonly [value: unknown, kit: Known | undefined];
    const absent: Choice = [undefined, undefined];
    const of = (kit: Known, name: keyof Known): Choice => [kit[name], kit];
    const all: Record<string, readonly Choice[]> = {
      kitsId: [absent, of(k1, 'kitsId'), of(p1, 'kitsId'), [NOBODY, undefined]],
      kitId: [absent, [Number(k1.legacyId), k1], of(k2, 'legacyId'), [p1.legacyId, undefined]],
      practitionerKitId: [
        absent,
        of(p1, 'legacyId'),
        [p2.legacyId.toUpperCase(), p2],
        [k1.legacyId, undefined],
      ],
      kitNumber: [absent, of(k1, 'kitNumber'), of(p2, 'kitNumber'), ['k1', undefined]],
    };
    const paths = ['kitsId', 'legacyId', 'legacyId', 'kitNumber'];
    const names = Object.keys(all);
    const product = names.reduce<Choice[][]>(
      (rows, name) => rows.flatMap((row) => (all[name] ?? []).map((choice) => [...row, choice])),
      [[]],
    );
    return product
      .filter((choices) => choices.some(([value]) => value !== undefined))
      .map((choices) => {
        const given = choices.filter(([value]) => value !== undefined);
        const first = choices.findIndex(([, kit]) => kit !== undefined);
        const kit = choices[first]?.[1];
        const conflicting = given.some(([, other]) => other !== kit);
        return {
          references: Object.fromEntries(names.map((name, n) => [name, choices[n]?.[0]])),
          expected:
            kit === undefined
              ? 'unknown-kit'
              : `${key(kit)} by ${paths[first]}${conflicting ? ', conflicting' : ''}`,
        };
      });
  };

  const everywhere = async () => {
    const cases = combinations();
    expect(cases).toHaveLength(255);
    const resolve = async (list: typeof cases) =>
      (await jobs.resolve(list.map(({ references }) => jobOf(references)))).map(outcome);
    const expected = cases.map((one) => one.expected);
    expect(await resolve(cases)).toEqual(expected);
    expect((await resolve(cases.toReversed())).toReversed()).toEqual(expected);
    // Alone as in any batch.
    for (const one of cases.filter((_, n) => n % 16 === 0))
      expect(await resolve([one])).toEqual([one.expected]);
  };

  it('finds the same kit in the legacy tables, in any order and company', everywhere);
  it('finds the same in kits', async () => {
    await migrateTo(legacy.db, await installed(legacy), 'unified');
    await everywhere();
  });
});

describe('kit numbers and ids as organisations have them', () => {
  let legacy: LegacyDatabase;
  let rig: TestService;
  beforeAll(async () => {
    legacy = await legacyDatabase(10);
    await legacy.pool.query(`
      update kit set kit_number = 'K1' where id = 2;
      update practitioner_kits set kit_number = 'K3' where kit_number = 'P3';
      update kit set kit_number = null where id = 5`);
    rig = await serviceOn(legacy);
  });
  afterAll(async () => {
    await rig.close();
    await legacy.drop();
  });

  it('rejects a number of two legacy rows, in one table or in both, unless something else says which', async () => {
    const resolved = await jobsOn(rig).resolve([
      jobOf({ kitNumber: 'K1' }),
      jobOf({ kitNumber: 'K3' }),
      jobOf({ kitNumber: 'K1', kitId: 2 }),
      jobOf({ kitNumber: 'K3', kitsId: '00000000-0000-8000-a000-0000000000ff' }),
      jobOf({ kitNumber: 'K4' }),
      jobOf({ kitNumber: 'K5' }),
    ]);
    expect(resolved.map(outcome)).toEqual([
      'ambiguous-kit',
      'ambiguous-kit',
      'kit:2 by legacyId, conflicting',
      'ambiguous-kit',
      'kit:4 by kitNumber',
      'unknown-kit',
    ]);
  });

  it('looks up nothing that the id column cannot hold, and one spelling of what it can', async () => {
    const kit = [
      '1e0',
      '01',
      '+1',
      ' 1',
      '1 ',
      '-0',
      '0x1',
      '1_0',
      '1.0',
      '９',
      '9223372036854775808',
      '-9223372036854775809',
      '99999999999999999999999999',
      'NaN',
      "1'; drop table kit; --",
    ];
    const practitionerKit = [
      '1',
      '{c4ca4238-a0b9-2382-0dcc-509a6f75849b}',
      'c4ca4238a0b923820dcc509a6f75849b',
      'c4ca4238-a0b9-2382-0dcc-509a6f75849bx',
    ];
    const resolved = await jobsOn(rig).resolve([
      ...kit.map((kitId) => jobOf({ kitId })),
      ...practitionerKit.map((practitionerKitId) => jobOf({ practitionerKitId })),
      jobOf({ kitId: '1' }),
    ]);
    expect(new Set(resolved.slice(0, -1).map(outcome))).toEqual(new Set(['unknown-kit']));
    expect(resolved.slice(-1).map(outcome)).toEqual(['kit:1 by legacyId']);
  });

  it('asks the database one question for a whole batch', async () => {
    const asked: string[] = [];
    const { db } = rig;
    const listening: Database = {
      ...db,
      transaction: (options, work) =>
        db.transaction(options, (session) =>
          work(
            new Proxy(session, {
              get(target, name) {
                const value = Reflect.get(target, name);
                if (typeof value !== 'function') return value;
                return (...given: unknown[]) => {
                  if (name === 'query') asked.push(String(given[0]));
                  return value.apply(target, given);
                };
              },
            }),
          ),
        ),
    };
    const jobs = jobsOn({ ...rig, db: listening });
    await jobs.resolve([jobOf({ kitId: 1 })]);
    for (const size of [1, 10, 100]) {
      asked.length = 0;
      await jobs.resolve(
        Array.from({ length: size }, (_, n) =>
          jobOf({
            kitId: n,
            practitionerKitId: 'x',
            kitNumber: `K${n}`,
            kitsId: '00000000-0000-8000-a000-0000000000ff',
          }),
        ),
      );
      expect(asked).toHaveLength(1);
    }
    asked.length = 0;
    expect(await jobs.resolve([])).toEqual([]);
    expect(asked).toEqual([]);
  });
});

/** Legacy ids with what separates keys elsewhere, and a time that says nothing for any id. */
describe('legacy ids of text, and no column that says when a kit was made', () => {
  const mapping = parseMapping({
    version: 1,
    name: 'texts',
    users: { table: 'users' },
    sources: {
      kit: {
        table: 'kit',
        owner: { type: 'client', userId: 'user_id' },
        columns: { kitNumber: 'kit_number', status: 'status' },
      },
      practitioner_kits: {
        table: 'practitioner_kits',
        owner: {
          type: 'practitioner',
          practitionerId: 'practitioner_id',
          practitioners: { table: 'practitioners' },
        },
        columns: { kitNumber: 'kit_number', status: 'status' },
      },
    },
  });
  const IDS = ['kit:1', ':', '::', 'practitioner_kits:x', 'a', 'A', 'é', 'e\u0301', '1', 'x '];

  it('finds each by each of its references, in both stores, with one pass over a table for the kits ids of a batch', async () => {
    const database = await freshDatabase();
    const db = openDatabase(database.url, 2);
    try {
      await database.pool.query(`
        create table users (id uuid primary key);
        create table practitioners (id uuid primary key, user_id uuid);
        insert into users values (md5('u')::uuid);
        insert into practitioners values (md5('p')::uuid, md5('u')::uuid);
        create table kit (id text primary key, kit_number text unique, user_id uuid, status text);
        create table practitioner_kits (id varchar(40) primary key, kit_number text unique, practitioner_id uuid, status text)`);
      for (const [n, id] of IDS.entries())
        await database.pool.query(
          `with k as (insert into kit values ($1, 'K' || $2, md5('u')::uuid, 'created'))
           insert into practitioner_kits values ($1, 'P' || $2, md5('p')::uuid, 'created')`,
          [id, n],
        );
      await installKits(db, mapping, 'test');
      const binding = await db.transaction({}, (session) => bindInstalled(session, mapping));
      const kits = await knownKits(db, binding);
      expect(kits).toHaveLength(2 * IDS.length);
      expect(new Set(kits.map(({ kitsId }) => kitsId.slice(0, 13)))).toEqual(
        new Set(['00000000-0000']),
      );
      const service = await bound(db, mapping);
      const references = kits.map(referencesOf);
      const expected = kits.map(expectedOf);
      expect(await found(db, service, 'legacy', references)).toEqual(expected);
      const { statement, values } = await statementOf(db, service, 'legacy', references);
      for (const scan of await scansOf(db, statement, values, 'force_custom_plan'))
        expect(scan).toMatchObject({ loops: expect.toSatisfy((n) => n <= 1 || scan.index) });

      await copyAll(db, binding, await begin(db, binding));
      expect(await found(db, service, 'kits', references)).toEqual(expected);
    } finally {
      await db.close();
      await database.drop();
    }
  });
});

/** All references of a kit, in its own source. */
const referencesOf = ({ source, legacyId, kitsId, kitNumber }: Known): JobReferences => ({
  kitsId,
  kitNumber,
  [source === 'kit' ? 'kitId' : 'practitionerKitId']: legacyId,
});
const expectedOf = ({ source, legacyId }: Known) => {
  const key = `${source}:${legacyId}`;
  return source === 'kit' ? [key, key, undefined, [key]] : [key, undefined, key, [key]];
};

/** The statement that a store resolves with, and its parameters. */
const statementOf = async (
  db: Database,
  { stores }: ServiceBinding,
  store: 'legacy' | 'kits',
  references: readonly JobReferences[],
): Promise<{ statement: string; values: unknown[] }> => {
  let heard: { statement: string; values: unknown[] } | undefined;
  await db.transaction({ asEngine: true }, (session) =>
    stores[store].resolve(
      {
        query: (statement: string, values: unknown[]) => {
          heard = { statement, values };
          return session.query(statement, values);
        },
      } as unknown as Session,
      references,
    ),
  );
  if (heard === undefined) throw new TypeError('a store that asks');
  return heard;
};

interface Plan {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly 'Actual Loops': number;
  readonly Plans?: readonly Plan[];
}

/** How a plan reads tables, and how often; of subplans that never ran, nothing. */
const scansOf = async (
  db: Database,
  statement: string,
  values: readonly unknown[],
  mode: 'force_custom_plan' | 'force_generic_plan',
): Promise<{ node: string; table: string; loops: number; index: boolean }[]> =>
  db.transaction({ asEngine: true }, async (session) => {
    await session.query(`set local plan_cache_mode = ${mode}`);
    const types = ['uuid[]', 'text[]', 'text[]', 'text[]', 'text[]', 'text[]'];
    await session.query(`prepare resolving (${types.join(', ')}) as ${statement}`);
    const literal = (list: unknown) =>
      `array[${(list as (string | null)[]).map((one) => (one === null ? 'null' : session.escapeLiteral(one))).join(', ')}]`;
    const { rows } = await session.query(
      `explain (analyze, format json) execute resolving (${values.map((list, n) => `${literal(list)}::${types[n]}`).join(', ')})`,
    );
    await session.query('deallocate resolving');
    const walk = (plan: Plan): { node: string; table: string; loops: number; index: boolean }[] => [
      ...(plan['Relation Name'] === undefined || plan['Actual Loops'] === 0
        ? []
        : [
            {
              node: plan['Node Type'],
              table: plan['Relation Name'],
              loops: plan['Actual Loops'],
              index: plan['Node Type'] !== 'Seq Scan',
            },
          ]),
      ...(plan.Plans ?? []).flatMap(walk),
    ];
    return walk(rows[0]['QUERY PLAN'][0].Plan);
  });

describe('among 100,000 kits of each source', () => {
  let legacy: LegacyDatabase;
  let binding: Binding;
  beforeAll(async () => {
    legacy = await legacyDatabase(100_000);
    await legacy.pool.query(`
      update kit set created_at = null where id in (11, 12);
      update kit set created_at = 'infinity' where id = 13`);
    for (const source of SOURCES) await legacy.pool.query(`vacuum analyze ${source}`);
    binding = await installed(legacy);
  });
  afterAll(() => legacy.drop());

  const lookUp = async (store: 'legacy' | 'kits', on = legacy, as = binding) => {
    const service = await bound(on.db, on.mapping);
    const timeless = ['11', '12', '13'];
    const kits = (await knownKits(on.db, as)).filter(
      ({ source, legacyId }, n) =>
        n % 20_011 === 3 || (source === 'kit' && timeless.includes(legacyId)),
    );
    expect(kits).toHaveLength(13);
    const unknown: JobReferences[] = [
      { kitsId: '00000000-0000-8000-a000-0000000000ff', kitId: '1e9' },
      { kitsId: 'ffffffff-ffff-8000-a000-0000000000ff', kitNumber: 'nobody' },
    ];
    const references = [...kits.map(referencesOf), ...unknown];
    expect(await found(on.db, service, store, references)).toEqual([
      ...kits.map(expectedOf),
      [undefined, undefined, undefined, []],
      [undefined, undefined, undefined, []],
    ]);
    const { statement, values } = await statementOf(on.db, service, store, references);
    for (const mode of ['force_custom_plan', 'force_generic_plan'] as const) {
      const scans = await scansOf(on.db, statement, values, mode);
      const read = scans.filter(({ table }) =>
        ['kit', 'practitioner_kits', 'kits'].includes(table),
      );
      expect(read.length).toBeGreaterThan(3);
      expect(read.filter(({ index }) => !index)).toEqual([]);
    }
  };

  it('reads no table in whole to look up a batch in the legacy tables, planned for it or for any', () =>
    lookUp('legacy'));
  it('nor in kits', async () => {
    await migrateTo(legacy.db, binding, 'mirrored');
    await lookUp('kits');
  });
  it.each(['timestamptz(0)', 'timestamp', 'date'])(
    'nor where a %s says when a kit was made',
    async (type) => {
      const other = await legacyDatabase(100_000);
      try {
        for (const source of SOURCES) {
          await other.pool.query(`alter table ${source} alter created_at type ${type}`);
          await other.pool.query(`vacuum analyze ${source}`);
        }
        await lookUp('legacy', other, await installed(other));
      } finally {
        await other.drop();
      }
    },
  );
});

const fill = async (db: Database, { relation, columns, rows }: GeneratedTable) => {
  const written = columns.filter(({ role }) => role !== 'generated');
  for (const row of rows)
    await db.query(
      `insert into ${relation} (${written.map(({ name }) => quoteIdentifier(name)).join(', ')}) overriding system value
       values (${written.map((_, index) => `$${index + 1}`).join(', ')})`,
      row,
    );
};

/** What producers might make of a reference: near it, and never it. */
const nearly = ({ source, legacyId, kitNumber }: Known): JobReferences[] => {
  const id = source === 'kit' ? 'kitId' : 'practitionerKitId';
  const changed = (text: string) =>
    [
      text.toUpperCase(),
      text.toLowerCase(),
      text.trim(),
      `${text} `,
      ` ${text}`,
      `0${text}`,
      `${text}0`,
      `+${text}`,
      text.normalize('NFC'),
      text.normalize('NFD'),
      text.slice(0, -1),
    ].filter((other) => other !== text && other !== '');
  return [
    ...changed(kitNumber).map((other) => ({ kitNumber: other })),
    ...changed(legacyId).map((other) => ({ [id]: other })),
    { [source === 'kit' ? 'practitionerKitId' : 'kitId']: legacyId },
  ];
};

const inAnySchema = async (schema: GeneratedSchema) => {
  const database = await freshDatabase();
  const db = openDatabase(database.url, 2);
  try {
    await database.pool.query(schema.ddl);
    for (const source of SOURCES) await fill(db, schema.tables[source]);
    const mapping = parseMapping(schema.mapping);
    await installKits(db, mapping, 'test');
    const binding = await db.transaction({}, (session) => bindInstalled(session, mapping));
    const kits = await knownKits(db, binding);
    const service = await bound(db, mapping);
    for (const source of SOURCES)
      await db.query(
        `select migration.${quoteIdentifier(`sync_${source}_to_kits`)}($1::text[]::${binding.sources[source].idType}[], '{}')`,
        [kits.filter((kit) => kit.source === source).map(({ legacyId }) => legacyId)],
        { asEngine: true },
      );
    const references = kits.map(referencesOf);
    for (const store of BOTH)
      expect(await found(db, service, store, references)).toEqual(kits.map(expectedOf));
    const near = kits.flatMap(nearly);
    expect(await found(db, service, 'legacy', near)).toEqual(
      await found(db, service, 'kits', near),
    );
  } finally {
    await db.close();
    await database.drop();
  }
};

describe('a generated legacy schema', () => {
  it('leads from every reference to the same kit in both stores, and from none that is nearly one', async () => {
    await fc.assert(fc.asyncProperty(generatedSchema, inAnySchema), {
      numRuns: Number(process.env.KITS_PROPERTY_RUNS ?? 20),
      endOnFailure: true,
    });
  });
});
