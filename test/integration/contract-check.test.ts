import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { bindService, flip, sampleKits } from '@unified-kits/data';
import { type Kit, otherStore, type Store } from '@unified-kits/domain';
import type { Context } from 'aws-lambda';
import { afterEach, describe, expect, it } from 'vitest';
import { callersOf } from '../../functions/phase4-contract-check/callers.ts';
import { checkContract } from '../../functions/phase4-contract-check/check-contract.ts';
import type { ContractRequest } from '../../functions/phase4-contract-check/contract-request.ts';
import {
  contractRequests,
  REQUEST_KINDS,
} from '../../functions/phase4-contract-check/contract-requests.ts';
import { handler } from '../../functions/phase4-contract-check/handler.ts';
import { judgeContract } from '../../functions/phase4-contract-check/judge-contract.ts';
import { closeDatabaseAt } from '../../functions/runtime/database.ts';
import { withEnvironment } from '../../functions/runtime/environment.ts';
import { clinicDatabase } from '../support/clinic.ts';
import { type Answers, ask, storeApis, undescribed } from '../support/contract.ts';
import { serviceOn, type TestService } from '../support/kits-service.ts';
import { installed, type LegacyDatabase, legacyDatabase } from '../support/legacy.ts';
import { migrateTo } from '../support/migration.ts';

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

type Stage = Parameters<typeof migrateTo>[2];

interface ContractRig extends TestService {
  readonly legacy: LegacyDatabase;
  /** Everything that left the function. */
  readonly log: string[];
  /** Calls the function as Lambda does. */
  check(event?: object): Promise<Record<string, unknown>>;
  /** Changes `kits` alone, behind the mirror's back. */
  plant(sql: string): Promise<void>;
}

const rigOn = async (
  legacy: LegacyDatabase,
  stage: Stage,
  mappingPath?: string,
): Promise<ContractRig> => {
  closing.push(
    () => legacy.drop(),
    () => closeDatabaseAt(legacy.url),
  );
  const service = await serviceOn(legacy);
  closing.push(() => service.close());
  await migrateTo(legacy.db, await installed(legacy), stage);
  const variables = { DATABASE_URL: legacy.url, KITS_MAPPING: mappingPath };
  const log: string[] = [];
  return {
    ...service,
    legacy,
    log,
    check: (event = {}) => {
      const context = { awsRequestId: 'test', getRemainingTimeInMillis: () => 60_000 };
      return withEnvironment({ variables, log: (line) => log.push(line) }, async () => ({
        ...(await handler(event, context as Context)),
      }));
    },
    // The fence lets the engine through.
    plant: async (sql) => {
      await legacy.db.query(sql, [], { asEngine: true });
    },
  };
};

const rigOf = async (stage: Stage, rows = 30): Promise<ContractRig> =>
  rigOn(await legacyDatabase(rows), stage);

const checked = async ({ legacy }: ContractRig): Promise<Record<string, unknown>[]> =>
  (
    await legacy.pool.query(
      `select actor, batch_id as "batchId", detail from migration.event where phase = 'phase4-contract-check' and action = 'contract-checked' order by id`,
    )
  ).rows;

/** The kits that a check would ask for, and its requests. */
const requestsOn = async ({ legacy }: ContractRig, rows = 30) => {
  const kits = await legacy.db.transaction({ asEngine: true, readOnly: true }, async (session) => {
    const service = await bindService(session, legacy.mapping);
    const of = (source: Kit['source']) =>
      sampleKits(session, service, source, { rows, seed: 'one' });
    return [...(await of('kit')), ...(await of('practitioner_kits'))];
  });
  const callers = callersOf(legacy.mapping, kits);
  return { kits, requests: () => contractRequests(kits, callers, REQUEST_KINDS) };
};

