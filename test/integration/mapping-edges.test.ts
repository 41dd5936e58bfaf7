import {
  type Binding,
  bindInstalled,
  type Database,
  installKits,
  openDatabase,
  openKeys,
  project,
} from '@unified-kits/data';
import { type MappingInput, parseMapping, type Source } from '@unified-kits/domain';
import { afterEach, describe, expect, it } from 'vitest';
import { freshDatabase, type TestDatabase } from '../support/database.ts';

const engine = { asEngine: true } as const;
const USER = '11111111-1111-4111-8111-111111111111';
const PRACTITIONER = '22222222-2222-4222-8222-222222222222';

const base: MappingInput = {
  version: 1,
  name: 'edges',
  users: { table: 'users' },
  sources: {
    kit: {
      table: 'kit',
      owner: { type: 'client', userId: 'owner' },
      columns: { kitNumber: 'number', status: 'status' },
    },
    practitioner_kits: {
      table: 'pk',
      owner: {
        type: 'practitioner',
        practitionerId: 'owner',
        practitioners: { table: 'practitioners' },
      },
      columns: { kitNumber: 'number', status: 'status' },
    },
  },
};

const open: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of open.splice(0)) await close();
});

interface Edge {
  readonly database: TestDatabase;
  readonly db: Database;
  readonly binding: Binding;
}

/** The two smallest legacy tables, with more columns, and what the mapping says of them. */
const edge = async (options: {
  before?: string;
  kit?: string;
  id?: string;
  practitionerKits?: string;
  number?: string;
  columns?: Partial<MappingInput['sources']['kit']['columns']>;
  idRule?: MappingInput['sources']['kit']['id'];
}): Promise<Edge> => {
  const { before = '', kit = '', practitionerKits = '', columns = {} } = options;
  const database = await freshDatabase();
  await database.pool.query(`
    ${before};
    create table users (id uuid primary key);
    create table practitioners (id uuid primary key, user_id uuid);
    insert into users values ('${USER}');
    insert into practitioners values ('${PRACTITIONER}', '${USER}');
    create table kit (id ${options.id ?? 'bigint generated always as identity'} primary key, number ${options.number ?? 'text'}, owner uuid, status text not null default 'created' ${kit});
    create table pk (id uuid default gen_random_uuid() primary key, number text, owner uuid, status text ${practitionerKits});`);
  const db = openDatabase(database.url, 2);
  open.push(async () => {
    await db.close();
    await database.drop();
  });
  const mapping = parseMapping({
    ...base,
    sources: {
      ...base.sources,
      kit: {
        ...base.sources.kit,
        ...(options.idRule === undefined ? {} : { id: options.idRule }),
        columns: { ...base.sources.kit.columns, ...columns },
      },
    },
  } satisfies MappingInput);
  await installKits(db, mapping, 'test');
  const binding = await db.transaction({}, (session) => bindInstalled(session, mapping));
  return { database, db, binding };
};

const sync = ({ db, binding }: Edge, source: Source, routine: string, key: string) =>
  db.query(
    `select migration.${routine}($1::text[]::${binding.sources[source].idType}[], '{}')`,
    [[key]],
    engine,
  );
const kitNumber = 'K1';
const insertKit = (
  { database }: Edge,
  columns = '',
  values = '',
  source: Source = 'kit',
): Promise<string> =>
  database.pool
    .query(
      `insert into ${source === 'kit' ? 'kit' : 'pk'} (number, owner, status${columns}) values ('${kitNumber}', '${source === 'kit' ? USER : PRACTITIONER}', 'created'${values}) returning id::text`,
    )
    .then(({ rows }) => rows[0].id);

/** Births, as the stages `dual-write` and later have them: the fence off, the birth trigger on. */
const letKitsBeBorn = ({ database }: Edge) =>
  database.pool.query(`
    alter table kits disable trigger user;
    create trigger uk_birth_here before insert on kits for each row when (new.legacy_id is null) execute function migration.birth();`);
const born = async (
  { database }: Edge,
  owner: 'client' | 'practitioner',
  columns = '',
  values = '',
) =>
  (
    await database.pool.query(
      `insert into kits (kit_number, owner_type, ${owner === 'client' ? 'user_id' : 'practitioner_id'}, status${columns})
       values ('B1', '${owner}', '${owner === 'client' ? USER : PRACTITIONER}', 'created'${values})
       returning id, legacy_id, legacy_attributes, user_id, source`,
    )
  ).rows[0];

/** That a kit has the same id after its legacy row was made from it and it was copied again. */
const expectSameIdAgain = async (
  here: Edge,
  source: Source,
  { id, legacy_id }: { id: string; legacy_id: string },
) => {
  await sync(here, source, `sync_kits_to_${source}`, legacy_id);
  await here.database.pool.query('delete from kits');
  await sync(here, source, `sync_${source}_to_kits`, legacy_id);
  const { rows } = await here.database.pool.query('select id, legacy_id from kits');
  expect(rows).toEqual([{ id, legacy_id }]);
};

