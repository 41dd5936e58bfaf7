import {
  type Binding,
  beginParity,
  drain,
  finishParity,
  flip,
  openKeys,
  parityLane,
  project,
  readMismatches,
} from '@unified-kits/data';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { installed, type LegacyDatabase, legacyDatabase } from '../support/legacy.ts';
import { copyAll, migrateTo, parity } from '../support/migration.ts';
import { appSession } from '../support/sessions.ts';

const far = () => Date.now() + 60_000;
const SECRET = 'Ada Lovelace';

describe('parity', () => {
  let legacy: LegacyDatabase;
  let binding: Binding;
  const run = async (sql: string) => (await legacy.pool.query(sql)).rows;
  /** As the engine, which the fence lets through: what no mirror sees. */
  const behindTheMirror = (sql: string) =>
    legacy.db.transaction({ asEngine: true }, (session) => session.query(sql));
  const found = async () => {
    const { runId, mismatched } = await parity(legacy.db, binding);
    const mismatches = await legacy.db.transaction({}, (session) => readMismatches(session, runId));
    expect(mismatches).toHaveLength(mismatched);
    return mismatches;
  };
  const kit = (key: number, set: string) =>
    `update public.kits set ${set} where source = 'kit' and legacy_id = '${key}'`;
  const start = async (rows = 30, columns = '') => {
    legacy = await legacyDatabase(rows);
    if (columns !== '') await run(columns);
    binding = await installed(legacy);
  };
  afterEach(() => legacy.drop());

  describe('finds every kind of difference, by key and column, and a drain repairs it', () => {
    beforeEach(async () => {
      await start(
        30,
        `alter table kit add column price numeric, add column tags text[], add column ratio double precision;
         update kit set price = 1.50, tags = '{a,NULL,"NULL"}', ratio = 0.1, metadata = '{"a": [1, null]}', notes = ''`,
      );
      await migrateTo(legacy.db, binding, 'mirrored');
    });

    it.each([
      ['a text', kit(3, `order_id = '${SECRET}'`), '3', ['order_id']],
      [
        'a microsecond',
        kit(3, `created_at = created_at + interval '1 microsecond'`),
        '3',
        ['created_at'],
      ],
      ['a value map', kit(3, `status = 'cancelled'`), '3', ['status']],
      [
        'null for an empty text',
        kit(3, `legacy_attributes = legacy_attributes - 'notes'`),
        '3',
        ['notes'],
      ],
      ['an empty text for null', kit(1, `kit_type = ''`), '1', ['kit_type']],
      [
        'the scale of a number',
        kit(3, `legacy_attributes = jsonb_set(legacy_attributes, '{price}', '1.5')`),
        '3',
        ['price'],
      ],
      [
        'one element of an array',
        kit(3, `legacy_attributes = jsonb_set(legacy_attributes, '{tags}', '"{a,NULL,NULL}"')`),
        '3',
        ['tags'],
      ],
      ['a number inside jsonb', kit(3, `metadata = '{"a": [1.0, null]}'`), '3', ['metadata']],
      ['jsonb null for null', kit(3, `metadata = 'null'`), '3', ['metadata']],
      [
        'the last bit of a float',
        kit(
          3,
          `legacy_attributes = jsonb_set(legacy_attributes, '{ratio}', '"0.10000000000000002"')`,
        ),
        '3',
        ['ratio'],
      ],
      [
        'several columns of one row',
        kit(3, `order_id = null, legacy_attributes = '{}'`),
        '3',
        ['order_id', 'notes', 'price', 'tags', 'ratio'],
      ],
      [
        'a row that kits lacks',
        `delete from public.kits where source = 'kit' and legacy_id = '30'`,
        '30',
        ['(missing in kits)'],
      ],
      [
        'a row that legacy lacks',
        `insert into public.kits (id, owner_type, user_id, kit_number, status, source, legacy_id) values (md5('x')::uuid, 'client', md5('user1')::uuid, 'X', 'created', 'kit', '5000')`,
        '5000',
        ['(missing in legacy)'],
      ],
    ])('%s', async (_, difference, key, columns) => {
      await behindTheMirror(difference);
      const mismatches = await found();
      expect(mismatches).toEqual([{ source: 'kit', legacyId: key, columns }]);
      expect(JSON.stringify(await run('select * from migration.event'))).not.toContain(SECRET);
      expect(JSON.stringify(await run('select * from migration.pending_sync'))).not.toContain(
        SECRET,
      );
      expect(await drain(legacy.db, binding, far())).toMatchObject({ synced: 1, stuck: 0 });
      expect(await found()).toEqual([]);
    });

    it('the owner: another user, another practitioner, another user of the practitioner', async () => {
      await behindTheMirror(kit(3, `user_id = md5('user40')::uuid`));
      await behindTheMirror(
        `update public.kits set practitioner_id = md5('practitioner9')::uuid where kit_number = 'P1'`,
      );
      await behindTheMirror(
        `update public.kits set user_id = md5('user40')::uuid where kit_number = 'P2'`,
      );
      const byNumber = await run(
        `select kit_number as number, id::text from practitioner_kits where kit_number in ('P1', 'P2')`,
      );
      const id = (number: string) => byNumber.find((row) => row.number === number)?.id;
      const mismatches = await found();
      expect(mismatches).toHaveLength(3);
      expect(mismatches).toEqual(
        expect.arrayContaining([
          { source: 'kit', legacyId: '3', columns: ['user_id'] },
          { source: 'practitioner_kits', legacyId: id('P1'), columns: ['practitioner_id'] },
          { source: 'practitioner_kits', legacyId: id('P2'), columns: ['kits.user_id'] },
        ]),
      );
      await drain(legacy.db, binding, far());
      expect(await found()).toEqual([]);
    });

    it('and a row under the wrong key, which is one too few and one too many', async () => {
      await behindTheMirror(kit(3, `legacy_id = '3000'`));
      expect(await found()).toEqual([
        { source: 'kit', legacyId: '3', columns: ['(missing in kits)'] },
        { source: 'kit', legacyId: '3000', columns: ['(missing in legacy)'] },
      ]);
      await drain(legacy.db, binding, far());
      expect(await found()).toEqual([]);
    });
  });

  it('never takes a change under way for a mismatch, while a load runs', async () => {
    await start(200);
    await migrateTo(legacy.db, binding, 'mirrored');
    let stop = false;
    const counts = [0, 0, 0];
    const writer = async (from: number, which: number) => {
      const app = await appSession(legacy);
      for (let changes = 0; !stop; changes += 1) {
        counts[which] = changes;
        const id = from + (changes % 40);
        await app.query(
          changes % 5 === 4
            ? `begin; delete from kit where id = ${id}; insert into kit (id, kit_number, user_id, notes) values (${id}, 'K${id}', md5('user1')::uuid, 'n${changes}'); commit`
            : `update kit set notes = 'n${changes}', status = (array['created', 'completed'])[1 + ${changes % 2}] where id = ${id}`,
        );
      }
    };
    const writers = [1, 41, 81].map(writer);
    try {
      for (let round = 0; round < 15 || Math.min(...counts) < 20; round += 1)
        expect(await found()).toEqual([]);
    } finally {
      stop = true;
    }
    await Promise.all(writers);
    expect(await run('select count(*)::int as n from migration.pending_sync')).toEqual([{ n: 0 }]);
  });

  it('is divided among two lanes, each range compared once', async () => {
    await start(9_000);
    await run(
      `insert into kit (kit_number, user_id) select 'L' || n, md5('user1')::uuid from generate_series(1, 40000) n; analyze kit`,
    );
    binding = await installed(legacy);
    await migrateTo(legacy.db, binding, 'mirrored');
    const runId = await beginParity(legacy.db, binding, { phase: 'test', actor: 'test' });
    let compared = 0;
    const lane = () =>
      parityLane(legacy.db, binding, runId, far(), (rows) => {
        compared += rows;
      });
    // A third lane has claimed a range, and dies: the others leave it alone until then.
    const dying = await legacy.client();
    await dying.query('begin');
    await dying.query(
      `select from migration.parity_range where run_id = $1 and source = 'kit' and ordinal = 1 for update`,
      [runId],
    );
    await Promise.all([lane(), lane()]);
    expect(compared).toBe(38_000);
    expect(await finishParity(legacy.db, runId, { phase: 'test', actor: 'test' })).toMatchObject({
      done: false,
    });
    await dying.query('rollback');
    expect(await Promise.all([lane(), lane()])).toEqual([{ done: true }, { done: true }]);
    expect(compared).toBe(58_000);
    expect(await finishParity(legacy.db, runId, { phase: 'test', actor: 'test' })).toMatchObject({
      compared: 58_000,
      mismatched: 0,
      done: true,
    });
  });

  it('draws a sample at random: another part of a table each time, and one of each source', async () => {
    await start();
    await run(
      `insert into kit (kit_number, user_id) select 'L' || n, md5('user1')::uuid from generate_series(1, 40000) n; analyze kit`,
    );
    binding = await installed(legacy);
    await migrateTo(legacy.db, binding, 'copying');
    const options = { phase: 'test', actor: 'test', sample: 1 };
    for (let draws = 0; draws < 25; draws += 1) await beginParity(legacy.db, binding, options);
    expect(
      await run(
        `select source, count(*)::int as drawn, count(distinct coalesce(lower, '')) > 1 as differing from migration.parity_range group by source order by source`,
      ),
    ).toEqual([
      { source: 'kit', drawn: 25, differing: true },
      { source: 'practitioner_kits', drawn: 25, differing: false },
    ]);
  });

  it('proves nothing by a sample, and nothing before every range is compared', async () => {
    await start();
    await migrateTo(legacy.db, binding, 'mirrored');
    const options = { phase: 'test', actor: 'test' };
    const refused = () =>
      expect(flip(legacy.db, binding, { to: 'dual-write', ...options })).rejects.toMatchObject({
        name: 'FlipRefused',
      });
    const sample = await beginParity(legacy.db, binding, { ...options, sample: 1 });
    await parityLane(legacy.db, binding, sample, far());
    expect(await finishParity(legacy.db, sample, { ...options, sample: true })).toMatchObject({
      compared: 60,
      mismatched: 0,
    });
    await refused();
    const whole = await beginParity(legacy.db, binding, options);
    expect(await parityLane(legacy.db, binding, whole, Date.now() - 1)).toEqual({ done: false });
    expect(await finishParity(legacy.db, whole, options)).toMatchObject({ done: false });
    await refused();
    await parityLane(legacy.db, binding, whole, far());
    await finishParity(legacy.db, whole, options);
    await flip(legacy.db, binding, { to: 'dual-write', ...options });
  });

  it('needs a batch: in legacy there is nothing to compare', async () => {
    await start();
    await expect(
      beginParity(legacy.db, binding, { phase: 'test', actor: 'test' }),
    ).rejects.toMatchObject({
      name: 'BatchNotFound',
      message: 'parity needs a batch; in stage "legacy" there is none',
    });
  });

  it('is recorded once it is whole, as what it was: a comparison or a sample', async () => {
    await start();
    const batchId = await migrateTo(legacy.db, binding, 'mirrored');
    await behindTheMirror(kit(3, `order_id = '${SECRET}'`));
    const options = { phase: 'phase6', actor: 'operator' };
    const runs: string[] = [];
    for (const sample of [undefined, 1]) {
      const runId = await beginParity(legacy.db, binding, { ...options, sample });
      const whole = { ...options, sample: sample !== undefined };
      expect(await finishParity(legacy.db, runId, whole)).toMatchObject({ done: false });
      await parityLane(legacy.db, binding, runId, far());
      expect(await finishParity(legacy.db, runId, whole)).toEqual({
        runId,
        compared: 60,
        mismatched: 1,
        done: true,
      });
      runs.push(runId);
    }
    expect(
      await run(
        `select phase, actor, action, batch_id, detail from migration.event where action like 'parity%' order by id`,
      ),
    ).toEqual(
      ['parity-compared', 'parity-sampled'].map((action, index) => ({
        ...options,
        action,
        batch_id: batchId,
        detail: { runId: runs[index], compared: 60, mismatched: 1 },
      })),
    );
    expect(
      await run(
        'select compared::int, mismatched::int, finished_at is not null as proof from migration.parity_run order by started_at',
      ),
    ).toEqual([
      { compared: 60, mismatched: 1, proof: true },
      { compared: 60, mismatched: 1, proof: false },
    ]);
  });

  it('names as many mismatches as are asked for, in the order of their keys', async () => {
    await start();
    await migrateTo(legacy.db, binding, 'mirrored');
    await behindTheMirror(`update public.kits set order_id = 'other' where source = 'kit'`);
    const { runId } = await parity(legacy.db, binding);
    const keys = async (limit?: number) =>
      (await legacy.db.transaction({}, (session) => readMismatches(session, runId, limit))).map(
        ({ legacyId }) => legacyId,
      );
    const all = Array.from({ length: 30 }, (_, index) => String(index + 1)).sort();
    expect(await keys(40)).toEqual(all);
    expect(await keys()).toEqual(all.slice(0, 20));
    expect(await keys(3)).toEqual(all.slice(0, 3));
  });

  it.each([
    ['copying', `update kit set order_id = 'captured' where id = 3`],
    ['unified', kit(3, `order_id = 'captured'`)],
  ] as const)(
    'leaves out what waits in the backlog while changes are only captured, in %s',
    async (stage, change) => {
      await start();
      const batchId = await migrateTo(legacy.db, binding, stage);
      if (stage === 'copying') await copyAll(legacy.db, binding, batchId);
      const app = await appSession(legacy);
      await app.query(change);
      expect(await found()).toEqual([]);
      await run(`delete from migration.pending_sync`);
      expect(await found()).toEqual([{ source: 'kit', legacyId: '3', columns: ['order_id'] }]);
      await drain(legacy.db, binding, far());
      expect(await found()).toEqual([]);
    },
  );

  it('finds what waits in the backlog while a mirror is on, where it should not differ', async () => {
    await start();
    await migrateTo(legacy.db, binding, 'mirrored');
    await behindTheMirror(kit(3, `order_id = '${SECRET}'`));
    await run(
      `insert into migration.pending_sync (source, legacy_id, cause, error) values ('kit', '3', 'mirror', '40P01')`,
    );
    expect(await found()).toEqual([{ source: 'kit', legacyId: '3', columns: ['order_id'] }]);
  });

  it('opens the rows of some keys, noted or not, and of no other', async () => {
    await start();
    await migrateTo(legacy.db, binding, 'mirrored');
    await behindTheMirror(kit(3, `order_id = '${SECRET}'`));
    await behindTheMirror(kit(4, `order_id = '${SECRET}'`));
    await behindTheMirror(`delete from public.kits where source = 'kit' and legacy_id = '5'`);
    await run(
      `insert into migration.pending_sync (source, legacy_id, cause) values ('kit', '3', 'test')`,
    );
    const opened = await legacy.db.transaction({}, (session) =>
      openKeys(session, project(binding, binding.sources.kit), ['3', '5', '6', '5000']),
    );
    expect(opened).toHaveLength(2);
    expect(opened).toEqual(
      expect.arrayContaining([
        { legacyId: '3', columns: ['order_id'] },
        { legacyId: '5', columns: ['(missing in kits)'] },
      ]),
    );
  });
});