describe.each(['mirrored', 'dual-write'] as const)('the contract check in stage %s', (stage) => {
  it('finds both bindings alike, and records what it asked', async () => {
    const rig = await rigOf(stage);
    const found = await rig.check({ seed: 'one', actor: 'somebody' });
    expect(found).toMatchObject({
      stage,
      seed: 'one',
      compared: 60,
      skipped: 0,
      differing: 0,
      differences: [],
      complete: true,
      identical: true,
    });
    expect(found.requests).toBeGreaterThan(600);
    expect(await checked(rig)).toMatchObject([
      { actor: 'somebody', detail: { requests: found.requests, differing: 0, stage } },
    ]);
    expect(await rig.check({ seed: 'one' })).toMatchObject({ requests: found.requests });
  });

  it('writes nothing', async () => {
    const rig = await rigOf(stage);
    const content = async () =>
      (
        await rig.legacy.pool.query(
          `select md5(string_agg(t, '' order by t)) as all from (select k::text t from kit k union all select k::text from practitioner_kits k union all select k::text from kits k union all select k::text from kits_service.idempotency_key k union all select k::text from kits_service.kit_event k) every`,
        )
      ).rows;
    const before = await content();
    await rig.check({ kinds: ['refusals'] });
    expect(await content()).toEqual(before);
  });
});

describe('the requests of the contract check', () => {
  it('come from every kind of caller, to every route, and are refused in every way that comes before a write', async () => {
    const rig = await rigOf('mirrored');
    const { requests } = await requestsOn(rig);
    const { legacy: answers } = storeApis(rig);
    const callers = new Set<string>();
    const seen = new Set<string>();
    for (const first of requests())
      for (let request: ContractRequest | undefined = first; request !== undefined; ) {
        const { route, response } = await ask(answers, request);
        callers.add(request.caller);
        seen.add(`${request.method} ${route} ${response.statusCode}`);
        request = request.next?.(response);
      }
    expect([...callers].sort()).toEqual([
      'another client',
      'another practitioner',
      'nobody',
      'owner',
      'owner of nothing',
      'practitioner without the claim',
    ]);
    for (const path of ['/kits', '/practitioners/{practitionerId}/kits', '/v2/kits']) {
      const key = path === '/v2/kits' ? '{kitsId}' : '{id}';
      for (const status of [200, 400]) expect(seen).toContain(`GET ${path} ${status}`);
      for (const status of [200, 304, 400, 404])
        expect(seen).toContain(`GET ${path}/${key} ${status}`);
      for (const status of [400, 413, 415, 422]) expect(seen).toContain(`POST ${path} ${status}`);
      for (const status of [400, 413, 415, 422])
        expect(seen).toContain(`PATCH ${path}/${key} ${status}`);
    }
    expect(seen).toContain('PATCH /v2/kits/{kitsId} 428');
    expect(seen).toContain('POST /practitioners/{practitionerId}/kits 404');
    for (const status of [401, 403]) expect(seen).toContain(`GET /kits ${status}`);
    for (const status of [404, 405])
      expect([...seen].join('\n')).toMatch(new RegExp(`none ${status}`));
    expect([...seen].filter((one) => / 5\d\d$/.test(one))).toEqual([]);
  });

  it('are all answered as the description of the API says, by either store', async () => {
    const rig = await rigOf('dual-write');
    const { requests } = await requestsOn(rig);
    const faultsOf = undescribed(rig.legacy.mapping, await rig.service.idTypes());
    for (const answers of Object.values(storeApis(rig)))
      for (const first of requests())
        for (let request: ContractRequest | undefined = first; request !== undefined; ) {
          const answer = await ask(answers, request);
          expect(faultsOf(request.method, answer), `${request.method} ${request.path}`).toEqual([]);
          request = request.next?.(answer.response);
        }
  });

  it('are about other kits with another seed, and read few pages of a large table', async () => {
    const rig = await rigOf('mirrored', 10_000);
    const sample = (seed: string) =>
      rig.legacy.db.transaction({ asEngine: true, readOnly: true }, async (session) => {
        const service = await bindService(session, rig.legacy.mapping);
        return sampleKits(session, service, 'kit', { rows: 10, seed });
      });
    const keys = async (seed: string) => (await sample(seed)).map(({ legacyId }) => legacyId);
    const pages = async () => {
      await sleep(50);
      return Number(
        (
          await rig.legacy.pool.query(
            `select heap_blks_read + heap_blks_hit as pages from pg_statio_user_tables where relname = 'kit'`,
          )
        ).rows[0].pages,
      );
    };
    const one = await keys('one');
    expect(one).toHaveLength(10);
    expect(await keys('one')).toEqual(one);
    expect(await keys('two')).not.toEqual(one);
    const { rows } = await rig.legacy.pool.query(
      `select pg_relation_size('kit') / current_setting('block_size')::int as pages`,
    );
    expect(Number(rows[0].pages)).toBeGreaterThan(100);
    await rig.legacy.db.transaction({ asEngine: true }, async (session) => {
      await session.query('select pg_stat_force_next_flush()');
    });
    const before = await pages();
    await rig.legacy.db.transaction({ asEngine: true, readOnly: true }, async (session) => {
      const service = await bindService(session, rig.legacy.mapping);
      await sampleKits(session, service, 'kit', { rows: 10, seed: 'three' });
      await session.query('select pg_stat_force_next_flush()');
    });
    expect((await pages()) - before).toBeLessThan(60);
  });
});

