import type { Caller, Stage } from '@unified-kits/domain';
import type pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { settled } from '../../functions/runtime/after-response.ts';
import { METRICS } from '../../functions/runtime/metric-names.ts';
import { type ApiClient, type ApiRig, apiOn } from '../support/api.ts';
import { flagsFollowStage, setFlag } from '../support/flags.ts';
import { clientOf, practitionerOf } from '../support/kits-service.ts';
import { installed, type LegacyDatabase, legacyDatabase } from '../support/legacy.ts';
import { metricTotal } from '../support/metric-lines.ts';
import { migrateTo } from '../support/migration.ts';
import { listenToStores, type SeenTransaction } from '../support/pinned-api.ts';
import { until, WAITING } from '../support/sessions.ts';

/** In every text column of the rows that are looked at, so that a value that leaks is found. */
const SECRET = 'Ada-Lovelace-4711';

let legacy: LegacyDatabase;
let rig: ApiRig;
let client: ApiClient;
let caller: Caller;
let own: string;
let transactions: SeenTransaction[];

const begin = async (stage: Stage, perCent: number, rows = 60) => {
  legacy = await legacyDatabase(rows);
  await legacy.pool.query(`
    update kit set notes = '${SECRET} ' || id, order_id = '${SECRET} o' || id, kit_number = '${SECRET} k' || id, metadata = '{"of": "${SECRET}"}';
    update practitioner_kits set patient_name = '${SECRET}', patient_email = '${SECRET}', kit_number = '${SECRET} p' || id`);
  rig = await apiOn(legacy);
  transactions = listenToStores(rig.serviceUrl);
  const binding = await installed(legacy);
  if (stage !== 'legacy') await migrateTo(legacy.db, binding, stage);
  await flagsFollowStage(rig);
  await setFlag(rig, 'shadowReads', perCent);
  caller = await practitionerOf(legacy, 3);
  client = rig.as(caller);
  own = `/practitioners/${caller.practitionerId}/kits`;
};
const end = async () => {
  await settled();
  await rig.close();
  await legacy.drop();
};

const query = (sql: string) => legacy.pool.query(sql);
/** Past every trigger of ours that asks who writes. */
const asEngine = async (sql: string) => {
  const engine = await legacy.client();
  await engine.query('set role kits_owner');
  await engine.query(sql);
  await engine.end();
};
const clientIds = async () =>
  (
    await legacy.pool.query('select id::text as id from kit where user_id = $1 order by kit.id', [
      caller.userId,
    ])
  ).rows.map(({ id }) => id as string);

/** What the shadows of some reads found. */
const shadowsOf = async <Result>(reads: () => Promise<Result>) => {
  await settled();
  const from = rig.log.length;
  const result = await reads();
  await settled();
  const log = rig.log.slice(from);
  return {
    result,
    log,
    compared: metricTotal(log, METRICS.ShadowReads),
    different: metricTotal(log, METRICS.ShadowDifferences),
    told: log
      .filter(({ message }) => message === 'the stores show a kit differently')
      .map(({ source, legacyId, fields }) => ({ source, legacyId, fields })),
  };
};

