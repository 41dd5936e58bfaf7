import {
  type Binding,
  copyChunk,
  copyLane,
  drain,
  finishCopy,
  flip,
  planCopy,
  project,
} from '@unified-kits/data';
import { SOURCES } from '@unified-kits/domain';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { installed, type LegacyDatabase, legacyDatabase } from '../support/legacy.ts';
import { begin, parity } from '../support/migration.ts';
import { appSession, until, WAITING } from '../support/sessions.ts';

const far = () => Date.now() + 60_000;
const ROWS = 40;

describe('the copy, while clients write', () => {
  let legacy: LegacyDatabase;
  let binding: Binding;
  let batchId: string;
  const chunk = (rows = 10) =>
    copyChunk(
      legacy.db,
      new Map(SOURCES.map((source) => [source, project(binding, binding.sources[source])])),
      batchId,
      rows,
    );
  const lane = () =>
    copyLane(legacy.db, binding, {
      batchId,
      deadline: far(),
      rowsPerSecond: async () => undefined,
      unwell: async () => undefined,
    });
  const run = (sql: string) => legacy.pool.query(sql);
  const copied = async (source: string, key: string) =>
    (await run(`select from kits where source = '${source}' and legacy_id = '${key}'`)).rowCount ===
    1;
  /** The rest of the copy, the drain and the flip; then both stores must be alike. */
  const finish = async () => {
    expect(await lane()).toMatchObject({ done: true });
    await finishCopy(legacy.db, binding, batchId, 'test');
    expect(await drain(legacy.db, binding, far())).toMatchObject({ stuck: 0, done: true });
    await flip(legacy.db, binding, { to: 'mirrored', phase: 'test', actor: 'test' });
    const { rows } = await run(
      'select (select count(*) from kit) + (select count(*) from practitioner_kits) as n',
    );
    expect(await parity(legacy.db, binding)).toMatchObject({
      compared: Number(rows[0].n),
      mismatched: 0,
    });
    expect((await run('select count(*) as n from kits')).rows[0].n).toBe(rows[0].n);
  };

  beforeEach(async () => {
    legacy = await legacyDatabase(ROWS);
    binding = await installed(legacy);
    batchId = await begin(legacy.db, binding);
    await planCopy(legacy.db, binding, batchId, 'test');
  });
  afterEach(() => legacy.drop());

  it('follows inserts, updates and deletes on either side of the cursor', async () => {
    expect(await chunk()).toEqual({ outcome: 'copied', rows: 10 });
    expect(await copied('kit', '5')).toBe(true);
    expect(await copied('kit', '15')).toBe(false);
    await run(`update kit set notes = 'changed behind the cursor' where id = 5`);
    await run(`update kit set notes = 'changed before the cursor' where id = 15`);
    await run('delete from kit where id in (6, 16)');
    await run(
      `insert into kit (id, kit_number, user_id) values (-7, 'behind', md5('user1')::uuid), (900, 'ahead', md5('user1')::uuid)`,
    );
    await run(`update kit set id = 901 where id = 7; update kit set id = 2 - 100 where id = 17`);
    await run(
      `delete from kit where id = 8; insert into kit (id, kit_number, user_id) values (8, 'again', md5('user2')::uuid)`,
    );
    await finish();
  });

  it('takes a number that moved from one kit to another for no duplicate', async () => {
    await chunk();
    await run(`update kit set kit_number = 'elsewhere' where id = 1`);
    await run(`update kit set kit_number = 'K1' where id = 15`);
    await run(`delete from kit where id = 2`);
    await run(`update practitioner_kits set kit_number = 'K2' where kit_number = 'P20'`);
    await finish();
  });

  it('follows two kits that swap their numbers, within a table and across both', async () => {
    const swap = async (one: string, two: string, first: string, second: string) => {
      await run(`begin; update ${one} set kit_number = 'parked' where kit_number = '${first}';
        update ${two} set kit_number = '${first}' where kit_number = '${second}';
        update ${one} set kit_number = '${second}' where kit_number = 'parked'; commit`);
    };
    await chunk();
    await swap('kit', 'kit', 'K1', 'K15');
    await swap('kit', 'kit', 'K2', 'K3');
    await swap('kit', 'practitioner_kits', 'K4', 'P4');
    await chunk();
    await swap('kit', 'practitioner_kits', 'K16', 'P16');
    await finish();
  });

  it.each([
    [
      'in the other table',
      `insert into practitioner_kits (id, kit_number, practitioner_id) values (md5('twin')::uuid, 'K1', md5('practitioner1')::uuid)`,
      'practitioner_kits 00000000-0000-0000-0000-000000000000',
      'kit 1',
      `update practitioner_kits set kit_number = 'corrected' where id = md5('twin')::uuid`,
    ],
    [
      'in the same table',
      `insert into kit (id, kit_number, user_id) values (700, 'K1', md5('user1')::uuid)`,
      'kit 700',
      'kit 1',
      'delete from kit where id = 700',
    ],
    [
      'of two rows not copied yet',
      `insert into kit (id, kit_number, user_id) values (701, 'K30', md5('user1')::uuid)`,
      'kit 701',
      'kit 30',
      `update kit set kit_number = 'corrected' where id = 30`,
    ],
  ])(
    'fails on a real duplicate %s, names both keys, and resumes once it is corrected',
    async (_, create, one, other, correct) => {
      await chunk();
      await run(create);
      const error = await lane().catch((caught: unknown) => caught);
      expect(error).toMatchObject({ name: 'DuplicateKitNumber' });
      const { message } = error as Error;
      const twin = (await run(`select md5('twin')::uuid::text as id`)).rows[0].id;
      for (const key of [one, other]) expect(message).toContain(key.replace(/[0-9a-f-]{36}/, twin));
      expect(message).not.toMatch(/K1|K30/);
      await run(correct);
      await finish();
    },
  );

  it('names the constraint and the range of a row that kits cannot take', async () => {
    await chunk();
    await run('insert into kit (id, kit_number, user_id) values (702, null, null)');
    await expect(lane()).rejects.toMatchObject({
      name: 'RowRefused',
      message: expect.stringMatching(/"public"\."kit".*23502/),
    });
    await run('delete from kit where id = 702');
    await finish();
  });

  it('loses nothing when its session is killed in the middle of a chunk', async () => {
    // An uncommitted row of the same number makes the chunk wait inside its insert.
    const holder = await legacy.client();
    await holder.query(`begin; set local role kits_owner;
      insert into kits (id, owner_type, user_id, kit_number, status, source, legacy_id)
      values (md5('x')::uuid, 'client', md5('x')::uuid, 'K7', 'created', 'kit', '99999')`);
    const died = expect(chunk()).rejects.toThrow(/terminat/i);
    await until(legacy, WAITING);
    await run(
      `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
    );
    await died;
    await holder.query('rollback');
    expect((await run('select count(*)::int as n from kits')).rows[0].n).toBe(0);
    await finish();
  });

  it('is the loser when a client holds a lock that it needs', async () => {
    const client = await legacy.client();
    await client.query('begin; lock table kit in access exclusive mode');
    const copying = lane();
    await until(legacy, WAITING);
    await client.query(`update kit set notes = 'not held up' where id = 1`);
    // Longer than the copy waits for a lock.
    await new Promise((resolve) => setTimeout(resolve, 700));
    await client.query('commit');
    expect(await copying).toMatchObject({ rows: 2 * ROWS, done: true });
    await finish();
  });

  it('writes nothing when its batch is no longer the one that copies', async () => {
    await chunk();
    await flip(legacy.db, binding, { to: 'legacy', phase: 'test', actor: 'test' });
    expect(await chunk()).toEqual({ outcome: 'finished', rows: 0 });
    expect((await run('select count(*)::int as n from kits')).rows[0].n).toBe(10);
  });

  it('never blocks a client that writes to what is being copied', async () => {
    const worker = await legacy.client();
    await worker.query('begin; set local role kits_owner');
    await worker.query(
      'insert into kits (id, owner_type, user_id, kit_number, status, source, legacy_id) select md5(id::text)::uuid, $1, user_id, kit_number, $2, $3, id::text from kit',
      ['client', 'created', 'kit'],
    );
    const app = await appSession(legacy);
    await app.query(`set lock_timeout = '100ms'`);
    await app.query(`update kit set notes = 'free' where id < 10`);
    await app.query('delete from kit where id = 20');
    await worker.query('rollback');
    await finish();
  });
});

it('claims every row exactly once with four lanes at work', async () => {
  const legacy = await legacyDatabase(9_000);
  try {
    const binding = await installed(legacy);
    const batchId = await begin(legacy.db, binding);
    expect(await planCopy(legacy.db, binding, batchId, 'test')).toBeGreaterThanOrEqual(8);
    const lanes = await Promise.all(
      [1, 2, 3, 4].map(() =>
        copyLane(legacy.db, binding, {
          batchId,
          deadline: far(),
          rowsPerSecond: async () => undefined,
          unwell: async () => undefined,
        }),
      ),
    );
    expect(lanes.every(({ done }) => done)).toBe(true);
    expect(lanes.filter(({ rows }) => rows > 0).length).toBeGreaterThan(1);
    expect(lanes.reduce((sum, { rows }) => sum + rows, 0)).toBe(18_000);
    await drain(legacy.db, binding, far());
    await flip(legacy.db, binding, { to: 'mirrored', phase: 'test', actor: 'test' });
    expect(await parity(legacy.db, binding)).toMatchObject({ compared: 18_000, mismatched: 0 });
  } finally {
    await legacy.drop();
  }
});
