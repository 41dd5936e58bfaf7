import { randomBytes } from 'node:crypto';
import { bindMapping, type Database, openDatabase } from '@unified-kits/data';
import { FINDING_KINDS, type FindingCode } from '@unified-kits/domain';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { analysed, bound, brief } from '../support/analysis.ts';
import { clinicDatabase } from '../support/clinic.ts';
import { type LegacyDatabase, legacyDatabase } from '../support/legacy.ts';

interface Edge {
  readonly about: string;
  readonly sql: string;
  /** Every finding of the database but the columns kept in legacy_attributes. */
  readonly finds: readonly (readonly [FindingCode, string, number, readonly string[]])[];
}

const PARTITIONED = `
alter table kit rename to kit_before;
create sequence kit_ids start 1000;
create table kit (id bigint not null default nextval('kit_ids') primary key, kit_number text, user_id uuid, status text not null,
  kit_type text, order_id text, metadata jsonb, notes text, registered_at timestamptz, collected_at timestamptz,
  received_at timestamptz, resulted_at timestamptz, created_at timestamptz, updated_at timestamptz) partition by range (id);
create table kit_1 partition of kit for values from (1) to (500);
insert into kit select * from kit_before;`;

const EDGES: readonly Edge[] = [
  {
    about: 'a partitioned legacy table',
    sql: PARTITIONED,
    finds: [['PARTITIONED_OR_INHERITED', 'kit', 1, ['public.kit']]],
  },
  {
    about: 'a legacy table with inheriting children',
    sql: 'create table kit_archive () inherits (kit)',
    finds: [['PARTITIONED_OR_INHERITED', 'kit', 1, ['public.kit']]],
  },
  {
    about: 'an id column without a unique key, whose table cannot be read in ranges',
    sql: 'alter table kit drop constraint kit_pkey',
    finds: [
      ['NO_UNIQUE_KEY', 'kit', 1, ['public.kit']],
      ['NOT_EXAMINED', 'kit', 1, ['public.kit']],
    ],
  },
  {
    about: 'an id column whose only unique key is deferrable',
    sql: 'alter table kit drop constraint kit_pkey, add unique (id) deferrable',
    finds: [
      ['NO_UNIQUE_KEY', 'kit', 1, ['public.kit']],
      ['NOT_EXAMINED', 'kit', 1, ['public.kit']],
    ],
  },
  {
    about: 'an id column that may be null, and a row in which it is',
    sql: `alter table practitioner_kits drop constraint practitioner_kits_pkey;
          alter table practitioner_kits alter id drop not null;
          create unique index on practitioner_kits (id);
          insert into practitioner_kits (id, kit_number) values (null, 'x')`,
    finds: [
      ['ID_NULLABLE', 'practitioner_kits', 1, ['public.practitioner_kits']],
      ['ID_MISSING', 'practitioner_kits', 1, []],
    ],
  },
  {
    about: 'an id column from which no new id can be had',
    sql: 'alter table practitioner_kits alter id drop default',
    finds: [['NO_ID_GENERATOR', 'practitioner_kits', 1, ['public.practitioner_kits']]],
  },
  {
    about: 'rewrite rules on a legacy table',
    sql: 'create rule keep as on delete to kit do instead nothing',
    finds: [['REWRITE_RULE', 'kit', 1, ['keep']]],
  },
  {
    about: 'foreign keys of other tables that point at a legacy table',
    sql: 'create table result (kit bigint constraint result_kit references kit)',
    finds: [['REFERENCED_BY', 'kit', 1, ['public.result (result_kit)']]],
  },
  {
    about: 'foreign keys through which a deletion would cascade',
    sql: 'alter table kit add constraint kit_user foreign key (user_id) references users on delete cascade',
    finds: [['CASCADING_REFERENCE', 'kit', 1, ['kit_user → public.users']]],
  },
  {
    about: "the organisation's own triggers that are switched on",
    sql: `create function touch() returns trigger language plpgsql as 'begin return new; end';
          create trigger touch before update on kit for each row execute function touch();
          create trigger asleep before update on kit for each row execute function touch();
          alter table kit disable trigger asleep`,
    finds: [['OWN_TRIGGER', 'kit', 1, ['touch']]],
  },
  {
    about: 'required columns without a default that no rule names',
    sql: `alter table kit add batch_code text not null default 'x', add weight numeric not null default 1;
          alter table kit alter batch_code drop default`,
    finds: [['REQUIRED_WITHOUT_DEFAULT', 'kit', 1, ['batch_code']]],
  },
  {
    about: 'an unlogged legacy table',
    sql: 'alter table kit set unlogged',
    finds: [['UNLOGGED_TABLE', 'kit', 1, ['public.kit']]],
  },
  {
    about: 'generated and always-identity columns',
    sql: `alter table kit add label text generated always as (upper(status)) stored;
          alter table kit alter id set generated always`,
    finds: [
      ['GENERATED_COLUMN', 'kit', 1, ['label']],
      ['IDENTITY_ALWAYS', 'kit', 1, ['id']],
    ],
  },
];