/** Changes of one store alone, and how they are told. */
const PLANTED: readonly (readonly [what: string, sql: string, told: RegExp])[] = [
  ['a field', `order_id = 'MARKER'`, /kit 7 \(header etag, orderId; 200 and 200\)/],
  [
    'a digit of a number in metadata',
    `metadata = '{"n": 12345678901234567890.10, "m": "MARKER"}'`,
    /kit 7 \(header etag, metadata; 200 and 200\)/,
  ],
  [
    'a column that only legacy_attributes keeps',
    `legacy_attributes = jsonb_set(legacy_attributes, '{notes}', '"MARKER"')`,
    /^(?=.*kit 7 \(header etag, notes; 200 and 200\)).*kit 7 \(header etag, attributes\.notes; 200 and 200\)/,
  ],
  [
    'a microsecond',
    `registered_at = registered_at + interval '1 microsecond'`,
    /kit 7 \(header etag, registeredAt; 200 and 200\)/,
  ],
  ['an owner', `user_id = md5('user33')::uuid`, /kit 7 \(.*status.*; 200 and 404\)/],
  ['a missing kit', 'delete', /kit 7 \(.*status.*; 200 and 404\)/],
];

describe('a difference between the stores', () => {
  it.each(PLANTED)(
    'is told by route, key and name where it is %s, and never by value',
    async (_, sql, told) => {
      const rig = await rigOf('mirrored');
      const where = `source = 'kit' and legacy_id = '7'`;
      await rig.plant(
        sql === 'delete'
          ? `delete from public.kits where ${where}`
          : `update public.kits set ${sql} where ${where}`,
      );
      const failed = await rig.check({ kinds: ['details'] }).catch((error: unknown) => error);
      expect(failed).toMatchObject({ name: 'ContractBroken' });
      const { message } = failed as Error;
      expect(message).toMatch(told);
      expect(message).toMatch(/GET \/kits\/\{id\} kit 7/);
      expect(message).toMatch(/GET \/v2\/kits\/\{kitsId\} kit 7/);
      const [event] = await checked(rig);
      expect(event?.detail).toMatchObject({
        differences: expect.arrayContaining([expect.objectContaining({ key: 'kit 7' })]),
      });
      const everything = [message, JSON.stringify(event), ...rig.log].join('\n');
      expect(everything).not.toMatch(/MARKER|K7\b|12345678901234567890/);
    },
  );

  it('is found in lists by the key of the kit, also where a kit is only in kits', async () => {
    const rig = await rigOf('mirrored');
    await rig.plant(
      `update public.kits set status = 'cancelled' where source = 'practitioner_kits' and kit_number = 'P3'`,
    );
    await rig.plant(
      `insert into public.kits (id, kit_number, owner_type, user_id, status, source, legacy_id, migration_batch_id) select gen_random_uuid(), 'extra', 'client', md5('user4')::uuid, 'created', 'kit', '900', migration_batch_id from public.kits limit 1`,
    );
    const failed: Error = await rig.check({ kinds: ['lists'] }).then(
      () => new Error('found nothing'),
      (error) => error,
    );
    const { rows } = await rig.legacy.pool.query(
      `select id from practitioner_kits where kit_number = 'P3'`,
    );
    expect(failed.message).toContain(`practitioner_kits ${rows[0].id} status`);
    expect(failed.message).toContain('kit 900 (not in legacy)');
    expect(failed.message).toMatch(/GET \/practitioners\/\{practitionerId\}\/kits/);
    expect(failed.message).toMatch(/GET \/v2\/kits /);
  });

  it('that waits to be re-synchronised is passed over and counted, wherever it shows', async () => {
    const rig = await rigOf('mirrored');
    await rig.plant(
      `update public.kits set order_id = 'x' where source = 'kit' and legacy_id = '7'`,
    );
    await rig.legacy.pool.query(
      `insert into migration.pending_sync (source, legacy_id, cause) values ('kit', '7', 'mirror')`,
    );
    expect(await rig.check()).toMatchObject({ identical: true, skipped: 1, compared: 59 });
  });

  it("of a practitioner whose user has changed waits with the practitioner's kits", async () => {
    const rig = await rigOf('mirrored');
    await rig.plant(
      `update public.kits set user_id = md5('user33')::uuid where practitioner_id = md5('practitioner3')::uuid`,
    );
    await expect(rig.check()).rejects.toMatchObject({ name: 'ContractBroken' });
    await rig.legacy.pool.query(
      `insert into migration.pending_sync (source, legacy_id, cause) values ('practitioners', md5('practitioner3')::uuid, 'owner')`,
    );
    expect(await rig.check()).toMatchObject({ identical: true, skipped: 3 });
  });

  it('that is everywhere ends the check early', async () => {
    const rig = await rigOf('mirrored', 100);
    await rig.plant(`update public.kits set order_id = 'x'`);
    await expect(rig.check({ kinds: ['details'] })).rejects.toMatchObject({
      name: 'ContractBroken',
      message: expect.stringMatching(/^5\d of /),
    });
    expect((await checked(rig))[0]?.detail).toMatchObject({ complete: false });
  });
});

