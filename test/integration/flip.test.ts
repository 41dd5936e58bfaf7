import {
  type Binding,
  beginBatch,
  drain,
  endBatch,
  enterChunk,
  type FlipOptions,
  flip,
} from '@unified-kits/data';
import { FENCE_SQLSTATE, STAGES, type Stage } from '@unified-kits/domain';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { installed, type LegacyDatabase, legacyDatabase } from '../support/legacy.ts';
import { begin, copyAll, migrateTo, parity } from '../support/migration.ts';
import { appSession, pidOf, until, WAITING } from '../support/sessions.ts';

const far = () => Date.now() + 60_000;
const LEGAL = new Set([
  'legacy copying',
  'copying mirrored',
  'copying legacy',
  'mirrored dual-write',
  'mirrored unified',
  'mirrored legacy',
  'dual-write unified',
  'dual-write mirrored',
  'unified closed',
  'unified dual-write',
  'closed unified',
]);
const PAIRS = STAGES.flatMap((from) => STAGES.map((to) => [from, to] as const));

describe('a flip', () => {
  let legacy: LegacyDatabase;
  let binding: Binding;
  const run = (sql: string) => legacy.pool.query(sql);
  const flipTo = (to: Stage, options: Partial<FlipOptions> = {}) =>
    flip(legacy.db, binding, { to, phase: 'test', actor: 'test', ...options });
  const mirrored = async () => {
    await migrateTo(legacy.db, binding, 'mirrored');
    await parity(legacy.db, binding);
  };
  /** All that a flip may change. */
  const state = async () =>
    (
      await run(`select (select to_jsonb(s) from migration.stage s) as stage,
        (select jsonb_agg(to_jsonb(n) order by n.source, n.legacy_id) from migration.pending_sync n) as backlog,
        (select jsonb_agg(to_jsonb(u)) from migration.suspended_trigger u) as suspended,
        (select count(*) from migration.event) as events,
        (select md5(string_agg(k::text, ' ' order by k.id)) from kits k) as kits,
        (select md5(string_agg(k::text, ' ' order by k.id)) from kit k) as kit,
        (select jsonb_object_agg(tgrelid::regclass::text || tgname, tgenabled) from pg_trigger where not tgisinternal) as triggers`)
    ).rows[0];
  const changesNothing = async (attempt: () => Promise<unknown>, error: object) => {
    const before = await state();
    await expect(attempt()).rejects.toMatchObject(error);
    expect(await state()).toEqual(before);
  };

  beforeEach(async () => {
    legacy = await legacyDatabase(20);
    binding = await installed(legacy);
  });
  afterEach(() => legacy.drop());

  it('leads to neighbouring stages only, and names both stages of any other pair', async () => {
    for (const [from, to] of PAIRS.filter((pair) => !LEGAL.has(pair.join(' ')))) {
      await run(`update migration.stage set stage = '${from}'`);
      await changesNothing(() => flipTo(to), {
        name: 'IllegalTransition',
        message: expect.stringContaining(`stage "${to}" cannot follow "${from}"`),
      });
    }
    expect(PAIRS).toHaveLength(36);
  });

  describe('that is refused changes nothing at all', () => {
    it('before the copy is planned, and before it is complete', async () => {
      const batchId = await begin(legacy.db, binding);
      await changesNothing(() => flipTo('mirrored'), {
        name: 'FlipRefused',
        message: expect.stringContaining('has not been planned'),
      });
      await run(
        `insert into migration.chunk (batch_id, source, ordinal, estimated_rows) values ('${batchId}', 'kit', 0, 1)`,
      );
      await changesNothing(() => flipTo('mirrored'), {
        name: 'FlipRefused',
        message: expect.stringContaining('1 of 1 chunks are not copied yet'),
      });
    });

    it('without a proof of parity in this stage, or with mismatches in the last one', async () => {
      await migrateTo(legacy.db, binding, 'mirrored');
      await changesNothing(() => flipTo('dual-write'), {
        name: 'FlipRefused',
        message: expect.stringContaining('parity has not been proved'),
      });
      await parity(legacy.db, binding);
      await flipTo('dual-write');
      await flipTo('mirrored');
      await changesNothing(() => flipTo('dual-write'), { name: 'FlipRefused' });
      await run(
        `set role kits_owner; update kits set status = 'cancelled' where source = 'kit' and legacy_id = '1'; reset role`,
      );
      expect(await parity(legacy.db, binding)).toMatchObject({ mismatched: 1 });
      await changesNothing(() => flipTo('dual-write'), {
        name: 'FlipRefused',
        message: expect.stringContaining('1 mismatches'),
      });
    });

    it('with more in the backlog than may be drained under the lock', async () => {
      const batchId = await begin(legacy.db, binding);
      await copyAll(legacy.db, binding, batchId);
      await run('update kit set notes = $$changed$$');
      await changesNothing(() => flipTo('mirrored', { maxBacklog: 5 }), {
        name: 'FlipRefused',
        message: expect.stringContaining('more than 5 keys'),
      });
      expect(await flipTo('mirrored', { maxBacklog: 20 })).toMatchObject({ drained: 20 });
    });

    it('with more notes of one key than it may take, and not with as many', async () => {
      const note = (times: number) =>
        run(
          `insert into migration.pending_sync (source, legacy_id, cause) select 'kit', '1', 'test' from generate_series(1, ${times})`,
        );
      const batchId = await begin(legacy.db, binding);
      await copyAll(legacy.db, binding, batchId);
      await note(26);
      await changesNothing(() => flipTo('mirrored', { maxBacklog: 1 }), {
        name: 'FlipRefused',
        message:
          'no flip from "copying" to "mirrored": 1 keys are still in the backlog. Drain it and try again.',
      });
      await run('delete from migration.pending_sync');
      await note(25);
      expect(await flipTo('mirrored', { maxBacklog: 1 })).toMatchObject({ drained: 1 });
    });

    it('with a key in the backlog that cannot be synchronised', async () => {
      await mirrored();
      await run(`update kit set kit_number = 'P5' where id = 3`);
      await changesNothing(() => flipTo('dual-write'), {
        name: 'FlipRefused',
        message: expect.stringMatching(/23505 kits_kit_number_key/),
      });
    });

    it('to unified while a foreign key points at a legacy table, until it is re-pointed', async () => {
      await run(
        'create schema lab; create table lab."Result" (kit bigint constraint "of kit" references kit (id))',
      );
      await mirrored();
      await changesNothing(() => flipTo('unified'), {
        name: 'FlipRefused',
        message: expect.stringMatching(/lab\."Result" \(of kit\) → (public\.)?kit/),
      });
      await flipTo('dual-write');
      await changesNothing(() => flipTo('unified'), { name: 'FlipRefused' });
      await run(
        'alter table lab."Result" drop constraint "of kit", add column kits uuid references kits (id)',
      );
      expect(await flipTo('unified')).toMatchObject({ from: 'dual-write', to: 'unified' });
    });

    describe('at its beginning', () => {
      const beginning = () =>
        legacy.db.transaction({ asEngine: true }, (session) =>
          beginBatch(session, binding, {
            kind: 'full',
            reportId: null,
            actor: 'test',
            phase: 'test',
          }),
        );

      it('without the batch that begins', async () => {
        await changesNothing(() => flipTo('copying'), {
          name: 'BatchNotFound',
          message: 'the flip to "copying" needs the batch that begins',
        });
      });

      it('for a batch that was rolled back meanwhile, which nobody could end again', async () => {
        const { id } = await beginning();
        await legacy.db.transaction({ asEngine: true }, (session) =>
          endBatch(session, id, 'rolled-back', 'test', 'test'),
        );
        await changesNothing(() => flipTo('copying', { batchId: id }), {
          name: 'FlipRefused',
          message: `no flip from "legacy" to "copying": batch ${id} has ended meanwhile. Begin another.`,
        });
      });

      it('while kits holds a row of another batch, or of none', async () => {
        const { id } = await beginning();
        const born = (batchId: string | null) =>
          legacy.db.transaction({ asEngine: true }, (session) =>
            session.query(
              `insert into public.kits (id, owner_type, user_id, kit_number, status, source, legacy_id, migration_batch_id) values (md5('x')::uuid, 'client', md5('user1')::uuid, 'X', 'created', 'kit', '5000', $1)
               on conflict (id) do update set migration_batch_id = excluded.migration_batch_id`,
              [batchId],
            ),
          );
        await born(null);
        await changesNothing(() => flipTo('copying', { batchId: id }), {
          name: 'FlipRefused',
          message: expect.stringContaining('kits holds rows of batch'),
        });
        await born(id);
        expect(await flipTo('copying', { batchId: id })).toMatchObject({ to: 'copying' });
      });
    });

    it('to dual-write of a migration that was closed, until parity has looked at everything again', async () => {
      await migrateTo(legacy.db, binding, 'closed');
      await flipTo('unified');
      await changesNothing(() => flipTo('dual-write'), {
        name: 'FlipRefused',
        message: expect.stringContaining('run parity once, which notes every difference'),
      });
      await parity(legacy.db, binding);
      await flipTo('dual-write');
      await flipTo('unified');
      // What was proved in an earlier stay proves nothing of this one.
      await changesNothing(() => flipTo('dual-write'), { name: 'FlipRefused' });
    });

    it('with changed owners in the backlog: nobody knows how many kits they have', async () => {
      await mirrored();
      await run(
        `insert into migration.pending_sync (source, legacy_id, cause) values ('practitioners', md5('practitioner1')::uuid::text, 'capture')`,
      );
      await changesNothing(() => flipTo('dual-write'), {
        name: 'FlipRefused',
        message: expect.stringContaining('changed owners, wait in the backlog'),
      });
      await run(`update kit set notes = 'noted', kit_number = 'P5' where id = 3`);
      await changesNothing(() => flipTo('dual-write'), {
        name: 'FlipRefused',
        message: expect.stringContaining('changed owners, wait in the backlog'),
      });
      await run(`update kit set kit_number = 'K3' where id = 3`);
      await drain(legacy.db, binding, far());
      expect(await flipTo('dual-write')).toMatchObject({ drained: 0 });
    });
  });

  it('is recorded with who, when, from where and to where, in the stage and in the log', async () => {
    const batchId = await migrateTo(legacy.db, binding, 'copying');
    await copyAll(legacy.db, binding, batchId);
    await run(`update kit set notes = 'noted' where id < 4`);
    const { epoch } = (await state()).stage;
    const { writersHeldMs, ...flipped } = await flipTo('mirrored', {
      actor: 'operator',
      phase: 'phase2',
    });
    expect(flipped).toEqual({
      from: 'copying',
      to: 'mirrored',
      epoch: epoch + 1,
      drained: 3,
      attempts: 1,
      heldInVainMs: 0,
    });
    const { stage } = await state();
    expect(stage).toMatchObject({
      stage: 'mirrored',
      epoch: epoch + 1,
      batch_id: batchId,
      actor: 'operator',
    });
    const { rows } = await run(
      `select phase, action, actor, batch_id, detail from migration.event order by id desc limit 1`,
    );
    expect(rows).toEqual([
      {
        phase: 'phase2',
        action: 'flip',
        actor: 'operator',
        batch_id: batchId,
        detail: {
          from: 'copying',
          to: 'mirrored',
          epoch: epoch + 1,
          drained: 3,
          underLockMs: expect.any(Number),
        },
      },
    ]);
    // From when the process began it would be seconds.
    expect(rows[0].detail.underLockMs).toBeLessThanOrEqual(Math.round(writersHeldMs));
  });

  it('to copying names the batch to everything that makes a kit', async () => {
    const batchId = await migrateTo(legacy.db, binding, 'copying');
    const { rows } = await run('select migration.current_batch() as batch');
    expect(rows).toEqual([{ batch: batchId }]);
  });

  it('to copying forgets what is noted while it waits for its locks, and touches no kit for it', async () => {
    const { id: batchId } = await legacy.db.transaction({ asEngine: true }, (session) =>
      beginBatch(session, binding, { kind: 'full', reportId: null, actor: 'test', phase: 'test' }),
    );
    const late = await legacy.client();
    await late.query('begin; lock table kit in row exclusive mode');
    await run(
      `insert into migration.pending_sync (source, legacy_id, cause) values ('kit', '2', 'early')`,
    );
    // Most of it goes before anybody is held up, and stays gone.
    await expect(flipTo('copying', { batchId, attempts: 1, lockTimeoutMs: 40 })).rejects.toThrow(
      'the locks could not be had',
    );
    expect((await state()).backlog).toBeNull();
    const flipped = flipTo('copying', { batchId, lockTimeoutMs: 8_000 });
    await until(legacy, WAITING);
    await late.query(
      `insert into migration.pending_sync (source, legacy_id, cause) values ('kit', '1', 'late'); commit`,
    );
    expect(await flipped).toMatchObject({ to: 'copying', drained: 0 });
    const { backlog } = await state();
    expect(backlog).toBeNull();
    expect((await run('select count(*)::int as n from kit where id = 1')).rows).toEqual([{ n: 1 }]);
  });

  it('to closed leaves what is noted to the comparison that must come first on the way back', async () => {
    await migrateTo(legacy.db, binding, 'unified');
    await run(`update kits set kit_type = 'noted'`);
    expect(await flipTo('closed', { maxBacklog: 1 })).toMatchObject({ to: 'closed', drained: 0 });
  });

  it('holds up who writes practitioners only where it changes what is noted of them', async () => {
    await mirrored();
    const owner = await legacy.client();
    await owner.query('begin; lock table practitioners in row exclusive mode');
    expect(await flipTo('dual-write', { attempts: 1 })).toMatchObject({ attempts: 1 });
    expect(await flipTo('mirrored', { attempts: 1 })).toMatchObject({ attempts: 1 });
    await changesNothing(() => flipTo('legacy', { attempts: 1, lockTimeoutMs: 40 }), {
      name: 'FlipBlocked',
      message: expect.stringMatching(/in 1 tries of 40 ms\. In the way: .*practitioners/),
    });
    await owner.query('rollback');
    expect(await flipTo('legacy')).toMatchObject({ from: 'mirrored', to: 'legacy' });
  });

  it('leads back to legacy from the midst of the copy', async () => {
    await begin(legacy.db, binding);
    expect(await flipTo('legacy')).toMatchObject({ from: 'copying', to: 'legacy' });
  });

  it('back to legacy forgets what is noted: it has no meaning there', async () => {
    await migrateTo(legacy.db, binding, 'mirrored');
    await run(
      `insert into migration.pending_sync (source, legacy_id, cause) select 'kit', n::text, 'test' from generate_series(1, 300) n`,
    );
    expect(await flipTo('legacy')).toMatchObject({ drained: 0 });
    expect((await state()).backlog).toBeNull();
  });

  it.each([
    ['mirrored', 'dual-write', 'kits', 'kit'],
    ['dual-write', 'mirrored', 'kit', 'kits'],
  ] as const)(
    'from %s to %s takes its locks in the order of the writers, authoritative store first',
    async (from, to, blocked, held) => {
      await migrateTo(legacy.db, binding, from);
      if (from === 'mirrored') await parity(legacy.db, binding);
      const blocker = await legacy.client();
      await blocker.query(`begin; lock table ${blocked} in row exclusive mode`);
      const flipping = flipTo(to, { lockTimeoutMs: 8_000 });
      await until(legacy, WAITING);
      const { rows } = await run(
        `select relation::regclass::text as relation, granted from pg_locks where mode = 'ShareRowExclusiveLock' and relation in ('kit'::regclass, 'kits'::regclass)`,
      );
      await blocker.query('rollback');
      expect(rows).toEqual(
        expect.arrayContaining([
          { relation: expect.stringMatching(new RegExp(`\\b${held}$`)), granted: true },
          { relation: expect.stringMatching(new RegExp(`\\b${blocked}$`)), granted: false },
        ]),
      );
      expect(await flipping).toMatchObject({ from, to });
    },
  );

  describe('that cannot have its locks', () => {
    it('names the sessions in the way: pid, user, application and age', async () => {
      await mirrored();
      const blocker = await appSession(legacy);
      await blocker.query('begin');
      await blocker.query(`update kit set notes = 'open' where id = 1`);
      await changesNothing(() => flipTo('dual-write', { attempts: 3, lockTimeoutMs: 40 }), {
        name: 'FlipBlocked',
        message: expect.stringMatching(
          new RegExp(
            `pid ${await pidOf(blocker)} \\(uk_test_app, uk-test-app, idle in transaction, transaction open \\d+ s\\) holds RowExclusiveLock on (public\\.)?kits?; pid`,
          ),
        ),
      });
    });

    it('names a chunk or a drain that is still open', async () => {
      const batchId = await begin(legacy.db, binding);
      await copyAll(legacy.db, binding, batchId);
      const worker = await legacy.client();
      await worker.query('begin; set local role kits_owner');
      await enterChunk(worker);
      await changesNothing(() => flipTo('mirrored', { attempts: 2, lockTimeoutMs: 40 }), {
        name: 'FlipBlocked',
        message: expect.stringMatching(new RegExp(`pid ${await pidOf(worker)} .*chunk or a drain`)),
      });
      // No writer waits for a flip that has not come to its own locks.
      const random = () => {
        worker.query('commit').catch(() => {});
        return 0;
      };
      expect(await flipTo('mirrored', { lockTimeoutMs: 40, random })).toMatchObject({
        heldInVainMs: 0,
      });
    });

    it('names a prepared transaction', async (context) => {
      await mirrored();
      const { rows } = await run('show max_prepared_transactions');
      if (rows[0].max_prepared_transactions === '0') context.skip();
      const blocker = await legacy.client();
      // Such a transaction belongs to the server: it outlives a test that fails, and then its database.
      await blocker.query(
        `begin; update kit set notes = 'prepared' where id = 1; prepare transaction '${legacy.name}'`,
      );
      try {
        await expect(
          flipTo('dual-write', { attempts: 2, lockTimeoutMs: 40 }),
        ).rejects.toMatchObject({
          name: 'FlipBlocked',
          message: expect.stringContaining('a prepared transaction holds RowExclusiveLock'),
        });
      } finally {
        await blocker.query(`rollback prepared '${legacy.name}'`);
      }
    });

    it('tries again, with pauses drawn at random, and succeeds when the way is free', async () => {
      await mirrored();
      const blocker = await appSession(legacy);
      await blocker.query('begin');
      await blocker.query(`update kit set notes = 'slow' where id = 1`);
      let drawn = 0;
      const random = () => {
        drawn += 1;
        if (drawn === 3) blocker.query('commit').catch(() => {});
        return 0.1;
      };
      const result = await flipTo('dual-write', { lockTimeoutMs: 50, random });
      expect(result.attempts).toBeGreaterThan(3);
      expect(drawn).toBe(result.attempts - 1);
      expect(result.heldInVainMs).toBeGreaterThanOrEqual(45);
      // As long as was asked for, not as long as other transactions wait.
      expect(result.heldInVainMs).toBeLessThan(900);
      expect((await run(`select notes from kit where id = 1`)).rows[0].notes).toBe('slow');
    });

    it('leaves the stage as it was when its session is killed', async () => {
      await mirrored();
      const blocker = await appSession(legacy);
      await blocker.query('begin');
      await blocker.query(`update kit set notes = 'open' where id = 1`);
      const before = await state();
      const killed = expect(flipTo('dual-write', { lockTimeoutMs: 8_000 })).rejects.toThrow(
        /terminat/i,
      );
      await until(legacy, WAITING);
      await run(
        `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
      );
      await killed;
      await blocker.query('rollback');
      expect(await state()).toEqual(before);
      expect(await flipTo('dual-write')).toMatchObject({ to: 'dual-write' });
    });
  });

  it('lets one of two win and refuses the other cleanly', async () => {
    await mirrored();
    const { epoch } = (await state()).stage;
    // Both have looked whether they may, and wait: one for the writers, the other for the first.
    const writer = await legacy.client();
    await writer.query('begin; lock table kit in row exclusive mode');
    const both = [1, 2].map(() => flipTo('dual-write', { lockTimeoutMs: 8_000 }));
    await until(
      legacy,
      `2 = (select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')`,
    );
    await writer.query('commit');
    const outcomes = await Promise.allSettled(both);
    expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    expect(outcomes.find(({ status }) => status === 'rejected')).toMatchObject({
      reason: { name: 'IllegalTransition' },
    });
    expect((await state()).stage).toMatchObject({ stage: 'dual-write', epoch: epoch + 1 });
  });

  it('never waits for a reader, and never holds one up', async () => {
    const reader = await legacy.client();
    await reader.query('begin isolation level repeatable read');
    await reader.query(
      'select (select count(*) from kit), (select count(*) from practitioner_kits), (select count(*) from kits), (select count(*) from migration.pending_sync)',
    );
    const batchId = await begin(legacy.db, binding);
    await copyAll(legacy.db, binding, batchId);
    for (const stage of [
      'mirrored',
      'dual-write',
      'unified',
      'dual-write',
      'mirrored',
      'legacy',
    ] as const) {
      if (stage === 'dual-write') await parity(legacy.db, binding);
      expect(await flipTo(stage, { attempts: 1 })).toMatchObject({ attempts: 1 });
    }
    expect((await reader.query('select count(*)::int as n from kit')).rows).toEqual([{ n: 20 }]);
  });

  /** Leaves `kit` with pages enough for a vacuum to be at work on them for as long as a test needs it. */
  const DEAD_ROWS = `
    insert into kit (kit_number, user_id, notes) select 'V' || n, md5('user1')::uuid, repeat('x', 500) from generate_series(1, 4000) n;
    delete from kit where kit_number like 'V%'`;
  const vacuumSlowly = async (database: LegacyDatabase) => {
    const operator = await database.client();
    await operator.query('set vacuum_cost_delay = 100; set vacuum_cost_limit = 1');
    const pid = await pidOf(operator);
    const ended = operator.query('vacuum (disable_page_skipping) kit').catch(() => undefined);
    await until(database, 'exists (select from pg_stat_progress_vacuum where pid = $1)', [pid]);
    return { pid, ended };
  };

  it('waits for a vacuum that an operator started, and names it when it does not end', async () => {
    await mirrored();
    await run(DEAD_ROWS);
    await drain(legacy.db, binding, far());
    await parity(legacy.db, binding);
    const { pid, ended } = await vacuumSlowly(legacy);
    await changesNothing(() => flipTo('dual-write', { vacuumWaitMs: 300 }), {
      name: 'FlipBlocked',
      message: expect.stringContaining(`pid ${pid} on public.kit.`),
    });
    const flipping = flipTo('dual-write', { vacuumWaitMs: 20_000 });
    await new Promise((resolve) => setTimeout(resolve, 300));
    await run(`select pg_cancel_backend(${pid})`);
    await ended;
    expect(await flipping).toMatchObject({ to: 'dual-write', attempts: 1 });
  });

  it('heeds no vacuum of another database, whose tables may well have the same oids', async () => {
    await mirrored();
    const other = await legacyDatabase(20);
    try {
      const oids = await Promise.all(
        [legacy, other].map(
          async ({ pool }) => (await pool.query(`select 'kit'::regclass::oid`)).rows,
        ),
      );
      expect(oids[0]).toEqual(oids[1]);
      await other.pool.query(DEAD_ROWS);
      const { pid } = await vacuumSlowly(other);
      expect(await flipTo('dual-write', { vacuumWaitMs: 0 })).toMatchObject({ attempts: 1 });
      await until(other, 'exists (select from pg_stat_progress_vacuum where pid = $1)', [pid]);
    } finally {
      await other.drop();
    }
  });

  it('loses no write of a load that follows the fence, and says how long it was held', async () => {
    await mirrored();
    const acknowledged = new Map<number, number>();
    let stop = false;
    const writer = async (id: number) => {
      const client = await appSession(legacy);
      const count = `order_id = (case when order_id ~ '^[0-9]+$' then order_id::int else 0 end + 1)::text`;
      const statements = [
        `update kit set ${count} where id = ${id}`,
        `update kits set ${count} where source = 'kit' and legacy_id = '${id}'`,
      ];
      for (let store = 0; !stop; )
        try {
          const { rowCount } = await client.query(statements[store] ?? '');
          expect(rowCount).toBe(1);
          acknowledged.set(id, (acknowledged.get(id) ?? 0) + 1);
        } catch (error) {
          if (!(error instanceof pg.DatabaseError && error.code === FENCE_SQLSTATE)) throw error;
          store = 1 - store;
        }
    };
    const writers = [1, 2, 3, 4].map(writer);
    const held: number[] = [];
    const goTo = async (stage: Stage) => {
      for (let tries = 0; ; tries += 1) {
        await drain(legacy.db, binding, far());
        if (stage === 'dual-write') await parity(legacy.db, binding);
        try {
          held.push((await flipTo(stage)).writersHeldMs);
          return;
        } catch (error) {
          // A key that lost its lock just now: drain and prove again.
          if (!(error instanceof Error && error.name === 'FlipRefused') || tries > 5) throw error;
        }
      }
    };
    try {
      for (const stage of [
        'dual-write',
        'mirrored',
        'dual-write',
        'unified',
        'dual-write',
        'mirrored',
      ] as const) {
        await goTo(stage);
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    } finally {
      stop = true;
    }
    await Promise.all(writers);
    await drain(legacy.db, binding, far());
    const { rows } = await run(
      'select id::int, order_id::int as n from kit where id <= 4 order by id',
    );
    expect(rows).toEqual([1, 2, 3, 4].map((id) => ({ id, n: acknowledged.get(id) })));
    expect(await parity(legacy.db, binding)).toMatchObject({ mismatched: 0 });
    expect(held).toHaveLength(6);
    for (const milliseconds of held) expect(milliseconds).toBeGreaterThan(0);
    const { rows: events } = await run(
      `select count(*)::int as n from migration.event where action = 'flip' and (detail ->> 'underLockMs') is not null and (detail ->> 'from') in ('mirrored', 'dual-write', 'unified')`,
    );
    expect(events[0].n).toBeGreaterThanOrEqual(6);
  });
});