describe('phase 0 finds the edges that real databases have', () => {
  let legacy: LegacyDatabase;
  beforeEach(async () => {
    legacy = await legacyDatabase(40);
  });
  afterEach(() => legacy.drop());

  it.each(EDGES)('finds $about', async ({ sql, finds }) => {
    await legacy.pool.query(sql);
    const analysis = await analysed(legacy.db, legacy.mapping);
    const found = analysis.findings.filter(({ code }) => code !== 'LEGACY_ATTRIBUTES');
    expect(
      found.map(brief).map(({ code, source, count, keys }) => [code, source, count, keys]),
    ).toEqual(finds);
    const blocks = finds.some(([code]) => FINDING_KINDS[code].severity === 'blocker');
    expect(analysis.verdict).toBe(blocks ? 'NO-GO' : 'GO');
  });

  it('accepts an id column without a default when the mapping names a generator', async () => {
    await legacy.pool.query('alter table practitioner_kits alter id drop default');
    const { sources } = legacy.mapping;
    const id = { ...sources.practitioner_kits.id, generator: { kind: 'uuid' as const } };
    const { verdict } = await analysed(legacy.db, {
      ...legacy.mapping,
      sources: { ...sources, practitioner_kits: { ...sources.practitioner_kits, id } },
    });
    expect(verdict).toBe('GO');
  });

  it('reads the rows of a partitioned table all the same', async () => {
    await legacy.pool.query(`${PARTITIONED} update kit set kit_number = '' where id = 7`);
    const { findings } = await analysed(legacy.db, legacy.mapping);
    expect(findings.find(({ code }) => code === 'KIT_NUMBER_MISSING')?.keys).toEqual(['7']);
  });

  it('lists the attributes of each source by name', async () => {
    await legacy.pool.query('alter table kit add "Größe ""x""" text[]');
    const { findings } = await analysed(legacy.db, legacy.mapping);
    expect(
      findings.find(({ code, source }) => code === 'LEGACY_ATTRIBUTES' && source === 'kit')?.keys,
    ).toEqual(['notes', 'Größe "x"']);
  });
});

describe("phase 0 of another organisation's database", () => {
  it('says GO, and names its referencing table and its own triggers', async () => {
    const clinic = await clinicDatabase();
    try {
      const { verdict, findings } = await analysed(clinic.db, clinic.mapping);
      expect(verdict).toBe('GO');
      expect(
        findings
          .filter(({ code }) => code !== 'LEGACY_ATTRIBUTES')
          .map(({ code, source, keys }) => [code, source, ...keys]),
      ).toEqual([
        ['REFERENCED_BY', 'kit', 'app.kit_result (kit_result_kitId_fkey)'],
        [
          'REFERENCED_BY',
          'practitioner_kits',
          'app.kit_result (kit_result_practitionerKitId_fkey)',
        ],
        ['OWN_TRIGGER', 'kit', 'kit_touch'],
        ['OWN_TRIGGER', 'practitioner_kits', 'practitioner_kits_touch'],
      ]);
    } finally {
      await clinic.drop();
    }
  });
});

describe('phase 0 as a role that is no superuser', () => {
  let legacy: LegacyDatabase;
  let db: Database;
  const role = `uk_test_${randomBytes(4).toString('hex')}`;
  beforeEach(async () => {
    legacy = await legacyDatabase(40);
    await bound(legacy.db, legacy.mapping);
    await legacy.pool.query(
      `create role ${role} login password 'test'; grant kits_owner to ${role};
       alter table practitioners owner to ${role}; alter table practitioner_kits owner to ${role};
       grant select on users to ${role} with grant option`,
    );
    const url = new URL(legacy.url);
    url.username = role;
    url.password = 'test';
    db = openDatabase(url.href, 1);
  });
  afterEach(async () => {
    await db.close();
    await legacy.pool.query(`drop owned by ${role} cascade; drop role ${role}`);
    await legacy.drop();
  });
  const analysis = async () =>
    analysed(db, legacy.mapping, {
      binding: await db.transaction({}, (session) => bindMapping(session, legacy.mapping)),
    });

  it('is content with a role that owns the legacy tables and may pass on users', async () => {
    await legacy.pool.query(`alter table kit owner to ${role}`);
    const { verdict, sources } = await analysis();
    expect(verdict).toBe('GO');
    expect(sources.kit.rows).toBe(40);
  });

  it('refuses a legacy table of which it is not the owner, and says that its rows were not read', async () => {
    const { findings } = await analysis();
    expect(findings.map(({ code, source }) => `${code} ${source}`)).toEqual(
      expect.arrayContaining(['NOT_OWNER kit', 'NOT_EXAMINED kit']),
    );
    expect(findings.filter(({ severity }) => severity === 'blocker')).toHaveLength(2);
  });

  it('never reports on half a table that row-level security hides from it', async () => {
    await legacy.pool.query(
      `alter table kit owner to ${role}; alter table kit enable row level security; alter table kit force row level security`,
    );
    const { findings, sources, verdict } = await analysis();
    const codes = findings.map(({ code }) => code);
    expect(verdict).toBe('NO-GO');
    expect(sources.kit.examined).toBe(false);
    expect(codes).toContain('NOT_EXAMINED');
    // The engine's role is the cluster's: another database's installer may have given it BYPASSRLS.
    const { rows } = await legacy.pool.query(
      `select rolbypassrls as bypasses from pg_roles where rolname = 'kits_owner'`,
    );
    expect(codes.includes('ROW_SECURITY')).toBe(!rows[0].bypasses);
  });
});