describe.each(['mirrored', 'dual-write'] as const)('shadow reads in stage "%s"', (stage) => {
  /** The store that does not lead, and a kit's row in it. */
  const [behind, row] =
    stage === 'mirrored'
      ? ['kits', (id: string) => `kits where source = 'kit' and legacy_id = '${id}'`]
      : ['kit', (id: string) => `kit where id = ${id}`];
  const plant = (id: string, assignment: string) =>
    asEngine(`update ${row(id).replace(' where', ` set ${assignment} where`)}`);

  beforeEach(() => begin(stage, 100));
  afterEach(end);

  it('compare what a response shows, and find nothing where nothing differs', async () => {
    const [id] = await clientIds();
    const detail = await shadowsOf(() => client.get(`/kits/${id}`));
    expect(detail).toMatchObject({ compared: 1, different: 0, told: [] });
    const list = await shadowsOf(() => client.get(`${own}?limit=100`));
    const shown = list.result.body.kits as unknown[];
    expect(shown.length).toBeGreaterThan(3);
    expect(list).toMatchObject({ compared: shown.length, different: 0 });
    const all = await shadowsOf(() => client.get('/v2/kits?limit=100'));
    expect(all).toMatchObject({
      compared: (all.result.body.kits as unknown[]).length,
      different: 0,
    });
  });

  it('count differences and name key and fields, while the answer stays what it was', async () => {
    const [one = '', other = ''] = await clientIds();
    const before = await client.get('/kits?limit=100');
    await plant(one, `order_id = '${SECRET} planted', status = 'cancelled'`);
    await plant(other, `registered_at = registered_at + interval '1 microsecond'`);
    const seen = await shadowsOf(() => client.get('/kits?limit=100'));
    expect(seen.result.text).toBe(before.text);
    expect(seen).toMatchObject({ compared: 2, different: 2 });
    expect(seen.told).toEqual([
      { source: 'kit', legacyId: one, fields: 'legacy.status orderId status' },
      { source: 'kit', legacyId: other, fields: 'registeredAt' },
    ]);
    await asEngine(`delete from ${row(one)}`);
    const gone = await shadowsOf(() => client.get(`/kits/${one}`));
    expect(gone).toMatchObject({ compared: 1, different: 1 });
    expect(gone.told).toEqual([
      {
        source: 'kit',
        legacyId: one,
        fields: stage === 'mirrored' ? 'missing in kits' : 'missing in legacy',
      },
    ]);
    expect(JSON.stringify(rig.log)).not.toContain(SECRET);
  });

  it('keep nobody waiting', async () => {
    const [id] = await clientIds();
    await client.get(`/kits/${id}`);
    await settled();
    const holder = await legacy.client();
    await holder.query(`begin; lock table ${behind} in access exclusive mode`);
    const seen = await shadowsOf(async () => {
      const response = await client.get(`/kits/${id}`);
      expect(response.status).toBe(200);
      // It has been answered, and its shadow has not yet been let through.
      await until(legacy, WAITING);
      await holder.query('rollback');
    });
    expect(seen).toMatchObject({ compared: 1, different: 0 });
  });

  it('that cannot be had are given up, and harm no request', async () => {
    const [id] = await clientIds();
    await client.get(`/kits/${id}`);
    const holder = await legacy.client();
    await holder.query(`begin; lock table ${behind} in access exclusive mode`);
    const seen = await shadowsOf(() => client.get(`/kits/${id}`));
    await holder.query('rollback');
    expect(seen).toMatchObject({ compared: 0, different: 0, result: { status: 200 } });
    expect(seen.log).toContainEqual(
      expect.objectContaining({ message: 'work after the response failed', error: 'error' }),
    );
  });

  it.each([
    ['is renamed', `alter table ${behind} rename to gone`],
    ['has lost a column', `alter table ${behind} rename column order_id to gone`],
    ['may not be read', `revoke select on ${behind} from kits_app`],
  ])('of a store that %s are harmless', async (_how, cause) => {
    const ids = await clientIds();
    await client.get(`/kits/${ids[0]}`);
    await settled();
    await query(cause);
    const seen = await shadowsOf(async () => {
      for (const _again of [1, 2, 3]) {
        for (const path of [`/kits/${ids[0]}`, '/kits', own, '/v2/kits'])
          expect((await client.get(path)).status, path).toBe(200);
        await settled();
      }
      const patched = await client.patch(`/kits/${ids[1]}`, { orderId: 'still' });
      expect([patched.status, patched.body.orderId]).toEqual([200, 'still']);
      expect((await client.get(`/kits/${ids[1]}`)).text).toBe(patched.text);
    });
    expect(seen.told).toEqual([]);
    expect(JSON.stringify(rig.log)).not.toContain(SECRET);
  });

  it('call nothing a difference that writers change meanwhile', async () => {
    const ids = await clientIds();
    let writing = true;
    const patches = async (id: string) => {
      for (let n = 0; writing; n += 1)
        expect((await client.patch(`/kits/${id}`, { orderId: `n${n}` })).status).toBe(200);
    };
    const owners = async () => {
      for (let n = 0; writing; n += 1)
        await query(
          `update practitioners set user_id = md5('user${n % 7}')::uuid where id = '${caller.practitionerId}'`,
        );
    };
    const seen = await shadowsOf(async () => {
      const writers = [...ids.map(patches), owners()];
      for (let n = 0; n < 40; n += 1) await client.get(n % 2 === 0 ? '/kits' : own);
      writing = false;
      await Promise.all(writers);
    });
    expect(seen.compared).toBeGreaterThan(40);
    expect(seen).toMatchObject({ different: 0, told: [] });
  });

  it('pass over keys that a mirror has failed on', async () => {
    const [one, other] = await clientIds();
    await query(
      `alter table ${behind} add constraint refused check (order_id <> 'refused') not valid`,
    );
    const patched = await client.patch(`/kits/${one}`, { orderId: 'refused' });
    expect(patched.status, patched.text).toBe(200);
    const seen = await shadowsOf(() => client.get('/kits'));
    expect(seen).toMatchObject({ compared: 1, different: 0 });
    expect((await shadowsOf(() => client.get(`/kits/${one}`))).compared).toBe(0);
    expect((await shadowsOf(() => client.get(`/kits/${other}`))).compared).toBe(1);
  });

  it("pass over a practitioner's kits that are still to follow their practitioner", async () => {
    const holder: pg.Client = await legacy.client();
    await holder.query(
      `begin; select from kits where practitioner_id = '${caller.practitionerId}' for update`,
    );
    await query(
      `update practitioners set user_id = md5('user9')::uuid where id = '${caller.practitionerId}'`,
    );
    await holder.query('rollback');
    const noted = await query(`select source, error from migration.pending_sync`);
    expect(noted.rows).toEqual([{ source: 'practitioners', error: '55P03' }]);
    const seen = await shadowsOf(() => client.get(own));
    expect(seen.result.status).toBe(200);
    expect(seen).toMatchObject({ compared: 0, different: 0, told: [] });
  });
});

