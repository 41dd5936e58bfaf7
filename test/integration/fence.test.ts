import { type Binding, drain, flip, readRefusedWrites } from '@unified-kits/data';
import type { Stage } from '@unified-kits/domain';
import type pg from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { installed, type LegacyDatabase, legacyDatabase } from '../support/legacy.ts';
import { migrateTo, parity } from '../support/migration.ts';
import { appSession } from '../support/sessions.ts';

const refused = { code: 'KF001' };

describe('the fence', () => {
  let legacy: LegacyDatabase;
  let binding: Binding;
  const flipTo = (to: Stage) => flip(legacy.db, binding, { to, phase: 'test', actor: 'test' });
  const value = async (sql: string) => Object.values((await legacy.pool.query(sql)).rows[0])[0];

  beforeEach(async () => {
    legacy = await legacyDatabase(20);
    binding = await installed(legacy);
  });
  afterEach(() => legacy.drop());

  it.each(['repeatable read', 'serializable'])(
    'refuses the old store to a %s transaction with a prepared statement that read before the flip',
    async (isolation) => {
      await migrateTo(legacy.db, binding, 'mirrored');
      await parity(legacy.db, binding);
      const app = await appSession(legacy);
      const writeKit = { name: 'write-kit', text: 'update kit set notes = $1 where id = $2' };
      // Prepared and planned before the flip, by an earlier transaction of the same session.
      await app.query({ ...writeKit, values: ['before', 1] });
      await app.query(`begin isolation level ${isolation}`);
      await app.query('select count(*) from kit');
      await flipTo('dual-write');
      await expect(app.query({ ...writeKit, values: ['lost', 1] })).rejects.toMatchObject(refused);
      await app.query('rollback');
      expect(await value('select notes from kit where id = 1')).toBe('before');
    },
  );

  it.each(['repeatable read', 'serializable'])(
    'refuses kits to a %s transaction with a prepared statement that read before the flip back',
    async (isolation) => {
      await migrateTo(legacy.db, binding, 'dual-write');
      const app = await appSession(legacy);
      const cancel = {
        name: 'cancel-kit',
        text: `update kits set status = $1 where source = 'kit' and legacy_id = $2`,
      };
      await app.query({ ...cancel, values: ['received', '1'] });
      await app.query(`begin isolation level ${isolation}`);
      await app.query('select count(*) from kits');
      await flipTo('mirrored');
      await expect(app.query({ ...cancel, values: ['cancelled', '1'] })).rejects.toMatchObject(
        refused,
      );
      await app.query('rollback');
      expect(await value('select status from kit where id = 1')).toBe('received');
    },
  );

  it('refuses also a statement that touches no row, and says where to write', async () => {
    await migrateTo(legacy.db, binding, 'mirrored');
    const app = await appSession(legacy);
    for (const sql of [
      'update kits set status = status where false',
      'delete from kits where false',
      'insert into kits select * from kits where false',
    ])
      await expect(app.query(sql)).rejects.toMatchObject({
        ...refused,
        message: 'public.kits is not authoritative now: write to the legacy table',
      });
    await parity(legacy.db, binding);
    await flipTo('dual-write');
    for (const table of ['kit', 'practitioner_kits'])
      for (const sql of [
        `update ${table} set status = status where false`,
        `delete from ${table} where false`,
        `insert into ${table} select * from ${table} where false`,
      ])
        await expect(app.query(sql)).rejects.toMatchObject({
          ...refused,
          message: `public.${table} is not authoritative now: write to kits`,
        });
  });

  it('counts what it refused, though each refusal ended its transaction', async () => {
    const count = () => legacy.db.transaction({ asEngine: true }, readRefusedWrites);
    expect(await count()).toBe(0);
    const app = await appSession(legacy);
    for (let refusals = 1; refusals <= 3; refusals += 1) {
      await expect(app.query('delete from kits where false')).rejects.toMatchObject(refused);
      expect(await count()).toBe(refusals);
    }
  });

  describe('against a session that would claim the exemption of the engine', () => {
    let app: pg.Client;
    beforeEach(async () => {
      await migrateTo(legacy.db, binding, 'mirrored');
      app = await appSession(legacy);
    });

    it('cannot become the engine by any setting', async () => {
      for (const sql of [
        'set role kits_owner',
        'set session authorization kits_owner',
        `set session_replication_role = 'replica'`,
        'alter table kits disable trigger all',
        'drop trigger uk_refuse_statement on kits',
        `update migration.stage set stage = 'closed'`,
        'delete from migration.pending_sync',
      ])
        await expect(app.query(sql)).rejects.toMatchObject({ code: '42501' });
      await app.query(`set unified_kits.exempt = 'on'; set application_name = 'unified-kits'`);
      await expect(app.query(`update kits set status = 'cancelled'`)).rejects.toMatchObject(
        refused,
      );
    });

    it('cannot write from inside a trigger of its own', async () => {
      await app.query(`
        create temp table lever (n integer);
        create function pg_temp.pull() returns trigger language plpgsql as $f$
          begin update public.kits set status = 'cancelled' where legacy_id = '1'; return null; end $f$;
        create trigger pull after insert on lever for each row execute function pg_temp.pull()`);
      await expect(app.query('insert into lever values (1)')).rejects.toMatchObject(refused);
      expect(await value(`select count(*)::int from kits where status = 'cancelled'`)).toBe(0);
    });

    it('cannot borrow the functions of the engine', async () => {
      await app.query('create temp table lever (id bigint)');
      await expect(
        app.query(
          'create trigger pull after insert on lever referencing new table as new_rows for each statement execute function migration.mirror_kit()',
        ),
      ).rejects.toMatchObject({ code: '42501' });
      await expect(
        app.query(`select migration.sync_kit_to_kits('{1}', '{1}')`),
      ).rejects.toMatchObject({ code: '42501' });
    });
  });

  it('captures a writer whose search path hides the types and operators of Postgres', async () => {
    await migrateTo(legacy.db, binding, 'copying');
    await legacy.pool.query(`
      create schema evil;
      create domain evil.text as pg_catalog.text check (value = 'never');
      create function evil.differs(pg_catalog.text, pg_catalog.text) returns boolean language sql as 'select 1 / 0 = 0';
      create operator evil.= (leftarg = pg_catalog.text, rightarg = pg_catalog.text, function = evil.differs);
      grant usage on schema evil to public`);
    const app = await appSession(legacy);
    await app.query('set search_path = evil, pg_catalog');
    await app.query('update public.kit set notes = null where id operator(pg_catalog.=) 3');
    await app.query('delete from public.kit where id operator(pg_catalog.=) 4');
    expect(
      await value('select array_agg(legacy_id order by 1) from migration.pending_sync'),
    ).toEqual(['3', '4']);
  });

  it('captures and refuses writers in replica role', async () => {
    await migrateTo(legacy.db, binding, 'copying');
    const replica = await legacy.client();
    await replica.query(`set session_replication_role = 'replica'`);
    await replica.query(`update kit set notes = 'replicated' where id = 3`);
    expect(await value(`select string_agg(legacy_id, ' ') from migration.pending_sync`)).toBe('3');
    await expect(replica.query(`update kits set status = 'created'`)).rejects.toMatchObject(
      refused,
    );
    await flipTo('legacy');
    await replica.query(`update kit set notes = null where id = 3`);
  });

  it('mirrors writers in replica role, and refuses them the old store', async () => {
    await migrateTo(legacy.db, binding, 'mirrored');
    const replica = await legacy.client();
    await replica.query(`set session_replication_role = 'replica'`);
    await replica.query(`update kit set order_id = 'replicated' where id = 3`);
    expect(await value(`select order_id from kits where source = 'kit' and legacy_id = '3'`)).toBe(
      'replicated',
    );
    await parity(legacy.db, binding);
    await flipTo('dual-write');
    await expect(replica.query('delete from kit where id = 3')).rejects.toMatchObject(refused);
  });

  it('refuses TRUNCATE wherever rows are captured, mirrored or fenced, also by cascade', async () => {
    await legacy.pool.query(
      'alter table kit add constraint kit_user foreign key (user_id) references users (id)',
    );
    await migrateTo(legacy.db, binding, 'mirrored');
    const app = await appSession(legacy);
    const truncations = ['truncate kit', 'truncate practitioner_kits', 'truncate users cascade'];
    for (const sql of [...truncations, 'truncate kits'])
      await expect(app.query(sql)).rejects.toMatchObject({
        code: expect.stringMatching(/^(0A000|KF001|42501)$/),
      });
    await parity(legacy.db, binding);
    for (const stage of ['dual-write', 'unified'] as const) {
      await flipTo(stage);
      for (const sql of truncations)
        await expect(legacy.pool.query(sql)).rejects.toMatchObject(refused);
      await expect(legacy.pool.query('truncate kits')).rejects.toMatchObject({ code: '0A000' });
    }
    expect(await value('select count(*)::int from kit')).toBe(20);
    expect(await value('select count(*)::int from kits')).toBe(40);
  });

  it('refuses TRUNCATE of a captured table', async () => {
    await migrateTo(legacy.db, binding, 'copying');
    for (const table of ['kit', 'practitioner_kits'])
      await expect(legacy.pool.query(`truncate ${table}`)).rejects.toMatchObject({ code: '0A000' });
  });

  it('captures, mirrors and refuses COPY and MERGE like any other write', async () => {
    const copy = (n: number) =>
      `copy kit (id, kit_number, user_id) from program 'printf "${n}\\tC${n}\\t${'0'.repeat(32)}\\n"'`;
    const merge = `merge into kit t using (values (1, 'merged'), (2, null), (9001, 'new')) v (id, note) on t.id = v.id
      when matched and v.note is null then delete when matched then update set notes = v.note
      when not matched then insert (id, kit_number, user_id, notes) values (v.id, 'M' || v.id, md5('user1')::uuid, v.note)`;
    await migrateTo(legacy.db, binding, 'copying');
    await legacy.pool.query(copy(8001));
    await legacy.pool.query(merge);
    expect(
      await value(
        `select array_agg(distinct legacy_id order by legacy_id) from migration.pending_sync where source = 'kit'`,
      ),
    ).toEqual(['1', '2', '8001', '9001']);
    await flipTo('legacy');
    await legacy.pool.query(
      `update migration.batch set ended_at = now(), outcome = 'rolled-back'; delete from kit where id > 8000`,
    );

    await migrateTo(legacy.db, binding, 'mirrored');
    await legacy.pool.query(copy(8002));
    await legacy.pool.query(merge.replace('(2, null)', '(3, null)'));
    await drain(legacy.db, binding, Date.now() + 10_000);
    expect(await parity(legacy.db, binding)).toMatchObject({ compared: 40, mismatched: 0 });
    await flipTo('dual-write');
    await expect(legacy.pool.query(copy(8003))).rejects.toMatchObject(refused);
    await expect(legacy.pool.query(merge)).rejects.toMatchObject(refused);
  });

  it('lets a cascade from a parent pass that touches no kit, and refuses one that does', async () => {
    await legacy.pool.query(
      `alter table kit add constraint kit_user foreign key (user_id) references users (id) on delete cascade on update cascade;
       insert into users values (md5('nobody')::uuid)`,
    );
    await migrateTo(legacy.db, binding, 'dual-write');
    const app = await appSession(legacy);
    await app.query(`delete from users where id = md5('nobody')::uuid`);
    await expect(
      app.query(`delete from users where id = md5('user1')::uuid`),
    ).rejects.toMatchObject(refused);
    await expect(
      app.query(`update users set id = md5('other')::uuid where id = md5('user1')::uuid`),
    ).rejects.toMatchObject(refused);
    expect(await value(`select count(*)::int from kit where user_id = md5('user1')::uuid`)).toBe(1);
  });
});
