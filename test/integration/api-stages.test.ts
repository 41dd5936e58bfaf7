import { type Binding, drain } from '@unified-kits/data';
import { type Caller, STAGE_DEFINITIONS, type Stage, type StoreFlags } from '@unified-kits/domain';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { METRICS } from '../../functions/runtime/metric-names.ts';
import { type ApiClient, type ApiRig, apiRigOf } from '../support/api.ts';
import { flagsFollowStage, setFlag } from '../support/flags.ts';
import { clientOf, practitionerOf } from '../support/kits-service.ts';
import { installed } from '../support/legacy.ts';
import { metricTotal } from '../support/metric-lines.ts';
import { migrateTo, parity } from '../support/migration.ts';
import {
  EVERY_WISH,
  listenToStores,
  type PinnedApi,
  pinnedApi,
  type SeenTransaction,
  wishName,
} from '../support/pinned-api.ts';
import { stageOf } from '../support/system.ts';

type Standing = Stage | 'before phase 1';
const STANDINGS: readonly Standing[] = [
  'before phase 1',
  'legacy',
  'copying',
  'mirrored',
  'dual-write',
  'unified',
  'closed',
];

/** Which stores may answer a read while nothing waits in the backlog. */
const READABLE: Readonly<Record<Standing, readonly ('legacy' | 'kits')[]>> = {
  'before phase 1': ['legacy'],
  legacy: ['legacy'],
  copying: ['legacy'],
  mirrored: ['legacy', 'kits'],
  'dual-write': ['legacy', 'kits'],
  unified: ['kits'],
  closed: ['kits'],
};

/** Somebody with kits. */
interface Own {
  readonly client: ApiClient;
  /** The list of its legacy routes. */
  readonly path: string;
}

const ownOf = (client: ApiClient, { practitionerId }: Caller): Own => ({
  client,
  path: practitionerId === undefined ? '/kits' : `/practitioners/${practitionerId}/kits`,
});

let numbers = 0;
const newNumber = () => {
  numbers += 1;
  return `S-${numbers}`;
};