describe.each(['legacy', 'copying', 'unified', 'closed'] as const)(
  'shadow reads in stage "%s"',
  (stage) => {
    beforeAll(() => begin(stage, 100));
    afterAll(end);

    it('compare nothing, for nothing keeps the other store in step', async () => {
      const seen = await shadowsOf(async () => {
        for (const path of ['/kits', own, '/v2/kits'])
          expect((await client.get(path)).status).toBe(200);
      });
      expect(seen).toMatchObject({ compared: 0, different: 0, told: [] });
      expect(seen.log.filter(({ level }) => level === 'WARN')).toEqual([]);
    });
  },
);

describe('the share of reads that have a shadow', () => {
  afterEach(async () => {
    vi.restoreAllMocks();
    await end();
  });

  it('is none at 0 per cent: the other store is not asked', async () => {
    await begin('mirrored', 0);
    const [id] = await clientIds();
    await client.get(`/kits/${id}`);
    await settled();
    const from = transactions.length;
    const seen = await shadowsOf(() => client.get(`/kits/${id}`));
    expect(seen.compared).toBe(0);
    expect(transactions.slice(from)).toEqual([{ legacy: 1, kits: 0 }]);
  });

  it('is drawn for each read', async () => {
    await begin('mirrored', 30);
    const caught = await clientOf(legacy, 1);
    const reader = rig.as(caught);
    const draws = vi.spyOn(Math, 'random');
    const comparedAt = async (draw: number) => {
      draws.mockReturnValue(draw);
      return (await shadowsOf(() => reader.get('/kits?limit=1'))).compared > 0;
    };
    expect([await comparedAt(0), await comparedAt(0.299), await comparedAt(0.3)]).toEqual([
      true,
      true,
      false,
    ]);
  });
});