const differences = ({ db, binding }: Edge, key: string) =>
  db.transaction(engine, (session) =>
    openKeys(session, project(binding, binding.sources.kit), [key]),
  );

describe('a kit born in kits', () => {
  it('takes its legacy id from the identity column, its attributes from the defaults, and its user from the practitioner', async () => {
    const here = await edge({
      kit: `, note text default 'it''s new', score numeric default 1.50, tags text[] default '{a,"b c"}', doc jsonb default '{"n": null}', plain text`,
    });
    await letKitsBeBorn(here);
    const client = await born(here, 'client');
    expect(client).toMatchObject({
      legacy_id: '1',
      source: 'kit',
      user_id: USER,
      legacy_attributes: { note: "it's new", score: 1.5, tags: '{a,"b c"}', doc: { n: null } },
    });
    await sync(here, 'kit', 'sync_kits_to_kit', '1');
    const { rows } = await here.database.pool.query('select kit::text as row from kit');
    expect(rows).toEqual([
      { row: `(1,B1,${USER},created,"it's new",1.50,"{a,""b c""}","{""n"": null}",)` },
    ]);
  });

  it('has a practitioner kit get a uuid from its default, and the same kits id after a rollback and a new run', async () => {
    const here = await edge({});
    await letKitsBeBorn(here);
    const kit = await born(here, 'practitioner');
    expect(kit).toMatchObject({ source: 'practitioner_kits', user_id: USER });
    expect(kit.legacy_id).toMatch(/^[0-9a-f-]{36}$/);
    await expectSameIdAgain(here, 'practitioner_kits', kit);
  });

  it.each([
    ['is not in the legacy table at all', '', {}],
    ['is a date there', ', born date', { createdAt: 'born' }],
    ['has whole seconds there', ', born timestamp(0)', { createdAt: 'born' }],
    ['has its full precision there', ', born timestamptz', { createdAt: 'born' }],
  ])(
    'keeps its id through a rollback and a new run when created_at %s',
    async (_, kit, columns) => {
      const here = await edge({ kit, columns });
      await letKitsBeBorn(here);
      await expectSameIdAgain(
        here,
        'kit',
        await born(here, 'client', ', created_at', `, '2024-05-06 07:08:09.987654+00'`),
      );
    },
  );

  it('takes defaults that draw from sequences, from an identity column beside the id and from a domain', async () => {
    const here = await edge({
      before: `create schema elsewhere; create domain elsewhere.word as varchar(8) not null default 'word'; create sequence elsewhere.ticket start 7`,
      id: 'uuid default gen_random_uuid()',
      kit: `, line bigint generated always as identity, ticket bigint default nextval('elsewhere.ticket'), serial serial, word elsewhere.word`,
    });
    await letKitsBeBorn(here);
    const kit = await born(here, 'client');
    expect(kit.legacy_attributes).toEqual({ line: 1, ticket: 7, serial: 1, word: 'word' });
    await sync(here, 'kit', 'sync_kits_to_kit', kit.legacy_id);
    await sync(here, 'kit', 'sync_kits_to_kit', kit.legacy_id);
    const { rows } = await here.database.pool.query('select line, ticket, serial, word from kit');
    expect(rows).toEqual([{ line: '1', ticket: '7', serial: 1, word: 'word' }]);
  });

  it("draws its legacy id from the mapping's generator where the column has no default", async () => {
    const here = await edge({
      before: 'create sequence "Kit ""ids""" start 41',
      id: 'text',
      idRule: { generator: { kind: 'sequence', name: 'Kit "ids"' } },
    });
    await letKitsBeBorn(here);
    expect(await born(here, 'client')).toMatchObject({ legacy_id: '41' });
  });

  it('is refused where nothing can give it a legacy id', async () => {
    const here = await edge({ id: 'text' });
    await letKitsBeBorn(here);
    await expect(born(here, 'client')).rejects.toThrow(
      'kits of source kit cannot be born: the id column has no default and the mapping no generator',
    );
  });
});