describe.each(STANDINGS)('an API whose flags never change, in stage "%s"', (standing) => {
  const stage: Stage = standing === 'before phase 1' ? 'legacy' : standing;
  const authoritative = STAGE_DEFINITIONS[stage].writes;
  /** Whether a mirror keeps the other store in step. */
  const inStep = stage === 'mirrored' || stage === 'dual-write';
  let rig: ApiRig;
  let seen: SeenTransaction[];
  const apis = new Map<string, PinnedApi>();
  let callers: readonly Caller[];

  beforeAll(async () => {
    rig = await apiRigOf(60);
    seen = listenToStores(rig.serviceUrl);
    if (standing !== 'before phase 1') {
      const binding = await installed(rig.legacy);
      if (stage !== 'legacy') await migrateTo(rig.legacy.db, binding, stage);
    }
    for (const flags of EVERY_WISH) apis.set(wishName(flags), await pinnedApi(rig, flags));
    callers = [await clientOf(rig.legacy, 1), await practitionerOf(rig.legacy, 2)];
  });
  afterAll(async () => {
    for (const api of apis.values()) await api.stop();
    await rig.close();
  });

  /** What a request cost, and that it spoke to one store at a time. */
  const observed = async <Result>(api: PinnedApi, request: () => Promise<Result>) => {
    const before = {
      redirected: metricTotal(api.log, METRICS.FenceRedirects),
      avoided: metricTotal(api.log, METRICS.StaleReadsAvoided),
    };
    const from = seen.length;
    const result = await request();
    const transactions = seen.slice(from);
    expect(transactions.filter(({ legacy, kits }) => legacy > 0 && kits > 0)).toEqual([]);
    return {
      result,
      answeredBy: transactions.at(-1),
      redirected: metricTotal(api.log, METRICS.FenceRedirects) - before.redirected,
      avoided: metricTotal(api.log, METRICS.StaleReadsAvoided) - before.avoided,
    };
  };

  describe.each(EVERY_WISH.map((flags) => ({ ...flags, name: wishName(flags) })))(
    'and say $name',
    (flags) => {
      const readFrom = flags.unifiedReads ? 'kits' : 'legacy';
      const writeTo = flags.unifiedWrites ? 'kits' : 'legacy';
      const redirects = writeTo === authoritative ? 0 : 1;
      const avoided = READABLE[standing].includes(readFrom) ? 0 : 1;
      const reader = avoided === 0 ? readFrom : authoritative;
      let api: PinnedApi;
      const own: Own[] = [];
      beforeAll(() => {
        const found = apis.get(flags.name);
        if (found === undefined) throw new TypeError('each wish has an API');
        api = found;
        own.push(...callers.map((caller) => ownOf(api.as(caller), caller)));
      });

      const writes = async (request: () => ReturnType<ApiClient['get']>, status: number) => {
        const made = await observed(api, request);
        expect(made.result.status, made.result.text).toBe(status);
        expect(made).toMatchObject({ redirected: redirects, avoided: 0 });
        expect(made.answeredBy?.[authoritative]).toBeGreaterThan(0);
        return made.result;
      };
      const reads = async (request: () => ReturnType<ApiClient['get']>, status = 200) => {
        const made = await observed(api, request);
        expect(made.result.status, made.result.text).toBe(status);
        expect(made).toMatchObject({ redirected: 0, avoided });
        expect(made.answeredBy?.[reader]).toBeGreaterThan(0);
        return made.result;
      };

      /** Everybody sees what was last acknowledged: under both contracts, in lists, whatever their flags say. */
      const isSeen = async (
        { client, path }: Own,
        { id, kitsId }: { id: unknown; kitsId: string },
        text: string,
      ) => {
        expect((await reads(() => client.get(`${path}/${id}`))).text).toBe(text);
        const list = await reads(() => client.get(`${path}?limit=100`));
        expect(list.text).toContain(text);
        const { body } = await reads(() => client.get(`/v2/kits/${kitsId}`));
        const all = await reads(() => client.get('/v2/kits?limit=100'));
        expect(all.body.kits).toContainEqual(body);
      };

      it('makes, shows and changes kits, with one redirect for each write at most', async () => {
        for (const one of own) {
          const { client, path } = one;
          const kitNumber = newNumber();
          const made = await writes(
            () =>
              client.post(path, { kitNumber, orderId: 'first' }, { 'idempotency-key': kitNumber }),
            201,
          );
          const kit = made.body as { id: unknown; kitsId: string };
          await isSeen(one, kit, made.text);
          const again = await client.post(
            path,
            { kitNumber, orderId: 'first' },
            { 'idempotency-key': kitNumber },
          );
          expect([again.text, again.headers.get('idempotency-replayed')]).toEqual([
            made.text,
            'true',
          ]);
          const changed = await writes(
            () => client.patch(`${path}/${kit.id}`, { orderId: 'second', status: 'registered' }),
            200,
          );
          expect(changed.body).toMatchObject({
            orderId: 'second',
            registeredAt: expect.any(String),
          });
          await isSeen(one, kit, changed.text);
          const etag = (await client.get(`/v2/kits/${kit.kitsId}`)).headers.get('etag') ?? '';
          await writes(
            () =>
              client.patch(`/v2/kits/${kit.kitsId}`, { orderId: 'third' }, { 'if-match': etag }),
            200,
          );
          const last = await client.get(`${path}/${kit.id}`);
          expect(last.body).toMatchObject({ orderId: 'third' });
          await isSeen(one, kit, last.text);
        }
      });

      it('refuses on the strength of the authoritative store, and leaves no trace', async () => {
        for (const one of own) {
          const { client, path } = one;
          const kitNumber = newNumber();
          const made = await client.post(path, { kitNumber });
          const kit = made.body as { id: unknown; kitsId: string };
          await writes(() => client.post(path, { kitNumber }), 409);
          await writes(
            () => client.patch(`${path}/${kit.id}`, { orderId: 'x' }, { 'if-match': '"other"' }),
            412,
          );
          await writes(() => client.patch(`${path}/${kit.id}`, { status: 'processing' }), 403);
          await isSeen(one, kit, made.text);
          const { rows } = await rig.legacy.pool.query(
            `select body ->> 'type' as type from kits_service.kit_event where kits_id = $1 order by number`,
            [kit.kitsId],
          );
          expect(rows).toEqual([{ type: 'kit.created' }]);
        }
      });

      it.runIf(inStep)('never reads stale, also where a mirror has failed', async () => {
        const behind = stage === 'mirrored' ? 'kits' : 'kit';
        const [one] = own;
        if (one === undefined) throw new TypeError('there are callers');
        const made = await one.client.post(one.path, { kitNumber: newNumber() });
        const { id, kitsId } = made.body as { id: unknown; kitsId: string };
        await rig.legacy.pool.query(
          `alter table ${behind} add constraint unmirrored check (order_id <> 'unmirrored')`,
        );
        const changed = await one.client.patch(`${one.path}/${id}`, { orderId: 'unmirrored' });
        expect(changed.status, changed.text).toBe(200);
        for (const other of apis.values()) {
          const client = other.as(callers[0] ?? { userId: '' });
          expect((await client.get(`${one.path}/${id}`)).text).toBe(changed.text);
          expect((await client.get(`${one.path}?limit=100`)).text).toContain(changed.text);
          expect((await client.get(`/v2/kits/${kitsId}`)).body).toMatchObject({
            orderId: 'unmirrored',
          });
          const { body } = await client.get('/v2/kits?limit=100');
          expect(body.kits).toContainEqual(
            expect.objectContaining({ kitsId, orderId: 'unmirrored' }),
          );
        }
        await one.client.patch(`${one.path}/${id}`, { orderId: 'mirrored again' });
        await rig.legacy.pool.query(
          `alter table ${behind} drop constraint unmirrored; delete from migration.pending_sync`,
        );
      });
    },
  );

  it.runIf(inStep)('asks the store that leads where the other one is broken', async () => {
    const behind = stage === 'mirrored' ? 'kits' : 'kit';
    const [caller] = callers;
    if (caller === undefined) throw new TypeError('there are callers');
    const kitNumber = newNumber();
    await rig.as(caller).post('/kits', { kitNumber });
    for (const [broken, mended] of [
      [`alter table ${behind} rename to gone`, `alter table gone rename to ${behind}`],
      [`revoke all on ${behind} from kits_app`, `grant all on ${behind} to kits_app`],
    ] as const) {
      await rig.legacy.pool.query(broken);
      for (const [name, api] of apis) {
        const client = api.as(caller);
        const list = await client.get('/kits?limit=100');
        expect(list.status, name).toBe(200);
        const kit = (list.body.kits as { id: number; kitNumber: string }[]).find(
          (one) => one.kitNumber === kitNumber,
        );
        const changed = await client.patch(`/kits/${kit?.id}`, { orderId: name });
        expect(changed.status, name).toBe(200);
        expect((await client.get(`/kits/${kit?.id}`)).text, name).toBe(changed.text);
      }
      await rig.legacy.pool.query(mended);
    }
    const { stuck } = await drain(rig.legacy.db, await installed(rig.legacy), Date.now() + 60_000);
    expect(stuck).toBe(0);
  });

  it.runIf(inStep)('leaves both stores equal', async () => {
    const binding = await installed(rig.legacy);
    expect(await parity(rig.legacy.db, binding)).toMatchObject({ mismatched: 0, done: true });
  });
});

