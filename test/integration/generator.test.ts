import {
  analyse,
  bindMapping,
  type Database,
  installTracking,
  openDatabase,
} from '@unified-kits/data';
import { blockersOf, referenceMapping } from '@unified-kits/domain';
import { afterEach, describe, expect, it } from 'vitest';
import { PLANTED_BLOCKERS, plantBlockers } from '../../infra/local/legacy/blockers.ts';
import { generateLegacy } from '../../infra/local/legacy/generate.ts';
import { compareOriginal, takeOriginal } from '../../infra/local/legacy/original.ts';
import { REFERENCE_SCHEMA } from '../../infra/local/legacy/reference-schema.ts';
import { freshDatabase, type TestDatabase } from '../support/database.ts';

const ROWS = 3_000;
const opened: { database: TestDatabase; db: Database }[] = [];
afterEach(async () => {
  for (const { db, database } of opened.splice(0)) {
    await db.close();
    await database.drop();
  }
});

const generated = async (seed: number, blockers = false): Promise<Database> => {
  const database = await freshDatabase();
  const db = openDatabase(database.url, 3);
  opened.push({ database, db });
  await db.transaction({}, async (session) => {
    await session.query(REFERENCE_SCHEMA);
    await generateLegacy(session, { rows: ROWS, seed });
    if (blockers) await plantBlockers(session);
  });
  return db;
};
const one = async (db: Database, sql: string) => (await db.query(sql))[0] ?? {};
const contentOf = (db: Database) =>
  one(
    db,
    `select (select md5(string_agg(k::text, '|' order by id)) from public.kit k) as kit,
            (select md5(string_agg(p::text, '|' order by id)) from public.practitioner_kits p) as practitioner_kits,
            (select md5(string_agg(u::text, '|' order by id)) from public.users u) as users,
            (select md5(string_agg(p::text, '|' order by id)) from public.practitioners p) as practitioners`,
  );
const findings = async (db: Database) => {
  await installTracking(db);
  const binding = await db.transaction({}, (session) => bindMapping(session, referenceMapping));
  const outcome = await analyse(db, binding, { deadline: Date.now() + 60_000 });
  if (!outcome.done) throw new Error('the analysis of a few rows needs no second call');
  return outcome.analysis.findings;
};

describe('the generated legacy data', () => {
  it('are the same for the same seed and others for another', async () => {
    const [first, again, other] = [await generated(7), await generated(7), await generated(8)];
    expect(await contentOf(again)).toEqual(await contentOf(first));
    expect(await contentOf(other)).not.toEqual(await contentOf(first));
  });

  it('have the rows asked for, gaps in their ids, every status, and what real tables hold', async () => {
    const db = await generated(1);
    expect(
      await one(
        db,
        `select count(*)::int as rows, (max(id) > count(*)) as gaps, count(distinct status)::int as statuses,
                bool_or(created_at < '1970-01-01') as old, bool_or(updated_at is null) as "neverUpdated",
                bool_or(metadata is null) as "noMetadata", bool_or(metadata = 'null') as "jsonNull",
                bool_or(metadata #> '{deep,a,b,c}' is not null) as nested,
                bool_or(extract(microseconds from created_at)::int % 1000 <> 0) as microseconds,
                bool_or(notes = '') as empty, bool_or(notes like '%''%') as quotes, bool_or(notes like '%\\\\%') as backslashes,
                bool_or(notes ~ '[^\\x01-\\x7f]') as unicode
           from public.kit`,
      ),
    ).toEqual({
      rows: ROWS,
      gaps: true,
      statuses: 8,
      old: true,
      neverUpdated: true,
      noMetadata: true,
      jsonNull: true,
      nested: true,
      microseconds: true,
      empty: true,
      quotes: true,
      backslashes: true,
      unicode: true,
    });
    expect(
      await one(
        db,
        'select count(*)::int as rows, count(distinct status)::int as statuses from public.practitioner_kits',
      ),
    ).toEqual({ rows: ROWS, statuses: 8 });
  });

  it('go on with ids of their own after the generated ones', async () => {
    const db = await generated(1);
    const before = await one(db, 'select max(id)::int as id from public.kit');
    const born = await one(db, 'insert into public.kit default values returning id::int');
    expect(born.id).toBeGreaterThan(Number(before.id));
  });

  it('have warnings and not one blocker', async () => {
    const found = await findings(await generated(1));
    expect(blockersOf(found)).toEqual([]);
    const codes = found.map(({ code }) => code);
    for (const code of [
      'NEAR_DUPLICATE',
      'UPDATED_AT_MISSING',
      'CREATED_AT_CLAMPED',
      'LEGACY_ATTRIBUTES',
    ])
      expect(codes).toContain(code);
  });

  it('show every kind of planted blocker, and no other', async () => {
    const found = blockersOf(await findings(await generated(1, true)));
    expect([...new Set(found.map(({ code }) => code))].sort()).toEqual(
      [...PLANTED_BLOCKERS].sort(),
    );
  });
});

describe('the remembered original', () => {
  const written = { kit: ['status', 'order_id', 'updated_at'], practitioner_kits: ['status'] };
  const nobody = { kit: [], practitioner_kits: [] };
  const remembered = async () => {
    const db = await generated(1);
    const binding = await db.transaction({}, (session) => bindMapping(session, referenceMapping));
    await takeOriginal(db, binding, written);
    return {
      db,
      compare: (touched = nobody as Parameters<typeof compareOriginal>[3]) =>
        compareOriginal(db, binding, written, touched),
    };
  };

  it('equals itself', async () => {
    const { compare } = await remembered();
    expect(await compare()).toEqual({ compared: 2 * ROWS, differing: 0, keys: [] });
  });

  it('tells a row that was changed, added or removed, and by whom', async () => {
    const { db, compare } = await remembered();
    await db.query(`update public.kit set status = 'cancelled', order_id = 'x' where id = 1`);
    await db.query(`update public.kit set notes = 'x' where id = 2`);
    await db.query('delete from public.kit where id = 3');
    await db.query(`insert into public.kit (id, kit_number) values (9000000, 'new')`);
    const alone = await compare();
    expect([...alone.keys].sort()).toEqual(['kit:1', 'kit:2', 'kit:3', 'kit:9000000']);
    // The writers say they wrote all of these; a column they do not write is not theirs to change.
    const known = await compare({ kit: ['1', '2', '3', '9000000'], practitioner_kits: [] });
    expect(known).toMatchObject({ differing: 1, keys: ['kit:2'] });
  });
});
