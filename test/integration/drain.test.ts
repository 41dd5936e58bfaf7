import {
  assertNotStuck,
  type Binding,
  drain,
  enterChunk,
  enterDrain,
  flip,
  readBacklog,
} from '@unified-kits/data';
import type { Stage } from '@unified-kits/domain';
import type pg from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { installed, type LegacyDatabase, legacyDatabase } from '../support/legacy.ts';
import { begin, copyAll, migrateTo, parity } from '../support/migration.ts';
import { appSession, until, WAITING } from '../support/sessions.ts';

const far = () => Date.now() + 60_000;

describe('the drain', () => {
  let legacy: LegacyDatabase;
  let binding: Binding;
  const run = (sql: string) => legacy.pool.query(sql);
  const drained = () => drain(legacy.db, binding, far());
  const flipTo = (to: Stage) => flip(legacy.db, binding, { to, phase: 'test', actor: 'test' });
  const note = (...keys: (string | number)[]) =>
    run(
      `insert into migration.pending_sync (source, legacy_id, cause) select 'kit', key, 'test' from unnest('{${keys.join(',')}}'::text[]) noted(key)`,
    );
  const inKits = async (key: string | number) =>
    (
      await run(
        `select kit_number, status, legacy_attributes ->> 'notes' as notes from kits where source = 'kit' and legacy_id = '${key}'`,
      )
    ).rows[0];
  /** An open transaction of the engine's role. */
  const engine = async (): Promise<pg.Client> => {
    const client = await legacy.client();
    await client.query('begin; set local role kits_owner; set local search_path = public');
    return client;
  };
  const exact = async () =>
    expect(await parity(legacy.db, binding)).toMatchObject({ mismatched: 0 });

  beforeEach(async () => {
    legacy = await legacyDatabase(20);
    binding = await installed(legacy);
  });
  afterEach(() => legacy.drop());

  it('takes nothing in a stage in which nothing is drained', async () => {
    await note(3);
    expect(await drained()).toEqual({ synced: 0, stuck: 0, done: true });
    expect(await legacy.db.transaction({}, readBacklog)).toMatchObject({ noted: 1 });
  });

  describe('after the copy', () => {
    let batchId: string;
    beforeEach(async () => {
      batchId = await begin(legacy.db, binding);
    });
    /** A chunk whose worker is gone and whose session lives on: it has read, written, and not committed. */
    const openChunk = async (): Promise<pg.Client> => {
      const worker = await engine();
      await enterChunk(worker);
      await worker.query(`
        insert into kits (id, kit_number, owner_type, user_id, status, legacy_attributes, source, legacy_id, migration_batch_id)
        select migration.kits_id('kit', created_at, id::text), kit_number, 'client', user_id, status, jsonb_strip_nulls(jsonb_build_object('notes', notes)), 'kit', id::text, '${batchId}' from kit where id in (3, 4)`);
      return worker;
    };

    it('waits for a chunk that is still open, so that it cannot overwrite or resurrect a row', async () => {
      const worker = await openChunk();
      await run(
        `update kit set notes = 'newer than the chunk' where id = 3; delete from kit where id = 4`,
      );
      const draining = drained();
      await until(legacy, WAITING);
      expect(await legacy.db.transaction({}, readBacklog)).toMatchObject({ noted: 2 });
      await worker.query('commit');
      await draining;
      await copyAll(legacy.db, binding, batchId);
      expect(await inKits(3)).toMatchObject({ notes: 'newer than the chunk' });
      expect(await inKits(4)).toBeUndefined();
      await drained();
      await flipTo('mirrored');
      await exact();
    });

    it('comes to an end however fast clients write, and leaves no more than a flip takes', async () => {
      await copyAll(legacy.db, binding, batchId);
      const apps = await Promise.all(Array.from({ length: 8 }, () => appSession(legacy)));
      let writing = true;
      const writers = apps.map(async (app, id) => {
        while (writing)
          await app.query(
            `update kit set notes = clock_timestamp()::text where id in (${id + 1}, ${id + 9})`,
          );
      });
      try {
        await until(legacy, '(select count(*) > 100 from migration.pending_sync)');
        expect(await drain(legacy.db, binding, Date.now() + 15_000)).toMatchObject({ done: true });
        await flipTo('mirrored');
      } finally {
        writing = false;
      }
      await Promise.all(writers);
      await drained();
      await exact();
    });

    it('says that it must be tried again when the chunk does not end', async () => {
      const worker = await openChunk();
      await note(3);
      await expect(drained()).rejects.toMatchObject({
        name: 'CopyYielded',
        message: expect.stringContaining('lost its locks 3 times'),
        cause: { code: '55P03' },
      });
      await worker.query('rollback');
      expect(await drained()).toMatchObject({ synced: 1, done: true });
    }, 60_000);

    it('goes on by itself once the session of a dead worker is ended', async () => {
      await openChunk();
      await run(`update kit set notes = 'newer' where id = 3`);
      const draining = drained();
      await until(legacy, WAITING);
      await run(
        `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and state = 'idle in transaction'`,
      );
      expect(await draining).toMatchObject({ synced: 1, done: true });
      expect(await inKits(3)).toMatchObject({ notes: 'newer' });
    });

    it('keeps a second drain out until the first has ended', async () => {
      const first = await engine();
      await enterDrain(first);
      await note(3);
      const second = drained();
      await until(legacy, WAITING);
      expect(await inKits(3)).toBeUndefined();
      await first.query('commit');
      expect(await second).toMatchObject({ synced: 1 });
    });

    it('finds a key that was noted before it began and committed after it ended', async () => {
      const writer = await appSession(legacy);
      await writer.query('begin');
      await writer.query(`update kit set notes = 'late' where id = 5`);
      await copyAll(legacy.db, binding, batchId);
      await run(`update kit set notes = 'early' where id = 6`);
      expect(await drained()).toMatchObject({ synced: 1 });
      await writer.query('commit');
      expect(await drained()).toMatchObject({ synced: 1 });
      await flipTo('mirrored');
      await exact();
    });

    it('gives the keys back when its session is killed', async () => {
      await copyAll(legacy.db, binding, batchId);
      await run(`update kit set notes = 'noted' where id < 5; delete from kit where id = 5`);
      const holder = await engine();
      await holder.query(`select from kits where source = 'kit' and legacy_id = '2' for update`);
      const draining = expect(drained()).rejects.toThrow(/terminat/i);
      await until(legacy, WAITING);
      await run(
        `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
      );
      await draining;
      await holder.query('rollback');
      expect(await drained()).toMatchObject({ synced: 5, stuck: 0 });
      await flipTo('mirrored');
      await exact();
    });

    it('takes nothing once its time is over, and says that it is not done', async () => {
      await copyAll(legacy.db, binding, batchId);
      await note(3, 4);
      expect(await drain(legacy.db, binding, Date.now())).toEqual({
        synced: 0,
        stuck: 0,
        done: false,
      });
      expect(await legacy.db.transaction({}, readBacklog)).toMatchObject({ noted: 2 });
    });

    it('tells after each batch how many keys of both sources it has brought into step', async () => {
      await copyAll(legacy.db, binding, batchId);
      await run(
        `update kit set notes = 'changed' where id < 4; update practitioner_kits set kit_type = 'changed'`,
      );
      const { rowCount: changed } = await run(
        `select from practitioner_kits where kit_type = 'changed'`,
      );
      const told: number[] = [];
      const progress = await drain(legacy.db, binding, far(), (synced) => {
        told.push(synced);
      });
      const all = 3 + (changed ?? 0);
      expect(progress).toEqual({ synced: all, stuck: 0, done: true });
      expect(told).toEqual([all, all]);
    });

    it('brings one bad row to the operator and everything else into step', async () => {
      await copyAll(legacy.db, binding, batchId);
      await run(
        `update kit set notes = 'fine' where id < 5; update kit set kit_number = 'K2' where id = 9`,
      );
      expect(await drained()).toMatchObject({ synced: 4, stuck: 1, done: true });
      expect(
        (await run('select source, legacy_id, error from migration.pending_sync')).rows,
      ).toEqual([{ source: 'kit', legacy_id: '9', error: '23505 kits_kit_number_key' }]);
      await expect(assertNotStuck(legacy.db)).rejects.toMatchObject({
        name: 'BacklogStuck',
        message: expect.stringMatching(
          /^1 keys cannot .*: kit 9 \(23505 kits_kit_number_key\)\. Correct/,
        ),
      });
      await expect(flipTo('mirrored')).rejects.toMatchObject({ name: 'FlipRefused' });
      await run(`update kit set kit_number = 'corrected' where id = 9`);
      expect(await drained()).toMatchObject({ stuck: 0, done: true });
      await assertNotStuck(legacy.db);
      await flipTo('mirrored');
      await exact();
    });
  });

  describe('while a mirror is on', () => {
    beforeEach(() => migrateTo(legacy.db, binding, 'mirrored'));

    it('waits for a writer of the same row and takes what it wrote', async () => {
      const app = await appSession(legacy);
      await app.query('begin');
      await app.query(`update kit set notes = 'of the writer' where id = 3`);
      await note(3, 4);
      const draining = drained();
      await until(legacy, WAITING);
      await app.query('commit');
      expect(await draining).toMatchObject({ stuck: 0, done: true });
      expect(await inKits(3)).toMatchObject({ notes: 'of the writer' });
      await exact();
    });

    it('drains a long backlog to its end, and vacuums it on the way', async () => {
      // Of rows that no store has; a batch is of 500 keys while a mirror is on.
      await run(
        `insert into migration.pending_sync (source, legacy_id, cause) select 'kit', 1000 + n, 'test' from generate_series(1, 13000) n`,
      );
      expect(await drained()).toEqual({ synced: 13_000, stuck: 0, done: true });
      expect(await legacy.db.transaction({}, readBacklog)).toMatchObject({ noted: 0 });
      const { rows } = await run(
        `select pg_stat_get_vacuum_count('migration.pending_sync'::regclass)::int as vacuums`,
      );
      expect(rows).toEqual([{ vacuums: 1 }]);
    });

    it('leaves a row that a client holds for later, and takes it for no fault', async () => {
      const app = await appSession(legacy);
      await app.query('begin');
      await app.query('select from kit where id in (3, 5) for update');
      await note(3, 4, 5);
      expect(await drained()).toEqual({ synced: 1, stuck: 2, done: true });
      await expect(assertNotStuck(legacy.db)).rejects.toMatchObject({
        name: 'CopyYielded',
        message: expect.stringMatching(/the rows of 2 keys: kit [35], kit [35]\./),
      });
      // Beside one with a fault it is not what an operator is told of first.
      await run(
        `insert into migration.pending_sync (source, legacy_id, cause, error) values ('kit', '7', 'stuck', '23505')`,
      );
      await expect(assertNotStuck(legacy.db)).rejects.toMatchObject({ name: 'BacklogStuck' });
      await app.query('commit');
      expect(await drained()).toEqual({ synced: 3, stuck: 0, done: true });
      await assertNotStuck(legacy.db);
      await exact();
    });

    it('never makes a client the victim of a deadlock', async () => {
      const app = await appSession(legacy);
      await app.query('begin');
      await app.query(`update kit set notes = 'first' where id = 4`);
      await note(3, 4, 5);
      const draining = drained();
      await until(legacy, WAITING);
      // The drain holds row 3 and waits for row 4; the client comes later than the server's own look for deadlocks.
      await new Promise((resolve) => setTimeout(resolve, 1_300));
      await app.query(`update kit set notes = 'second' where id = 3`);
      await app.query('commit');
      await draining;
      await drained();
      expect(await legacy.db.transaction({}, readBacklog)).toMatchObject({ noted: 0 });
      await exact();
    });

    it('leaves alone a row that was born after it looked, and so never overwrites it', async () => {
      // Row 1 is gone and row 2 stays: their rows in kits are held, so that the drain stops before each.
      await run(
        `begin; alter table kit disable trigger uk_mirror_delete; delete from kit where id = 1; alter table kit enable always trigger uk_mirror_delete; commit`,
      );
      const [gone, kept] = [await engine(), await engine()];
      await gone.query(`select from kits where source = 'kit' and legacy_id = '1' for update`);
      await kept.query(`select from kits where source = 'kit' and legacy_id = '2' for update`);
      await note(1, 2, 700);
      const draining = drained();
      await until(legacy, WAITING);
      await run(
        `insert into kit (id, kit_number, user_id, notes) values (700, 'N700', md5('user1')::uuid, 'first')`,
      );
      await gone.query('rollback');
      await new Promise((resolve) => setTimeout(resolve, 100));
      await run(`update kit set notes = 'second' where id = 700`);
      await kept.query('rollback');
      await draining;
      expect(await inKits(700)).toMatchObject({ notes: 'second' });
      await drained();
      await exact();
    });

    it('does not delete a row that came back while it waited', async () => {
      await run(
        `begin; alter table kit disable trigger uk_mirror_delete; delete from kit where id in (1, 9); alter table kit enable always trigger uk_mirror_delete; commit`,
      );
      const holder = await engine();
      await holder.query(`select from kits where source = 'kit' and legacy_id = '1' for update`);
      await note(1, 9);
      const draining = drained();
      await until(legacy, WAITING);
      await run(
        `insert into kit (id, kit_number, user_id, notes) values (9, 'K9', md5('user1')::uuid, 'back')`,
      );
      await holder.query('rollback');
      await draining;
      await drained();
      expect(await inKits(9)).toMatchObject({ notes: 'back' });
      await exact();
    });
  });

  describe('from kits to legacy', () => {
    it('waits in dual-write for a writer of the same kit, and takes what it wrote', async () => {
      await migrateTo(legacy.db, binding, 'dual-write');
      const app = await appSession(legacy, ['kits']);
      await app.query('begin');
      await app.query(
        `update kits set order_id = 'of the writer' where source = 'kit' and legacy_id = '3'`,
      );
      await note(3, 4);
      const draining = drained();
      await until(legacy, WAITING);
      await app.query('commit');
      expect(await draining).toMatchObject({ stuck: 0, done: true });
      expect((await run('select order_id from kit where id = 3')).rows).toEqual([
        { order_id: 'of the writer' },
      ]);
      await exact();
    });

    it('deletes in dual-write what kits no longer has, once whoever holds the row lets it go', async () => {
      await migrateTo(legacy.db, binding, 'dual-write');
      await run(
        `begin; alter table kits disable trigger uk_mirror_delete; delete from kits where source = 'kit' and legacy_id in ('3', '4'); alter table kits enable always trigger uk_mirror_delete; commit`,
      );
      const holder = await engine();
      await holder.query('select from kit where id = 3 for update');
      await note(3, 4, 5);
      const draining = drained();
      await until(legacy, WAITING);
      await holder.query('rollback');
      expect(await draining).toMatchObject({ synced: 3, stuck: 0 });
      expect((await run('select id::int from kit where id in (3, 4, 5)')).rows).toEqual([
        { id: 5 },
      ]);
      await exact();
    });

    it('gives two kits their swapped numbers also where the legacy number is unique', async () => {
      await legacy.drop();
      legacy = await legacyDatabase(20);
      await run(
        `alter table kit alter kit_number type varchar(12), add constraint number_once unique (kit_number)`,
      );
      binding = await installed(legacy);
      await migrateTo(legacy.db, binding, 'unified');
      await run(`update kits set kit_number = 'parked' where kit_number = 'K1';
        update kits set kit_number = 'K1' where kit_number = 'K2'; update kits set kit_number = 'K2' where kit_number = 'parked'`);
      expect(await drained()).toMatchObject({ synced: 2, stuck: 0 });
      expect((await run('select kit_number from kit where id in (1, 2) order by id')).rows).toEqual(
        [{ kit_number: 'K2' }, { kit_number: 'K1' }],
      );
      await flipTo('dual-write');
      await exact();
    });
  });
});