const redirected = ({ log }: ApiRig): number => metricTotal(log, METRICS.FenceRedirects);

/** Where a wish leads that is set in a stage, and which flags stand in the end; `undefined` is "as it was". */
const outcomeOf = (
  stage: Stage,
  { unifiedReads: reads, unifiedWrites: writes, dualWrite: dual }: StoreFlags,
): { readonly stage: Stage; readonly flags: StoreFlags } => {
  const is = (to: Stage, unifiedReads: boolean, unifiedWrites: boolean, dualWrite: boolean) => ({
    stage: to,
    flags: { unifiedReads, unifiedWrites, dualWrite },
  });
  switch (stage) {
    case 'legacy':
    case 'copying':
      // Only `dual-write` alone asks for nothing that cannot be.
      return reads || writes ? is(stage, false, false, false) : is(stage, false, false, dual);
    case 'closed':
      return is('closed', true, true, false);
    case 'mirrored':
      if (writes)
        return reads
          ? is(dual ? 'dual-write' : 'unified', true, true, dual)
          : is(stage, false, false, false);
      return is('mirrored', reads, false, dual);
    case 'dual-write':
    case 'unified':
      if (writes)
        return reads
          ? is(dual ? 'dual-write' : 'unified', true, true, dual)
          : is(stage, true, true, stage === 'dual-write');
      // Reads of kits need a proof of parity from since the stage began; there is none yet.
      return reads ? is('mirrored', false, false, false) : is('mirrored', false, false, dual);
  }
};

