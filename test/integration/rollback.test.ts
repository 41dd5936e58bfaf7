import {
  type Binding,
  bindInstalled,
  copyChunk,
  deleteBatch,
  drain,
  finishCopy,
  flip,
  installKits,
  planCopy,
  project,
  proveRolledBack,
} from '@unified-kits/data';
import { SOURCES, STAGES, type Stage, stagePath } from '@unified-kits/domain';
import type pg from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { installed, type LegacyDatabase, legacyDatabase } from '../support/legacy.ts';
import { begin, copyAll, migrateTo, parity } from '../support/migration.ts';
import { appSession, until, WAITING } from '../support/sessions.ts';

const far = () => Date.now() + 60_000;

describe('a rollback', () => {
  let legacy: LegacyDatabase;
  let binding: Binding;
  const run = async (sql: string, values: unknown[] = []) =>
    (await legacy.pool.query(sql, values)).rows;
  const stage = async (): Promise<Stage> =>
    (await run('select stage from migration.stage'))[0].stage;
  const content = async (schema = 'public') => ({
    kit: await run(`select t::text as row from ${schema}.kit t order by id`),
    practitioner_kits: await run(
      `select t::text as row from ${schema}.practitioner_kits t order by id`,
    ),
  });
  /** What the workflow does: drain, flip, again, until the stage is legacy; then delete. */
  const rollBack = async (batchId: string) => {
    for (const to of stagePath(await stage(), 'legacy')) {
      if ((await stage()) !== 'copying') await drain(legacy.db, binding, far());
      await flip(legacy.db, binding, { to, phase: 'test', actor: 'test' });
      if (to === 'unified') await parity(legacy.db, binding);
    }
    return deleteBatch(legacy.db, binding, batchId, far());
  };
  const proof = (batchId: string) =>
    legacy.db.transaction({ asEngine: true }, (session) =>
      proveRolledBack(session, binding, batchId),
    );
  const CLEAN = {
    rowsLeft: 0,
    backlogLeft: 0,
    stage: 'legacy',
    suspendedTriggers: 0,
    triggersOn: 0,
  };
  const end = (batchId: string) =>
    run(`update migration.batch set ended_at = now(), outcome = 'rolled-back' where id = $1`, [
      batchId,
    ]);

  beforeEach(async () => {
    legacy = await legacyDatabase(30);
    binding = await installed(legacy);
  });
  afterEach(() => legacy.drop());

  /** The same changes on the store that leads, and on a copy of the legacy tables without a migration. */
  const change = async (app: pg.Client, leads: 'legacy' | 'kits') => {
    if (leads === 'legacy') {
      for (const schema of ['public', 'twin'])
        await run(`update ${schema}.kit set notes = 'of a client', status = 'completed' where id = 2;
          delete from ${schema}.kit where id = 3;
          update ${schema}.practitioner_kits set patient_name = null, status = 'at_lab' where kit_number = 'P4'`);
      await app.query(
        `insert into kit (kit_number, user_id, created_at, updated_at) values ('NEW', md5('user1')::uuid, '2025-01-01', '2025-01-01')`,
      );
      await run(
        `insert into twin.kit overriding system value select * from public.kit where kit_number = 'NEW'`,
      );
      return;
    }
    await app.query(
      `update kits set status = 'completed', legacy_attributes = legacy_attributes || '{"notes": "of a client"}' where source = 'kit' and legacy_id = '2'`,
    );
    await app.query(`delete from kits where source = 'kit' and legacy_id = '3'`);
    await app.query(
      `update kits set status = 'received', legacy_attributes = legacy_attributes - 'patient_name' where kit_number = 'P4'`,
    );
    const born = await app.query(
      `insert into kits (kit_number, owner_type, user_id, status, created_at, updated_at) values ('NEW', 'client', md5('user1')::uuid, 'created', '2025-01-01', '2025-01-01') returning legacy_id`,
    );
    await run(`update twin.kit set notes = 'of a client', status = 'completed' where id = 2;
      delete from twin.kit where id = 3;
      update twin.practitioner_kits set patient_name = null, status = 'at_lab' where kit_number = 'P4'`);
    await run(
      `insert into twin.kit (id, kit_number, user_id, status, created_at, updated_at) overriding system value values ($1, 'NEW', md5('user1')::uuid, 'created', '2025-01-01', '2025-01-01')`,
      [born.rows[0].legacy_id],
    );
  };

  it.each(STAGES.filter((name) => name !== 'legacy'))(
    'from stage %s, with writes made there, leaves legacy as the writes left it and nothing of the batch',
    async (from) => {
      await run(`create schema twin; create table twin.kit (like kit including all); create table twin.practitioner_kits (like practitioner_kits including all);
        insert into twin.kit overriding system value select * from kit; insert into twin.practitioner_kits select * from practitioner_kits`);
      const batchId = await migrateTo(legacy.db, binding, from);
      const app = await appSession(legacy);
      await change(app, from === 'copying' || from === 'mirrored' ? 'legacy' : 'kits');
      expect(await rollBack(batchId)).toMatchObject({ done: true });
      expect(await proof(batchId)).toEqual(CLEAN);
      expect(await content()).toEqual(await content('twin'));
      // A new run begins where nothing is left, and gives what is still there its id again.
      await end(batchId);
      await migrateTo(legacy.db, binding, 'mirrored');
      expect(await parity(legacy.db, binding)).toMatchObject({ mismatched: 0 });
    },
  );

  it('gives every kit the same id again in the next run', async () => {
    const ids = () => run('select source, legacy_id, kits_id from kit_id_map order by 1, 2');
    const first = await migrateTo(legacy.db, binding, 'mirrored');
    const before = await ids();
    expect(before).toHaveLength(60);
    await rollBack(first);
    await end(first);
    expect(await ids()).toEqual([]);
    await migrateTo(legacy.db, binding, 'mirrored');
    expect(await ids()).toEqual(before);
  });

  describe('of a batch that died half way', () => {
    const untouched = async (batchId: string, before: unknown) => {
      expect(await rollBack(batchId)).toMatchObject({ done: true });
      expect(await proof(batchId)).toEqual(CLEAN);
      expect(await content()).toEqual(before);
    };

    it('after it began, before anything was planned', async () => {
      const before = await content();
      await untouched(await begin(legacy.db, binding), before);
    });

    it('in the middle of the copy, with changes captured', async () => {
      const batchId = await begin(legacy.db, binding);
      await planCopy(legacy.db, binding, batchId, 'test');
      const projections = new Map(
        SOURCES.map((source) => [source as string, project(binding, binding.sources[source])]),
      );
      await copyChunk(legacy.db, projections, batchId, 10);
      await run(`update kit set notes = 'captured'`);
      const before = await content();
      expect(await run('select count(*)::int as n from kits')).toEqual([{ n: 10 }]);
      await untouched(batchId, before);
    });

    it('after the copy and its indexes, before the drain', async () => {
      const batchId = await begin(legacy.db, binding);
      await copyAll(legacy.db, binding, batchId);
      await run(`delete from kit where id = 4`);
      const before = await content();
      await untouched(batchId, before);
      // The indexes stay; the next copy goes through them.
      await end(batchId);
      await migrateTo(legacy.db, binding, 'mirrored');
      await finishCopy(legacy.db, binding, batchId, 'test');
    });

    it('with a key that could not be mirrored in the backlog', async () => {
      const batchId = await migrateTo(legacy.db, binding, 'mirrored');
      await run(`update kit set kit_number = 'P5' where id = 5`);
      const before = await content();
      await drain(legacy.db, binding, far());
      await untouched(batchId, before);
    });
  });

  it('deletes rows of its own batch only, and again finds nothing', async () => {
    const batchId = await migrateTo(legacy.db, binding, 'mirrored');
    await run(
      `set role kits_owner; update kits set migration_batch_id = null where kit_number in ('K1', 'P1'); reset role`,
    );
    await flip(legacy.db, binding, { to: 'legacy', phase: 'test', actor: 'test' });
    expect(await deleteBatch(legacy.db, binding, batchId, far())).toEqual({ rows: 58, done: true });
    expect(await deleteBatch(legacy.db, binding, batchId, far())).toEqual({ rows: 0, done: true });
    expect(await run('select count(*)::int as n from kits')).toEqual([{ n: 2 }]);
  });

  it('refuses to delete in any other stage, or while a foreign key points at kits', async () => {
    const batchId = await migrateTo(legacy.db, binding, 'dual-write');
    await expect(deleteBatch(legacy.db, binding, batchId, far())).rejects.toMatchObject({
      name: 'RollbackRefused',
      message: expect.stringContaining('stage "dual-write"'),
    });
    await run(
      'create table result (kit uuid constraint "of kits" references kits (id) on delete cascade)',
    );
    await run('insert into result select id from kits');
    await expect(rollBack(batchId)).rejects.toMatchObject({
      name: 'RollbackRefused',
      message: expect.stringContaining('result (of kits)'),
    });
    expect(await run('select count(*)::int as n from result')).toEqual([{ n: 60 }]);
    await run('drop table result');
    expect(await deleteBatch(legacy.db, binding, batchId, far())).toEqual({ rows: 60, done: true });
  });

  it('is resumed after its session was killed in the middle of the deletion', async () => {
    const batchId = await migrateTo(legacy.db, binding, 'mirrored');
    await flip(legacy.db, binding, { to: 'legacy', phase: 'test', actor: 'test' });
    const holder = await legacy.client();
    await holder.query(
      `begin; set local role kits_owner; select from kits where kit_number = 'K9' for update`,
    );
    const killed = expect(deleteBatch(legacy.db, binding, batchId, far())).rejects.toThrow(
      /terminat/i,
    );
    await until(legacy, WAITING);
    await run(
      `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
    );
    await killed;
    await holder.query('rollback');
    expect(await run('select count(*)::int as n from kits')).toEqual([{ n: 60 }]);
    expect(await deleteBatch(legacy.db, binding, batchId, far())).toEqual({ rows: 60, done: true });
  });

  it('does not give a kit born in unified an id that legacy gives away later', async () => {
    const batchId = await migrateTo(legacy.db, binding, 'unified');
    const app = await appSession(legacy);
    await app.query(
      `insert into kits (kit_number, owner_type, user_id, status) values ('BORN', 'client', md5('user1')::uuid, 'created')`,
    );
    await rollBack(batchId);
    const next = await app.query(
      `insert into kit (kit_number, user_id) values ('NEXT', md5('user1')::uuid) returning id`,
    );
    const [born] = await run(`select id from kit where kit_number = 'BORN'`);
    expect(Number(next.rows[0].id)).toBeGreaterThan(Number(born?.id));
  });
});

it('binds to what is installed, and refuses what is not', async () => {
  const legacy = await legacyDatabase(5);
  try {
    await installKits(legacy.db, legacy.mapping, 'test');
    await legacy.pool.query('alter table kit add column extra text');
    await expect(
      legacy.db.transaction({}, (session) => bindInstalled(session, legacy.mapping)),
    ).rejects.toMatchObject({ name: 'SchemaVersionMismatch' });
  } finally {
    await legacy.drop();
  }
});
