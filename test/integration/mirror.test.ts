import { assertNotStuck, type Binding, drain, flip } from '@unified-kits/data';
import type pg from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { installed, type LegacyDatabase, legacyDatabase } from '../support/legacy.ts';
import { migrateTo, parity } from '../support/migration.ts';
import { appSession, until, WAITING } from '../support/sessions.ts';

const far = () => Date.now() + 60_000;
const SECRET = 'Ada Lovelace';

/** A way in which a mirrored write fails: what to prepare, the client's write, and how the cause goes away. */
interface Failure {
  readonly name: string;
  readonly error: string;
  /** What the legacy schema has from the beginning. */
  readonly schema?: string;
  /** What happens once the mirror is on. */
  readonly prepare?: string;
  readonly write: string;
  readonly keys?: readonly string[];
  readonly repair: string;
}

const TO_KITS: readonly Failure[] = [
  {
    name: 'a kit number that the other table has',
    error: '23505 kits_kit_number_key',
    write: `update kit set kit_number = 'P5', notes = '${SECRET}' where id = 3`,
    repair: `update kit set kit_number = 'corrected' where id = 3`,
  },
  {
    name: 'a null that kits refuses',
    error: '23502',
    write: 'update kit set user_id = null where id = 3',
    repair: `update kit set user_id = md5('user1')::uuid where id = 3`,
  },
  {
    name: 'a constraint of kits',
    error: '23514 no_lovelace',
    prepare: `alter table kits add constraint no_lovelace check (legacy_attributes ->> 'notes' <> '${SECRET}')`,
    write: `update kit set notes = '${SECRET}' where id = 3`,
    repair: 'alter table kits drop constraint no_lovelace',
  },
  {
    name: 'a value that the mapping does not name',
    error: 'KF002',
    write: `update kit set status = '${SECRET}' where id = 3`,
    repair: `update kit set status = 'completed' where id = 3`,
  },
  {
    name: 'a column of kits that is gone',
    error: '42703',
    prepare: 'alter table kits rename column order_id to gone',
    write: `update kit set order_id = '${SECRET}' where id = 3`,
    repair: 'alter table kits rename column gone to order_id',
  },
  {
    name: 'kits itself that is gone',
    error: '42P01',
    prepare: 'alter table kits rename to gone',
    write: `update kit set order_id = '${SECRET}' where id = 3`,
    repair: 'alter table gone rename to kits',
  },
  {
    name: 'an exception raised by somebody with a value in it',
    error: 'P0001',
    prepare: `create function raise_it() returns trigger language plpgsql as $f$ begin raise exception 'no %', new.legacy_attributes; end $f$;
      create trigger raise_it before insert or update on kits for each row execute function raise_it()`,
    write: `update kit set notes = '${SECRET}' where id = 3`,
    repair: 'drop trigger raise_it on kits',
  },
  {
    name: 'a failed assertion',
    error: 'P0004',
    prepare: `create function assert_it() returns trigger language plpgsql as $f$ begin assert false, new.legacy_attributes::text; return new; end $f$;
      create trigger assert_it before insert or update on kits for each row execute function assert_it()`,
    write: `update kit set notes = '${SECRET}' where id = 3`,
    repair: 'drop trigger assert_it on kits',
  },
  {
    name: 'the deletion of a kit that something refers to',
    error: '23503 still_needed',
    prepare: `create table referring (kit uuid constraint still_needed references kits (id));
      insert into referring select id from kits where source = 'kit' and legacy_id = '3'`,
    write: 'delete from kit where id = 3',
    repair: 'drop table referring',
  },
  {
    name: 'one bad row among many of a statement',
    error: '23505 kits_kit_number_key',
    write: `update kit set kit_number = case id when 3 then 'P5' else kit_number || '+' end where id in (2, 3, 4)`,
    keys: ['2', '3', '4'],
    repair: `update kit set kit_number = 'corrected' where id = 3`,
  },
];

const kit = (assignment: string) =>
  `update kits set ${assignment} where source = 'kit' and legacy_id = '3'`;