describe.each(['legacy', 'copying', 'mirrored', 'dual-write', 'unified', 'closed'] as const)(
  'an operator in stage "%s"',
  (stage) => {
    let rig: ApiRig;
    let binding: Binding;
    let own: readonly Own[];
    beforeAll(async () => {
      rig = await apiRigOf(60);
      binding = await installed(rig.legacy);
      if (stage !== 'legacy') await migrateTo(rig.legacy.db, binding, stage);
      await flagsFollowStage(rig);
      const callers = [await clientOf(rig.legacy, 1), await practitionerOf(rig.legacy, 2)];
      own = callers.map((caller) => ownOf(rig.as(caller), caller));
    });
    afterAll(() => rig.close());

    const flagsNow = async (): Promise<StoreFlags> => {
      const { unifiedReads, unifiedWrites, dualWrite } = await rig.system.flags.read();
      return { unifiedReads, unifiedWrites, dualWrite };
    };

    /** Sets all three at once: `flag-changed` looks at them when the last has been written. */
    const wish = async (flags: StoreFlags) => {
      for (const name of ['dualWrite', 'unifiedReads', 'unifiedWrites'] as const)
        await setFlag(rig, name, flags[name]);
    };

    /** Back to the stage, whatever the last wish led to. */
    const restore = async () => {
      const now = await stageOf(rig);
      if (now !== stage) {
        if (now === 'mirrored') await parity(rig.legacy.db, binding);
        await rig.system.flags.write(
          stage === 'mirrored'
            ? { unifiedReads: false, unifiedWrites: false, dualWrite: false }
            : { unifiedReads: true, unifiedWrites: true, dualWrite: stage === 'dual-write' },
        );
        await rig.system.aws.parameterChangesHandled();
      }
      if (stage === 'mirrored') await parity(rig.legacy.db, binding);
      if (STAGE_DEFINITIONS[stage].writes === 'legacy')
        await rig.system.flags.write({
          unifiedReads: false,
          unifiedWrites: false,
          dualWrite: false,
        });
      await rig.system.aws.parameterChangesHandled();
      expect(await stageOf(rig)).toBe(stage);
    };

    const epoch = async (): Promise<number> =>
      (await rig.legacy.pool.query('select epoch from migration.stage')).rows[0].epoch;

    /** One write and its reading back, with one redirect at most, and one for each flip that came between. */
    const traffic = async (one: Own, id: unknown, orderId: string) => {
      const before = { epoch: await epoch(), redirects: redirected(rig) };
      const changed = await one.client.patch(`${one.path}/${id}`, { orderId });
      expect(changed.status, changed.text).toBe(200);
      const redirects = redirected(rig) - before.redirects;
      expect(redirects).toBeLessThanOrEqual(1 + (await epoch()) - before.epoch);
      expect((await one.client.get(`${one.path}/${id}`)).text).toBe(changed.text);
      expect((await one.client.get(`${one.path}?limit=100`)).text).toContain(changed.text);
      expect((await one.client.get(`/v2/kits/${changed.body.kitsId}`)).body).toMatchObject({
        orderId,
      });
      return redirects;
    };

    it.each(EVERY_WISH.map((flags) => ({ ...flags, name: wishName(flags) })))(
      'who wishes $name gets what can be, and clients notice nothing',
      async ({ name, ...flags }) => {
        await restore();
        const kits: unknown[] = [];
        for (const { client, path } of own) {
          const made = await client.post(path, { kitNumber: newNumber() });
          expect(made.status, made.text).toBe(201);
          kits.push(made.body.id);
        }
        const all = async (when: string) => {
          let redirects = 0;
          for (const [index, one] of own.entries())
            redirects += await traffic(one, kits[index], `${name} ${when}`);
          return redirects;
        };
        await all('before');
        let handled = false;
        await wish(flags);
        const settled = rig.system.aws.parameterChangesHandled().then(() => {
          handled = true;
        });
        while (!handled) await all('meanwhile');
        await settled;
        expect({ stage: await stageOf(rig), flags: await flagsNow() }).toEqual(
          outcomeOf(stage, flags),
        );
        await all('at once');
        // By now the service has been told, by the fence or by its own flags.
        expect(await all('after')).toBe(0);
      },
    );
  },
);

