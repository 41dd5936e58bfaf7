import type { FindingCode } from '@unified-kits/domain';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { analysed, type Brief, brief } from '../support/analysis.ts';
import { type LegacyDatabase, legacyDatabase } from '../support/legacy.ts';

/** The reference schema keeps three columns in legacy_attributes: that much a clean database shows. */
const CLEAN: readonly Brief[] = [
  { code: 'LEGACY_ATTRIBUTES', source: 'kit', count: 1, keys: ['notes'] },
  {
    code: 'LEGACY_ATTRIBUTES',
    source: 'practitioner_kits',
    count: 2,
    keys: ['patient_name', 'patient_email'],
  },
];
const isClean = ({ code }: { code: FindingCode }) => code === 'LEGACY_ATTRIBUTES';

const USER = "md5('user49')::uuid";
const PRACTITIONER = "md5('practitioner0')::uuid";
const STRANGER = '00000000-0000-4000-8000-00000000000a';
const NEW = '00000000-0000-4000-8000-00000000000b';
const kit = (id: number, number: string, columns: Record<string, string> = {}) => {
  const all = { id: String(id), kit_number: number, user_id: USER, ...columns };
  return `insert into kit (${Object.keys(all)}) values (${Object.values(all)});`;
};
const practitionerKit = (id: string, number: string, columns: Record<string, string> = {}) => {
  const all = { id: `'${id}'`, kit_number: number, practitioner_id: PRACTITIONER, ...columns };
  return `insert into practitioner_kits (${Object.keys(all)}) values (${Object.values(all)});`;
};

interface Fault {
  readonly plants: string;
  readonly sql: string;
  readonly finds: Brief;
  readonly verdict: 'GO' | 'NO-GO';
}