const TO_LEGACY: readonly Failure[] = [
  {
    name: 'a check of the legacy table',
    error: '23514 no_lovelace',
    prepare: `alter table kit add constraint no_lovelace check (order_id <> '${SECRET}')`,
    write: kit(`order_id = '${SECRET}'`),
    repair: 'alter table kit drop constraint no_lovelace',
  },
  {
    name: 'a text that is too long for the legacy column',
    error: '22001',
    schema: 'alter table kit alter order_id type varchar(12)',
    write: kit(`order_id = '${SECRET} and many more'`),
    repair: kit(`order_id = 'short'`),
  },
  {
    name: 'a status that the legacy table has no word for',
    error: 'KF002',
    write: kit(`status = '${SECRET}'`),
    repair: kit(`status = 'completed'`),
  },
  {
    name: 'a legacy column that is gone',
    error: '42703',
    prepare: 'alter table kit rename column notes to gone',
    write: kit(`order_id = '${SECRET}'`),
    repair: 'alter table kit rename column gone to notes',
  },
  {
    name: 'the deletion of a kit that a legacy table refers to',
    error: '23503 still_needed',
    prepare: `create table referring (kit bigint constraint still_needed references kit (id)); insert into referring values (3)`,
    write: `delete from kits where source = 'kit' and legacy_id = '3'`,
    repair: 'drop table referring',
  },
];