describe('a service whose flags are as old as they may be', () => {
  let rig: ApiRig;
  let binding: Binding;
  let one: Own;
  let id: unknown;
  beforeAll(async () => {
    rig = await apiRigOf(60);
    binding = await installed(rig.legacy);
    await migrateTo(rig.legacy.db, binding, 'mirrored');
    await rig.system.flags.ensure();
    await rig.system.aws.parameterChangesHandled();
    const caller = await clientOf(rig.legacy, 1);
    one = ownOf(rig.as(caller), caller);
  });
  afterAll(() => rig.close());

  const write = async (orderId: string) => {
    const before = redirected(rig);
    const changed = await one.client.patch(`${one.path}/${id}`, { orderId });
    expect(changed.status, changed.text).toBe(200);
    expect((await one.client.get(`${one.path}/${id}`)).text).toBe(changed.text);
    return redirected(rig) - before;
  };
  const switchTo = async (flags: StoreFlags, stage: Stage) => {
    await parity(rig.legacy.db, binding);
    await rig.system.flags.write(flags);
    await rig.system.aws.parameterChangesHandled();
    expect(await stageOf(rig)).toBe(stage);
  };

  /** The first write after a switch, and the one after it. */
  const twoWrites = async (cachedSince: number) => {
    const first = await write('first');
    // On a machine so slow that the cache has run out by itself there was nothing to learn.
    const old = Date.now() - cachedSince < 5_000;
    expect([old ? first : 1, await write('second')]).toEqual([1, 0]);
  };

  it('learns of a switch by the first write that meets the fence, and of none by what the phases read', async () => {
    let cachedSince = Date.now();
    id = (await one.client.post(one.path, { kitNumber: newNumber() })).body.id;
    await switchTo({ unifiedReads: true, unifiedWrites: true, dualWrite: true }, 'dual-write');
    await twoWrites(cachedSince);
    cachedSince = Date.now();
    await write('once more');
    await switchTo({ unifiedReads: false, unifiedWrites: false, dualWrite: false }, 'mirrored');
    await twoWrites(cachedSince);
  });
});