describe('while clients write', () => {
  /** Asks for one kit, and lets something happen between the two answers. */
  const checkWhile = async (
    rig: ContractRig,
    between: (times: number) => Promise<unknown>,
    store: Store = 'kits',
  ) => {
    const { kits } = await requestsOn(rig);
    const kit = kits.find(({ source, legacyId }) => source === 'kit' && legacyId === '7');
    if (kit?.userId == null) throw new TypeError('the seeded kit 7 has an owner');
    const apis = storeApis(rig);
    let times = 0;
    let first: Promise<unknown> = Promise.resolve();
    const undisturbed: Answers = (event, context) => {
      const answer = apis[otherStore(store)](event, context);
      first = answer;
      return answer;
    };
    const disturbed: Answers = async (event, context) => {
      await nextTurn();
      await first;
      times += 1;
      await between(times);
      return apis[store](event, context);
    };
    const request: ContractRequest = {
      caller: 'owner',
      claims: { sub: kit.userId },
      method: 'GET',
      path: '/kits/7',
      about: kit,
    };
    return checkContract({
      db: rig.legacy.db,
      apis:
        store === 'kits'
          ? { legacy: undisturbed, kits: disturbed }
          : { legacy: disturbed, kits: undisturbed },
      requests: [request].values() as Generator<ContractRequest>,
      skipped: new Set(),
      deadline: Date.now() + 30_000,
    });
  };
  const write = (rig: ContractRig) =>
    rig.legacy.pool.query(
      `update kit set order_id = coalesce(order_id, '') || 'x', updated_at = clock_timestamp() where id = 7`,
    );

  it.each(['legacy', 'kits'] as const)(
    'asks both again for a kit that changed before %s answered',
    async (store) => {
      const rig = await rigOf('mirrored');
      const found = await checkWhile(
        rig,
        async (times) => (times <= 3 ? write(rig) : undefined),
        store,
      );
      expect(found).toMatchObject({ requests: 1, differences: [], skipped: [] });
    },
  );

  it('does not ask for ever', async () => {
    const rig = await rigOf('mirrored');
    const found = await checkWhile(rig, () => write(rig));
    expect(found.differences).toMatchObject([
      { key: 'kit 7', statuses: { legacy: 200, kits: 200 } },
    ]);
  });

  it('passes over a kit whose mirror fails meanwhile', async () => {
    const rig = await rigOf('mirrored');
    const found = await checkWhile(
      rig,
      async (times) => {
        // The number of another kit: `kits` refuses it, the client's write stands.
        if (times === 1)
          await rig.legacy.pool.query(`update kit set kit_number = 'P3' where id = 7`);
      },
      'legacy',
    );
    expect(found).toMatchObject({ requests: 0, differences: [], skipped: ['kit 7'] });
  });

  it('stops when the stage leaves one store behind, and calls nothing a difference', async () => {
    const rig = await rigOf('dual-write');
    const left = checkWhile(rig, async (times) => {
      if (times > 1) return;
      await flip(rig.legacy.db, rig.binding, { to: 'unified', phase: 'test', actor: 'test' });
      await rig.legacy.pool.query(
        `update kits set order_id = 'new' where source = 'kit' and legacy_id = '7'`,
      );
    });
    await expect(left).rejects.toMatchObject({ name: 'StoresNotInStep' });
  });

  it('finds nothing in a storm of writes to the kits that it asks for', async () => {
    const rig = await rigOf('mirrored');
    let over = false;
    const writers = Array.from({ length: 2 }, async (_, n) => {
      for (let turn = 0; !over; turn += 1) {
        await rig.legacy.pool.query(
          `update kit set metadata = jsonb_build_object('turn', $1::int), updated_at = clock_timestamp() where id = $2`,
          [turn, 1 + ((turn * 2 + n) % 30)],
        );
        await sleep(3);
      }
    });
    try {
      expect(await rig.check()).toMatchObject({ identical: true, differing: 0 });
    } finally {
      over = true;
      await Promise.all(writers);
    }
  });
});