describe('a mirror never breaks the authoritative write', () => {
  let legacy: LegacyDatabase;
  let binding: Binding;
  let app: pg.Client;
  const run = (sql: string) => legacy.pool.query(sql);
  const backlog = async () =>
    (
      await run(
        'select source, legacy_id as key, cause, error from migration.pending_sync order by 1, length(legacy_id), 2',
      )
    ).rows;
  const exact = async () =>
    expect(await parity(legacy.db, binding)).toMatchObject({ mismatched: 0, done: true });
  const mend = async () => {
    expect(await drain(legacy.db, binding, far())).toMatchObject({ stuck: 0, done: true });
    expect(await backlog()).toEqual([]);
    await exact();
  };

  beforeEach(async () => {
    legacy = await legacyDatabase(20);
    binding = await installed(legacy);
  });
  afterEach(() => legacy.drop());

  const failsAndIsMended = async ({ error, write, keys = ['3'], repair }: Failure) => {
    expect((await app.query(write)).rowCount).toBe(keys.length);
    expect(await backlog()).toEqual(
      keys.map((key) => ({ source: 'kit', key, cause: 'mirror', error })),
    );
    await run(repair);
    await mend();
  };

  describe('from legacy to kits', () => {
    beforeEach(async () => {
      await migrateTo(legacy.db, binding, 'mirrored');
      app = await appSession(legacy);
    });

    it.each(TO_KITS)('when it meets $name', async (failure) => {
      if (failure.prepare !== undefined) await run(failure.prepare);
      await failsAndIsMended(failure);
    });

    it('when another session holds the row too long', async () => {
      const holder = await legacy.client();
      await holder.query(
        `begin; set local role kits_owner; select from kits where source = 'kit' and legacy_id = '3' for update`,
      );
      const began = Date.now();
      await app.query(`update kit set notes = 'kept' where id = 3`);
      expect(Date.now() - began).toBeLessThan(5_000);
      expect(await backlog()).toMatchObject([{ key: '3', error: '55P03' }]);
      await holder.query('rollback');
      await mend();
    });

    it("when the client's own statement timeout ends in it", async () => {
      const holder = await legacy.client();
      await holder.query(
        `begin; set local role kits_owner; select from kits where source = 'kit' and legacy_id = '3' for update`,
      );
      await app.query('set statement_timeout = 100');
      expect((await app.query(`update kit set notes = 'kept' where id = 3`)).rowCount).toBe(1);
      expect(await backlog()).toMatchObject([{ key: '3', error: '57014' }]);
      await holder.query('rollback');
      await mend();
    });

    it('when it is the victim of a deadlock', async () => {
      const holder = await legacy.client();
      await holder.query(
        `begin; set local deadlock_timeout = '10s'; set local role kits_owner; select from kits where source = 'kit' and legacy_id = '2' for update`,
      );
      const client = await legacy.client();
      await client.query(`set deadlock_timeout = '20ms'; begin`);
      await client.query(`update kit set notes = 'one' where id = 1`);
      const held = holder.query('select from kit where id = 1 for update');
      await until(legacy, WAITING);
      await client.query(`update kit set notes = 'two' where id = 2`);
      await client.query('commit');
      await held;
      await holder.query('rollback');
      expect(await backlog()).toMatchObject([{ key: '2', error: '40P01' }]);
      await mend();
      expect((await run('select notes from kit where id in (1, 2) order by id')).rows).toEqual([
        { notes: 'one' },
        { notes: 'two' },
      ]);
    });

    it('when kits has changed since the snapshot of a repeatable read transaction', async () => {
      await app.query('begin isolation level repeatable read');
      await app.query('select count(*) from kit');
      const other = await legacy.client();
      await other.query(
        `set role kits_owner; update kits set status = 'cancelled' where source = 'kit' and legacy_id = '3'`,
      );
      await app.query(`update kit set notes = 'kept' where id = 3`);
      await app.query('commit');
      expect(await backlog()).toMatchObject([{ key: '3', error: '40001' }]);
      await mend();
    });

    it('and keeps the failure with the write: what is rolled back leaves no key', async () => {
      await app.query('begin');
      await app.query(`update kit set kit_number = 'P5' where id = 3`);
      await app.query('rollback');
      expect(await backlog()).toEqual([]);
      await exact();
    });

    it('and shows the operator the key, which stops the flip and not the client', async () => {
      await exact();
      await app.query(`update kit set kit_number = 'P5' where id = 3`);
      await drain(legacy.db, binding, far());
      await expect(assertNotStuck(legacy.db)).rejects.toMatchObject({
        name: 'BacklogStuck',
        message: expect.stringContaining('kit 3 (23505 kits_kit_number_key)'),
      });
      await expect(
        flip(legacy.db, binding, { to: 'dual-write', phase: 'test', actor: 'test' }),
      ).rejects.toMatchObject({ name: 'FlipRefused' });
      await app.query(`update kit set notes = 'goes on' where id = 3`);
    });

    it('follows a kit that is given another id, and one that is replaced under the same', async () => {
      await app.query('update kit set id = id + 1000 where id in (3, 4)');
      await app.query(
        `begin; delete from kit where id = 5; insert into kit (id, kit_number, user_id) values (5, 'K5', md5('user9')::uuid); commit`,
      );
      await app.query(
        `insert into kit (id, kit_number, user_id) values (6, 'K6', md5('user9')::uuid) on conflict (id) do update set notes = 'upserted', user_id = excluded.user_id`,
      );
      expect(await backlog()).toEqual([]);
      await exact();
    });
  });

  describe('from kits to legacy', () => {
    it.each(TO_LEGACY)('when it meets $name', async (failure) => {
      if (failure.schema !== undefined) await run(failure.schema);
      binding = await installed(legacy);
      await migrateTo(legacy.db, binding, 'dual-write');
      if (failure.prepare !== undefined) await run(failure.prepare);
      app = await appSession(legacy);
      await failsAndIsMended(failure);
    });

    it('when another session holds the legacy row too long', async () => {
      await migrateTo(legacy.db, binding, 'dual-write');
      app = await appSession(legacy);
      const holder = await legacy.client();
      await holder.query('begin; select from kit where id = 3 for update');
      await app.query(kit(`status = 'cancelled'`));
      expect(await backlog()).toMatchObject([{ key: '3', error: '55P03' }]);
      await holder.query('rollback');
      await mend();
      expect((await run('select status from kit where id = 3')).rows).toEqual([
        { status: 'cancelled' },
      ]);
    });

    it('when two kits swap numbers that are unique in the legacy table', async () => {
      await run('alter table kit alter kit_number type varchar(6), add unique (kit_number)');
      binding = await installed(legacy);
      await migrateTo(legacy.db, binding, 'dual-write');
      app = await appSession(legacy);
      for (const [from, to] of [
        ['K3', 'a number that the legacy column cannot hold'],
        ['K4', 'K3'],
        ['a number that the legacy column cannot hold', 'K4'],
      ])
        await app.query('update kits set kit_number = $2 where kit_number = $1', [from, to]);
      expect((await backlog()).length).toBeGreaterThan(0);
      await mend();
    });
  });
});