describe('names and types that stand in the way', () => {
  it.each(['keys', 'gone', 'found', '$1', '$function$', 'excluded', 'k', 's'])(
    'are no obstacle in an id column called %s',
    async (name) => {
      const here = await edge({
        id: `bigint generated always as identity primary key); drop table kit; create table kit ("${name}" bigint`,
        idRule: { column: name },
      });
      await here.database.pool.query(
        `insert into kit values (5, '${kitNumber}', '${USER}', 'created')`,
      );
      await sync(here, 'kit', 'sync_kit_to_kits', '5');
      await here.database.pool.query('delete from kit');
      await sync(here, 'kit', 'sync_kits_to_kit', '5');
      const { rows } = await here.database.pool.query('select kit::text as row from kit');
      expect(rows).toEqual([{ row: `(5,${kitNumber},${USER},created)` }]);
    },
  );

  it.each(['varchar(5)', 'char(5)', 'short', 'short_char'])(
    'refuses a text that is too long for %s instead of cutting it, and parity names the column',
    async (type) => {
      const here = await edge({
        before: 'create domain short as varchar(5); create domain short_char as char(5)',
        number: type,
        kit: `, note ${type}`,
      });
      const key = await insertKit(here, ', note', `, 'note'`);
      await sync(here, 'kit', 'sync_kit_to_kits', key);
      for (const [column, change] of [
        ['number', `kit_number = 'K1 too long'`],
        ['note', `legacy_attributes = '{"note": "note too long"}', kit_number = '${kitNumber}'`],
      ] as const) {
        await here.db.query(`update public.kits set ${change}`, [], engine);
        await expect(sync(here, 'kit', 'sync_kits_to_kit', key)).rejects.toThrow('value too long');
        expect(await differences(here, key)).toEqual([{ legacyId: key, columns: [column] }]);
      }
    },
  );

  it('shows parity a change of case in a column whose collation ignores it', async () => {
    const here = await edge({
      before: `create collation loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false)`,
      kit: ', note text collate loose, kind text collate loose',
      columns: { kitType: 'kind' },
    });
    const key = await insertKit(here, ', note, kind', `, 'a', 'b'`);
    await sync(here, 'kit', 'sync_kit_to_kits', key);
    expect(await differences(here, key)).toEqual([]);
    await here.database.pool.query(`update kit set note = 'A', kind = 'B'`);
    expect(await differences(here, key)).toEqual([{ legacyId: key, columns: ['kind', 'note'] }]);
  });

  it('shows parity 1.0 against 1.00, and a jsonb null against an SQL null', async () => {
    const here = await edge({ kit: ', amount numeric, doc jsonb' });
    const key = await insertKit(here, ', amount, doc', `, 1.0, 'null'`);
    await sync(here, 'kit', 'sync_kit_to_kits', key);
    expect(await differences(here, key)).toEqual([]);
    await here.database.pool.query('update kit set amount = 1.00, doc = null');
    expect(await differences(here, key)).toEqual([{ legacyId: key, columns: ['amount', 'doc'] }]);
  });

  it('has parity name a value of kits that no legacy column can take, instead of failing', async () => {
    const here = await edge({
      before: `create type kind as enum ('x')`,
      kit: ', kind kind, order_number integer',
      columns: {
        kitType: 'kind',
        orderId: 'order_number',
        status: { column: 'status', values: { created: 'created', made: 'created' } },
      },
    });
    const key = await insertKit(here, ', kind, order_number', `, 'x', 5`);
    await sync(here, 'kit', 'sync_kit_to_kits', key);
    await here.db.query(
      `update public.kits set kit_type = 'new', order_id = 'no number', status = 'archived'`,
      [],
      engine,
    );
    expect(await differences(here, key)).toEqual([
      { legacyId: key, columns: ['status', 'kind', 'order_number'] },
    ]);
  });

  it('gives back the legacy value itself where two share a unified one, until kits says something else', async () => {
    const here = await edge({
      columns: {
        status: {
          column: 'status',
          values: { made: 'created', created: 'created', gone: 'closed' },
        },
      },
    });
    const key = await insertKit(here);
    const status = async () =>
      (await here.database.pool.query('select status from kit')).rows[0].status;
    await sync(here, 'kit', 'sync_kit_to_kits', key);
    await sync(here, 'kit', 'sync_kits_to_kit', key);
    expect(await status()).toBe('created');
    await here.db.query(`update public.kits set status = 'closed'`, [], engine);
    await sync(here, 'kit', 'sync_kits_to_kit', key);
    expect(await status()).toBe('gone');
    await here.db.query(
      `update public.kits set status = 'created', legacy_attributes = '{}'`,
      [],
      engine,
    );
    await sync(here, 'kit', 'sync_kits_to_kit', key);
    expect(await status()).toBe('made');
  });

  it('follow a practitioner who is given to another user', async () => {
    const here = await edge({});
    const key = await insertKit(here, '', '', 'practitioner_kits');
    await sync(here, 'practitioner_kits', 'sync_practitioner_kits_to_kits', key);
    await here.database.pool.query(
      `update practitioners set user_id = '33333333-3333-4333-8333-333333333333'`,
    );
    const found = await here.db.transaction(engine, (session) =>
      openKeys(session, project(here.binding, here.binding.sources.practitioner_kits), [key]),
    );
    expect(found).toEqual([{ legacyId: key, columns: ['kits.user_id'] }]);
  });
});