describe('the contract check', () => {
  it.each(['copying', 'unified', 'closed'] as const)('refuses stage %s', async (stage) => {
    const rig = await rigOf(stage);
    await expect(rig.check()).rejects.toMatchObject({
      name: 'StoresNotInStep',
      message: expect.stringContaining(`"${stage}"`),
    });
  });

  it('stops at its deadline, and a check of nothing is no proof', async () => {
    const rig = await rigOf('mirrored');
    const { requests } = await requestsOn(rig);
    const check = (deadline: number) =>
      checkContract({
        db: rig.legacy.db,
        apis: storeApis(rig),
        requests: requests(),
        skipped: new Set(),
        deadline,
      });
    const short = await check(Date.now() + 100);
    expect(short).toMatchObject({ complete: false, differences: [] });
    expect(short.requests).toBeGreaterThan(0);
    const none = await check(Date.now() - 1);
    expect(none).toMatchObject({ complete: false, requests: 0 });
    expect(() => judgeContract(none, 'one')).toThrow(
      expect.objectContaining({ name: 'DatabaseUnwell' }),
    );
  });

  it('refuses an event that it does not understand', async () => {
    const rig = await rigOf('mirrored');
    await expect(rig.check({ sample: 0, kinds: ['guesses'] })).rejects.toMatchObject({
      name: 'InvalidInput',
      message: expect.stringMatching(/sample[\s\S]*kinds/),
    });
  });

  it("holds for another organisation's tables by their mapping alone", async () => {
    const rig = await rigOn(await clinicDatabase(), 'mirrored', 'test/fixtures/clinic.mapping.ts');
    const found = await rig.check({ sample: 40 });
    expect(found).toMatchObject({ identical: true, complete: true });
    expect(found.compared).toBeGreaterThan(10);
  });
});
