import {
  type Binding,
  deleteBatch,
  drain,
  flip,
  proveRolledBack,
  readBacklog,
  rehearse,
} from '@unified-kits/data';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { installed, type LegacyDatabase, legacyDatabase } from '../support/legacy.ts';
import { begin, copyAll, migrateTo, parity } from '../support/migration.ts';

const far = () => Date.now() + 60_000;
const flipTo = (legacy: LegacyDatabase, binding: Binding, to: Parameters<typeof flip>[2]['to']) =>
  flip(legacy.db, binding, { to, phase: 'test', actor: 'test' });
const asApp = async <T>(
  legacy: LegacyDatabase,
  work: (
    query: (sql: string) => Promise<{ rows: Record<string, unknown>[]; rowCount: number | null }>,
  ) => Promise<T>,
) => {
  const client = await legacy.client();
  try {
    await client.query(
      'grant select, insert, update, delete on kit, practitioner_kits, users, practitioners to kits_app',
    );
    await client.query('set role kits_app');
    return await work((sql) => client.query(sql));
  } finally {
    await client.end();
  }
};

describe('a migration through every stage and back', () => {
  let legacy: LegacyDatabase;
  let binding: Binding;
  let batchId: string;
  beforeAll(async () => {
    legacy = await legacyDatabase(500);
    binding = await installed(legacy);
  });
  afterAll(() => legacy.drop());

  it('fences kits from the moment it exists', async () => {
    await asApp(legacy, async (query) => {
      await expect(query('delete from kits')).rejects.toMatchObject({ code: 'KF001' });
    });
  });

  it('rehearses with a canary that leaves nothing behind', async () => {
    const rehearsal = await rehearse(legacy.db, binding, {
      rows: 50,
      actor: 'test',
      reportId: null,
    });
    expect(rehearsal).toMatchObject({ rows: 100, changedByOthers: 0 });
    expect((await legacy.pool.query('select count(*)::int as n from kits')).rows[0].n).toBe(0);
  });

  it('captures while it copies and is exact after the drain', async () => {
    batchId = await begin(legacy.db, binding);
    await asApp(legacy, async (query) => {
      await query(`update kit set status = 'cancelled' where id = 7`);
      await query(`delete from kit where id = 8`);
      await query(
        `insert into practitioner_kits (kit_number, practitioner_id) values ('new', md5('practitioner1')::uuid)`,
      );
      await expect(query(`update kits set status = 'created'`)).rejects.toMatchObject({
        code: 'KF001',
      });
      await expect(query('truncate kit')).rejects.toThrow();
    });
    await copyAll(legacy.db, binding, batchId);
    await asApp(legacy, async (query) => {
      await query(`update kit set status = 'received', notes = 'later' where id = 9`);
      await query(`delete from kit where id = 10`);
    });
    await drain(legacy.db, binding, far());
    expect(await flipTo(legacy, binding, 'mirrored')).toMatchObject({
      from: 'copying',
      to: 'mirrored',
    });
    expect(await parity(legacy.db, binding)).toMatchObject({
      compared: 999,
      mismatched: 0,
      done: true,
    });
  });

  it('mirrors legacy writes into kits in their own transaction', async () => {
    await asApp(legacy, async (query) => {
      await query(`update kit set status = 'rejected', notes = null where id = 11`);
      expect(
        (
          await query(
            `select status, legacy_attributes from kits where source = 'kit' and legacy_id = '11'`,
          )
        ).rows[0],
      ).toEqual({ status: 'rejected', legacy_attributes: {} });
      await query('delete from kit where id = 12');
      expect(
        (await query(`select from kits where source = 'kit' and legacy_id = '12'`)).rowCount,
      ).toBe(0);
    });
    expect(await parity(legacy.db, binding)).toMatchObject({ mismatched: 0 });
  });

  it('mirrors kits into legacy and fences legacy in dual-write', async () => {
    await flipTo(legacy, binding, 'dual-write');
    await asApp(legacy, async (query) => {
      await expect(query(`update kit set status = 'created' where id = -1`)).rejects.toMatchObject({
        code: 'KF001',
      });
      await query(`update kits set status = 'completed' where source = 'kit' and legacy_id = '20'`);
      expect((await query('select status from kit where id = 20')).rows[0]).toEqual({
        status: 'completed',
      });
      const born = await query(
        `insert into kits (kit_number, owner_type, user_id, status) values ('born', 'client', md5('user1')::uuid, 'created') returning id, legacy_id`,
      );
      expect(
        (await query(`select status from kit where id = ${born.rows[0]?.legacy_id}`)).rows,
      ).toEqual([{ status: 'created' }]);
      await query(
        `insert into kits (kit_number, owner_type, practitioner_id, status) values ('born2', 'practitioner', md5('practitioner2')::uuid, 'created')`,
      );
      expect(
        (await query(`select status from practitioner_kits where kit_number = 'born2'`)).rows,
      ).toEqual([{ status: 'ordered' }]);
    });
    expect(await legacy.db.transaction({}, readBacklog)).toMatchObject({ noted: 0 });
    expect(await parity(legacy.db, binding)).toMatchObject({ mismatched: 0 });
  });

  it('captures what changes in unified and drains it back', async () => {
    await flipTo(legacy, binding, 'unified');
    await asApp(legacy, async (query) => {
      await query(`update kits set status = 'cancelled' where source = 'kit' and legacy_id = '21'`);
      await query(
        `insert into kits (kit_number, owner_type, user_id, status) values ('born3', 'client', md5('user1')::uuid, 'created')`,
      );
      await query(`delete from kits where kit_number = 'P30'`);
      expect((await query('select status from kit where id = 21')).rows[0]).not.toEqual({
        status: 'cancelled',
      });
    });
    expect(await drain(legacy.db, binding, far())).toMatchObject({
      synced: 3,
      stuck: 0,
      done: true,
    });
    await flipTo(legacy, binding, 'dual-write');
    await flipTo(legacy, binding, 'mirrored');
    expect(await parity(legacy.db, binding)).toMatchObject({ mismatched: 0 });
  });

  it('deletes the batch and leaves nothing of it', async () => {
    await flipTo(legacy, binding, 'legacy');
    const { rows } = await legacy.pool.query('select count(*)::int as n from kits');
    expect(await deleteBatch(legacy.db, binding, batchId, far())).toEqual({
      rows: rows[0].n,
      done: true,
    });
    expect(
      await legacy.db.transaction({ asEngine: true }, (session) =>
        proveRolledBack(session, binding, batchId),
      ),
    ).toEqual({
      rowsLeft: 0,
      backlogLeft: 0,
      stage: 'legacy',
      suspendedTriggers: 0,
      triggersOn: 0,
    });
  });

  it('refuses a flip that skips a stage', async () => {
    await expect(flipTo(legacy, binding, 'unified')).rejects.toMatchObject({
      name: 'IllegalTransition',
    });
  });
});

it('goes from legacy to closed', async () => {
  const legacy = await legacyDatabase(100);
  try {
    const binding = await installed(legacy);
    await migrateTo(legacy.db, binding, 'closed');
    const { rows } = await legacy.pool.query('select stage from migration.stage');
    expect(rows).toEqual([{ stage: 'closed' }]);
  } finally {
    await legacy.drop();
  }
});