const FAULTS: readonly Fault[] = [
  {
    plants: 'a practitioner without a user',
    sql: `insert into practitioners values ('${NEW}', null)`,
    finds: {
      code: 'PRACTITIONER_WITHOUT_USER',
      source: 'practitioners',
      column: 'user_id',
      count: 1,
      keys: [NEW],
    },
    verdict: 'NO-GO',
  },
  {
    plants: 'a practitioner whose user does not exist',
    sql: `insert into practitioners values ('${NEW}', '${STRANGER}')`,
    finds: {
      code: 'PRACTITIONER_USER_UNKNOWN',
      source: 'practitioners',
      column: 'user_id',
      count: 1,
      keys: [NEW],
    },
    verdict: 'NO-GO',
  },
  {
    plants: 'two practitioners with one user',
    sql: `insert into practitioners values ('${NEW}', ${USER}), ('${STRANGER}', ${USER})`,
    finds: {
      code: 'PRACTITIONERS_SHARE_USER',
      source: 'practitioners',
      column: 'user_id',
      count: 2,
      keys: [STRANGER, NEW],
    },
    verdict: 'NO-GO',
  },
  {
    plants: 'a kit number twice in kit',
    sql: kit(1001, "'twice'") + kit(1002, "'twice'"),
    finds: { code: 'DUPLICATE_IN_KIT', source: 'kit', count: 2, keys: ['1001', '1002'] },
    verdict: 'NO-GO',
  },
  {
    plants: 'a kit number twice in practitioner_kits',
    sql: practitionerKit(STRANGER, "'twice'") + practitionerKit(NEW, "'twice'"),
    finds: {
      code: 'DUPLICATE_IN_PRACTITIONER_KITS',
      source: 'practitioner_kits',
      count: 2,
      keys: [STRANGER, NEW],
    },
    verdict: 'NO-GO',
  },
  {
    plants: 'a kit number in both tables',
    sql: kit(1001, "'shared'") + practitionerKit(NEW, "'shared'"),
    finds: {
      code: 'DUPLICATE_ACROSS',
      source: 'both',
      count: 2,
      keys: ['kit:1001', `practitioner_kits:${NEW}`],
    },
    verdict: 'NO-GO',
  },
  {
    plants: 'kit numbers that differ in case and surrounding space',
    sql:
      kit(1001, "'Near-1'") + kit(1002, "E'\\tnear-1 '") + practitionerKit(NEW, "E'\\u00a0NEAR-1'"),
    finds: {
      code: 'NEAR_DUPLICATE',
      source: 'both',
      count: 3,
      keys: ['kit:1001', 'kit:1002', `practitioner_kits:${NEW}`],
    },
    verdict: 'GO',
  },
  {
    plants: 'null, empty and blank kit numbers',
    sql:
      kit(1001, 'null') +
      kit(1002, "''") +
      kit(1003, "E' \\t\\n'") +
      kit(1004, "E'\\u200b\\u00a0'"),
    finds: {
      code: 'KIT_NUMBER_MISSING',
      source: 'kit',
      column: 'kit_number',
      count: 4,
      keys: ['1001', '1002', '1003', '1004'],
    },
    verdict: 'NO-GO',
  },
  {
    plants: 'a kit without a user',
    sql: kit(1001, "'x1'", { user_id: 'null' }),
    finds: {
      code: 'KIT_OWNER_MISSING',
      source: 'kit',
      column: 'user_id',
      count: 1,
      keys: ['1001'],
    },
    verdict: 'NO-GO',
  },
  {
    plants: 'a kit whose user does not exist',
    sql: kit(1001, "'x1'", { user_id: `'${STRANGER}'` }),
    finds: {
      code: 'KIT_OWNER_UNKNOWN',
      source: 'kit',
      column: 'user_id',
      count: 1,
      keys: ['1001'],
    },
    verdict: 'NO-GO',
  },
  {
    plants: 'a practitioner kit whose practitioner does not exist',
    sql: practitionerKit(NEW, "'x1'", { practitioner_id: `'${STRANGER}'` }),
    finds: {
      code: 'KIT_OWNER_UNKNOWN',
      source: 'practitioner_kits',
      column: 'practitioner_id',
      count: 1,
      keys: [NEW],
    },
    verdict: 'NO-GO',
  },
  {
    plants: 'a status that the mapping does not name',
    sql: kit(1001, "'x1'", { status: "'teleported'" }),
    finds: { code: 'UNMAPPED_VALUE', source: 'kit', column: 'status', count: 1, keys: ['1001'] },
    verdict: 'NO-GO',
  },
  {
    plants: 'a kit without a status',
    sql: `alter table kit alter status drop not null; ${kit(1001, "'x1'", { status: 'null' })}`,
    finds: { code: 'STATUS_MISSING', source: 'kit', column: 'status', count: 1, keys: ['1001'] },
    verdict: 'NO-GO',
  },
  {
    plants: 'a kit number too long for an index',
    sql: `drop index kit_number_idx; ${kit(1001, "(select string_agg(md5(n::text), '') from generate_series(1, 100) n)")}`,
    finds: {
      code: 'VALUE_TOO_LONG',
      source: 'kit',
      column: 'kit_number',
      count: 1,
      keys: ['1001'],
    },
    verdict: 'NO-GO',
  },
  {
    plants: 'a date that no timestamp can hold',
    sql: `alter table kit alter collected_at type date; ${kit(1001, "'x1'", { collected_at: "'300000-01-01'" })}${kit(1002, "'x2'", { collected_at: "'infinity'" })}`,
    finds: {
      code: 'VALUE_OUT_OF_RANGE',
      source: 'kit',
      column: 'collected_at',
      count: 1,
      keys: ['1001'],
    },
    verdict: 'NO-GO',
  },
  {
    plants: 'times of creation that are null, infinite, before 1970 or too late',
    sql: [
      ['null', 1001],
      ["'infinity'", 1002],
      ["'-infinity'", 1003],
      ["'1969-12-31 23:59:59.999999+00'", 1004],
      ["'10889-08-02+00'", 1005],
      ["'1970-01-01+00'", 1006],
    ]
      .map(([at, id]) => kit(Number(id), `'x${id}'`, { created_at: String(at) }))
      .join(''),
    finds: {
      code: 'CREATED_AT_CLAMPED',
      source: 'kit',
      column: 'created_at',
      count: 5,
      keys: ['1001', '1002', '1003', '1004', '1005'],
    },
    verdict: 'GO',
  },
  {
    plants: 'a missing time of update',
    sql: practitionerKit(NEW, "'x1'", { updated_at: 'null' }),
    finds: {
      code: 'UPDATED_AT_MISSING',
      source: 'practitioner_kits',
      column: 'updated_at',
      count: 1,
      keys: [NEW],
    },
    verdict: 'GO',
  },
];

describe('phase 0 reads the rows', () => {
  let legacy: LegacyDatabase;
  beforeEach(async () => {
    legacy = await legacyDatabase(40);
  });
  afterEach(() => legacy.drop());

  it('says GO to a clean database, with its counts and an estimate', async () => {
    const analysis = await analysed(legacy.db, legacy.mapping);
    expect(analysis.verdict).toBe('GO');
    expect(analysis.findings.map(brief)).toEqual(CLEAN);
    expect(analysis.sources).toMatchObject({
      kit: { rows: 40, examined: true },
      practitioner_kits: { rows: 40, examined: true },
    });
    expect(analysis.practitioners).toBe(10);
    expect(analysis.estimate).toMatchObject({ rows: 80, seconds: 1 });
    expect(analysis.server.freeDiskBytes).toBeNull();
  });

  it('leaves the legacy tables and its own work tables as they were', async () => {
    const content = async () =>
      (await legacy.pool.query('select kit::text from kit order by id')).rows;
    const before = await content();
    await analysed(legacy.db, legacy.mapping);
    expect(await content()).toEqual(before);
    const { rows } = await legacy.pool.query(
      'select (select count(*) from migration.analysis)::int as states, (select count(*) from migration.analysis_hash)::int as hashes',
    );
    expect(rows[0]).toEqual({ states: 0, hashes: 0 });
  });

  it.each(FAULTS)('finds $plants, by key, and nothing else', async ({ sql, finds, verdict }) => {
    await legacy.pool.query(sql);
    const analysis = await analysed(legacy.db, legacy.mapping);
    expect(analysis.findings.filter((one) => !isClean(one)).map(brief)).toEqual([finds]);
    expect(analysis.verdict).toBe(verdict);
  });

  it('finds what is wrong with columns that the mapping leaves out only in their table', async () => {
    const {
      createdAt: _createdAt,
      updatedAt: _updatedAt,
      ...columns
    } = legacy.mapping.sources.kit.columns;
    const mapping = {
      ...legacy.mapping,
      sources: { ...legacy.mapping.sources, kit: { ...legacy.mapping.sources.kit, columns } },
    };
    const { findings } = await analysed(legacy.db, mapping);
    expect(findings.map(brief)).toContainEqual({
      code: 'LEGACY_ATTRIBUTES',
      source: 'kit',
      count: 3,
      keys: ['notes', 'created_at', 'updated_at'],
    });
    expect(findings.map(({ code, source, count }) => [code, source, count])).toEqual([
      ['CREATED_AT_CLAMPED', 'kit', 40],
      ['UPDATED_AT_MISSING', 'kit', 40],
      ['LEGACY_ATTRIBUTES', 'kit', 3],
      ['LEGACY_ATTRIBUTES', 'practitioner_kits', 2],
    ]);
  });

  it('reads every row once where the statistics that cut its ranges are out of date', async () => {
    await legacy.pool.query(
      `delete from kit where id % 2 = 0;
       insert into kit (id, kit_number, user_id) select n, 'new' || n, ${USER} from generate_series(-300, 300) n where n < 1 or n > 40;
       insert into practitioner_kits (kit_number, practitioner_id) select 'new-p' || n, ${PRACTITIONER} from generate_series(1, 300) n`,
    );
    const { sources, verdict } = await analysed(legacy.db, legacy.mapping, {
      rangeRows: { first: 9, least: 9, most: 9 },
    });
    expect([sources.kit.rows, sources.practitioner_kits.rows, verdict]).toEqual([581, 340, 'GO']);
  });

  it('names twenty of many keys, the first in the order of the ids, and counts all', async () => {
    await legacy.pool.query('update kit set updated_at = null');
    const { findings } = await analysed(legacy.db, legacy.mapping, {
      rangeRows: { first: 7, least: 7, most: 7 },
    });
    const found = findings.find(({ code }) => code === 'UPDATED_AT_MISSING');
    expect(found?.count).toBe(40);
    expect(found?.keys).toEqual(Array.from({ length: 20 }, (_, index) => String(index + 1)));
  });

  it('comes to the same findings in one call as in a call for each range', async () => {
    await legacy.pool.query(
      kit(1001, "'twice'") +
        kit(1002, "'twice'") +
        kit(1003, "'shared'") +
        kit(1004, "'near'") +
        kit(1005, "'NEAR '") +
        kit(1006, 'null') +
        practitionerKit(NEW, "'shared'") +
        `insert into practitioners values ('${NEW}', ${USER}), ('${STRANGER}', ${USER})`,
    );
    const whole = await analysed(legacy.db, legacy.mapping);
    const parts = await analysed(legacy.db, legacy.mapping, {
      deadline: 0,
      rangeRows: { first: 5, least: 5, most: 5 },
    });
    expect(parts.findings).toEqual(whole.findings);
    expect(parts.sources.kit.rows).toBe(whole.sources.kit.rows);
    expect(whole.verdict).toBe('NO-GO');
  });
});
