import { type Binding, drain, flip } from '@unified-kits/data';
import type { Caller } from '@unified-kits/domain';
import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ApiResponse, type ApiRig, apiRigOf } from '../support/api.ts';
import { API_STAGES, bringTo } from '../support/api-stage.ts';
import { clientOf, practitionerOf } from '../support/kits-service.ts';
import { parity } from '../support/migration.ts';
import { until, WAITING } from '../support/sessions.ts';
import { eventually } from '../support/system.ts';

const MANY = 10;
const times = <Value>(work: (n: number) => Promise<Value>): Promise<Value[]> =>
  Promise.all(Array.from({ length: MANY }, (_, n) => work(n)));

/** How often each status was answered. */
const tally = (responses: readonly ApiResponse[]): Record<number, number> =>
  Object.fromEntries(
    [...Map.groupBy(responses, ({ status }) => status)].map(([status, all]) => [
      status,
      all.length,
    ]),
  );

const typesOf = (responses: readonly ApiResponse[]) =>
  new Set(responses.filter(({ status }) => status >= 400).map(({ body }) => body.type));

const run = async (rig: ApiRig, sql: string, values: unknown[] = []) =>
  (await rig.legacy.pool.query(sql, values)).rows;

const eventsOf = async (rig: ApiRig, kitsId: unknown): Promise<string[]> =>
  (
    await run(
      rig,
      `select body ->> 'type' as type from kits_service.kit_event where kits_id = $1 order by number`,
      [kitsId],
    )
  ).map(({ type }) => type);

/** The authoritative store's table, and its row of a kit of the source `kit`. */
const tableIn = (stage: string) =>
  stage === 'dual-write' || stage === 'unified'
    ? { table: 'kits', row: `source = 'kit' and legacy_id = $1` }
    : { table: 'kit', row: 'id::text = $1' };

/** The API's sessions, and how many of them are in the middle of something. */
const sessionsOf = async (rig: ApiRig): Promise<{ all: number; open: number }> => {
  const [row] = await run(
    rig,
    `select count(*)::int as all, (count(*) filter (where state <> 'idle'))::int as open from pg_stat_activity
      where datname = current_database() and usename = $1`,
    [new URL(rig.serviceUrl).username],
  );
  return row;
};

/** Ends the API's sessions. @returns their process ids. */
const endSessions = async (rig: ApiRig): Promise<number[]> =>
  (
    await run(
      rig,
      `select pid, pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and usename = $1`,
      [new URL(rig.serviceUrl).username],
    )
  ).map(({ pid }) => pid);

describe.each([...API_STAGES, 'copying'] as const)('many requests at once in stage %s', (stage) => {
  let rig: ApiRig;
  let client: Caller;
  let other: Caller;
  let practitioner: Caller;
  beforeAll(async () => {
    rig = await apiRigOf();
    await bringTo(rig, stage);
    client = await clientOf(rig.legacy, 11);
    other = await clientOf(rig.legacy, 12);
    practitioner = await practitionerOf(rig.legacy, 3);
  });
  afterAll(() => rig.close());

  const made = async (kitNumber: string): Promise<ApiResponse> => {
    const response = await rig.as(client).post('/kits', { kitNumber });
    expect(response.status, response.text).toBe(201);
    return response;
  };
  const numbered = async (kitNumber: string) =>
    Number(
      (
        await run(
          rig,
          stage === 'dual-write' || stage === 'unified'
            ? 'select count(*) as n from kits where kit_number = $1'
            : 'select (select count(*) from kit where kit_number = $1) + (select count(*) from practitioner_kits where kit_number = $1) as n',
          [kitNumber],
        )
      )[0]?.n,
    );

  it('does a repeated request once, and answers all with the first answer', async () => {
    const body = { kitNumber: `same ${stage}`, notes: 'once', metadata: { a: 1 } };
    const headers = { 'idempotency-key': 'the-key' };
    const responses = await times(() => rig.as(client).post('/kits', body, headers));
    expect(tally(responses)).toEqual({ 201: MANY });
    expect(new Set(responses.map(({ text }) => text)).size).toBe(1);
    for (const name of ['etag', 'location', 'deprecation', 'link', 'content-type'])
      expect(new Set(responses.map((one) => one.headers.get(name))).size).toBe(1);
    const replayed = responses.filter((one) => one.headers.has('idempotency-replayed'));
    expect(replayed).toHaveLength(MANY - 1);
    expect(await numbered(body.kitNumber)).toBe(1);
    expect(await eventsOf(rig, responses[0]?.body.kitsId)).toEqual(['kit.created']);
    // The order of the fields is not the request's.
    const again = await rig
      .as(client)
      .post('/kits', Object.fromEntries(Object.entries(body).reverse()), headers);
    expect([again.text, again.headers.get('idempotency-replayed')]).toEqual([
      responses[0]?.text,
      'true',
    ]);
    const reused = await times((n) =>
      rig.as(client).post('/kits', { ...body, notes: `${n}` }, headers),
    );
    expect(tally(reused)).toEqual({ 422: MANY });
    expect(typesOf(reused)).toEqual(new Set(['/problems/idempotency-key-reused']));
  });

  it('takes the same key of another caller, and under another route, for another key', async () => {
    const headers = { 'idempotency-key': '"shared"' };
    const path = `/practitioners/${practitioner.practitionerId}/kits`;
    const number = (n: number) => ({ kitNumber: `key ${stage} ${n}` });
    const responses = await Promise.all([
      rig.as(client).post('/kits', number(1), headers),
      rig.as(other).post('/kits', number(2), headers),
      rig.as(client).post('/v2/kits', { ...number(3), ownerType: 'client' }, headers),
      rig.as(practitioner).post(path, number(4), headers),
      rig.as(practitioner).post('/v2/kits', { ...number(5), ownerType: 'practitioner' }, headers),
      rig.as(practitioner).post('/v2/kits', { ...number(6), ownerType: 'client' }, headers),
    ]);
    expect(tally(responses)).toEqual({ 201: 6 });
    expect(new Set(responses.map(({ body }) => body.kitsId)).size).toBe(6);
    expect(responses.some((one) => one.headers.has('idempotency-replayed'))).toBe(false);
  });

  it('keeps no key of a request that failed', async () => {
    const headers = { 'idempotency-key': 'after-failure' };
    await made(`taken ${stage}`);
    const failed = await rig.as(client).post('/kits', { kitNumber: `taken ${stage}` }, headers);
    expect(failed.status).toBe(409);
    const next = await rig.as(client).post('/kits', { kitNumber: `free ${stage}` }, headers);
    expect([next.status, next.headers.get('idempotency-replayed')]).toEqual([201, null]);
  });

  it('gives a kit number to one of ten, clients and practitioners, under either contract', async () => {
    const kitNumber = `raced ${stage}`;
    const responses = await times((n) => {
      const as = rig.as(n % 2 === 0 ? client : practitioner);
      if (n % 4 === 0) return as.post('/kits', { kitNumber });
      if (n % 4 === 1)
        return as.post(`/practitioners/${practitioner.practitionerId}/kits`, { kitNumber });
      const ownerType = n % 4 === 2 ? 'client' : 'practitioner';
      return as.post('/v2/kits', { ownerType, kitNumber });
    });
    expect(tally(responses)).toEqual({ 201: 1, 409: MANY - 1 });
    expect(typesOf(responses)).toEqual(new Set(['/problems/kit-number-taken']));
    expect(await numbered(kitNumber)).toBe(1);
  });

  it('lets one of ten change the version that all have read', async () => {
    const kit = await made(`versions ${stage}`);
    const path = `/kits/${kit.body.id}`;
    const etag = kit.headers.get('etag') ?? '';
    const responses = await times((n) =>
      rig.as(client).patch(path, { notes: `by ${n}` }, { 'if-match': etag }),
    );
    expect(tally(responses)).toEqual({ 200: 1, 412: MANY - 1 });
    const [winner] = responses.filter(({ status }) => status === 200);
    const now = await rig.as(client).get(path);
    expect([now.text, now.headers.get('etag')]).toEqual([
      winner?.text,
      winner?.headers.get('etag'),
    ]);
    expect(await eventsOf(rig, kit.body.kitsId)).toEqual(['kit.created', 'kit.updated']);
    const v2 = `/v2/kits/${kit.body.kitsId}`;
    const tag = (await rig.as(client).get(v2)).headers.get('etag') ?? '';
    const changes = await times((n) =>
      rig.as(client).patch(v2, { orderId: `${n}` }, { 'if-match': `"other", ${tag}` }),
    );
    expect(tally(changes)).toEqual({ 200: 1, 412: MANY - 1 });
  });

  it('answers one change that comes ten times as made, and makes it once', async () => {
    const kit = await made(`repeated ${stage}`);
    const headers = { 'if-match': kit.headers.get('etag') ?? '' };
    const path = `/kits/${kit.body.id}`;
    const responses = await times(() =>
      rig.as(client).patch(path, { notes: 'once', status: 'registered' }, headers),
    );
    expect(tally(responses)).toEqual({ 200: MANY });
    expect(new Set(responses.map(({ text }) => text)).size).toBe(1);
    expect(await eventsOf(rig, kit.body.kitsId)).toHaveLength(2);
    const again = (at: string, change: object) =>
      rig
        .as(client)
        .patch(at, change, headers)
        .then(({ status }) => status);
    expect(await again(path, { notes: 'once', orderId: 'x' })).toBe(412);
    expect(await again(path, {})).toBe(412);
    const v2 = `/v2/kits/${kit.body.kitsId}`;
    const status = 'registered';
    expect(await again(v2, { status, attributes: { notes: 'once' } })).toBe(200);
    expect(await again(v2, { status, attributes: { notes: 'twice' } })).toBe(412);
    expect(await again(v2, { status, attributes: {} })).toBe(200);
    expect(await again(v2, { attributes: {} })).toBe(412);
    expect(await again(v2, { status, unheardOf: null })).toBe(422);
    expect(await eventsOf(rig, kit.body.kitsId)).toHaveLength(2);
  });

  it('makes ten changes without a version one after the other, and loses none', async () => {
    const kit = await made(`unversioned ${stage}`);
    const path = `/kits/${kit.body.id}`;
    const fields = ['notes', 'orderId', 'kitType'];
    const responses = await times((n) =>
      rig.as(client).patch(path, { [fields[n % 3] ?? '']: `${n}` }),
    );
    expect(tally(responses)).toEqual({ 200: MANY });
    // Each answer shows the kit as its own change left it: no two are the same, and the last one stands.
    expect(new Set(responses.map(({ text }) => text)).size).toBe(MANY);
    const now = await rig.as(client).get(path);
    expect(responses.map(({ text }) => text)).toContain(now.text);
    for (const field of fields) expect(now.body[field]).not.toBeNull();
    expect(await eventsOf(rig, kit.body.kitsId)).toHaveLength(1 + MANY);
    const registered = await times(() => rig.as(client).patch(path, { status: 'registered' }));
    expect(tally(registered)).toEqual({ 200: MANY });
    expect(new Set(registered.map(({ text }) => text)).size).toBe(1);
    const cancelled = await times((n) =>
      rig.as(client).patch(path, { status: n % 2 === 0 ? 'collected' : 'cancelled' }),
    );
    expect(cancelled.every(({ status }) => status === 200 || status === 409)).toBe(true);
    const events = await eventsOf(rig, kit.body.kitsId);
    expect(events.filter((type) => type === 'kit.registered')).toHaveLength(1);
    // Collected and then cancelled, or cancelled at once.
    expect(events.filter((type) => type === 'kit.status-changed').length).toBeOneOf([1, 2]);
    expect((await rig.as(client).get(path)).body.status).toBe('cancelled');
  });

  it('goes on after the database has ended all of its sessions', async () => {
    await times(() => rig.as(client).get('/kits'));
    const ended = await endSessions(rig);
    expect(ended.length).toBeGreaterThan(1);
    // These, and not all: one that was still connecting when its request got another's is not among them.
    await eventually(
      () => run(rig, 'select from pg_stat_activity where pid = any ($1)', [ended]),
      (left) => left.length === 0,
    );
    expect(tally(await times(() => rig.as(client).get('/kits')))).toEqual({ 200: MANY });
    await made(`after ${stage}`);
    // In the middle of requests it costs these an answer to be tried again, and nothing more.
    const under = times((n) =>
      rig
        .as(client)
        .post('/kits', { kitNumber: `during ${stage} ${n}` }, { 'idempotency-key': `during-${n}` }),
    );
    await endSessions(rig);
    for (const response of await under) expect(response.status).toBeOneOf([201, 503]);
    const again = await times((n) =>
      rig
        .as(client)
        .post('/kits', { kitNumber: `during ${stage} ${n}` }, { 'idempotency-key': `during-${n}` }),
    );
    expect(tally(again)).toEqual({ 201: MANY });
    for (let n = 0; n < MANY; n += 1) expect(await numbered(`during ${stage} ${n}`)).toBe(1);
  });
});

describe.each(['mirrored', 'unified'] as const)(
  'a row that somebody holds in stage %s',
  (stage) => {
    let rig: ApiRig;
    let client: Caller;
    let holder: pg.Client;
    beforeAll(async () => {
      rig = await apiRigOf();
      await bringTo(rig, stage);
      client = await clientOf(rig.legacy, 11);
      holder = await rig.legacy.client();
    });
    afterAll(() => rig.close());

    it('keeps its owner waiting for so long and no longer, and others not at all', async () => {
      const mine = await rig.as(client).post('/kits', { kitNumber: 'held' });
      const free = await rig.as(client).post('/kits', { kitNumber: 'free' });
      const path = `/kits/${mine.body.id}`;
      const { table, row } = tableIn(stage);
      await holder.query(`begin; set local role kits_owner`);
      await holder.query(`select from ${table} where ${row} for update`, [String(mine.body.id)]);
      const began = Date.now();
      const waiting = times((n) => rig.as(client).patch(path, { notes: `${n}` }));
      await until(rig.legacy.db, WAITING);
      // Connections are left for nobody until these have given up; then for everybody.
      const responses = await waiting;
      expect(tally(responses)).toEqual({ 503: MANY });
      expect(typesOf(responses)).toEqual(new Set(['/problems/try-again']));
      for (const one of responses) expect(one.headers.get('retry-after')).toBe('1');
      // The function's own time, after which the client would be told nothing.
      expect(Date.now() - began).toBeLessThan(25_000);
      const stranger = await clientOf(rig.legacy, 12);
      const own = rig.as(client);
      const others = await Promise.all([
        own.get(path),
        own.get('/kits'),
        own.get(`/v2/kits/${mine.body.kitsId}`),
        own.patch(`/kits/${free.body.id}`, { notes: 'free' }),
        rig.as(stranger).patch(path, { notes: 'not theirs' }),
        rig.as(stranger).patch(`/v2/kits/${mine.body.kitsId}`, {}, { 'if-match': '*' }),
      ]);
      expect(others.map(({ status }) => status)).toEqual([200, 200, 200, 200, 404, 404]);
      await holder.query('rollback');
      expect((await own.patch(path, { notes: 'at last' })).status).toBe(200);
      await eventually(
        () => sessionsOf(rig),
        ({ open }) => open === 0,
      );
    });

    it('is told of by a repeated request whose first one is under way', async () => {
      const body = { kitNumber: 'under way' };
      const headers = { 'idempotency-key': 'under-way' };
      await holder.query('begin');
      await holder.query(
        `insert into kits_service.idempotency_key (scope, key, fingerprint) values ($1, 'under-way', 'x')`,
        [`/kits ${client.userId}`],
      );
      const waiting = await rig.as(client).post('/kits', body, headers);
      expect([waiting.status, waiting.body.type, waiting.headers.get('retry-after')]).toEqual([
        409,
        '/problems/idempotency-key-in-use',
        '1',
      ]);
      await holder.query('rollback');
      expect((await rig.as(client).post('/kits', body, headers)).status).toBe(201);
    });
  },
);

describe('flips in a storm of requests', () => {
  let rig: ApiRig;
  let binding: Binding;
  let reconciling: pg.Client;
  beforeAll(async () => {
    rig = await apiRigOf();
    binding = await bringTo(rig, 'mirrored');
    // The flags keep saying what they said: services act on stale ones, and nobody flips but the test.
    reconciling = await rig.legacy.client();
    await reconciling.query(
      `select pg_advisory_lock(hashtextextended('unified-kits reconcile', 0))`,
    );
  });
  afterAll(async () => {
    await reconciling.end();
    await rig.close();
  });

  it('lose no acknowledged write, and fail no request', async () => {
    const { db } = rig.legacy;
    const callers = await Promise.all([
      clientOf(rig.legacy, 21),
      clientOf(rig.legacy, 22),
      practitionerOf(rig.legacy, 5),
      practitionerOf(rig.legacy, 6),
    ]);
    const statuses = new Map<number, number>();
    /** kits id → what its owner was told last. */
    const told = new Map<string, string>();
    let storm = true;
    const noted = (response: ApiResponse): ApiResponse => {
      statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1);
      return response;
    };
    const write = async (caller: Caller, who: number) => {
      const client = rig.as(caller);
      const base =
        caller.practitionerId === undefined
          ? '/kits'
          : `/practitioners/${caller.practitionerId}/kits`;
      for (let n = 0; storm; n += 1) {
        const made = noted(
          await client.post(base, { kitNumber: `storm ${who} ${n}`, orderId: '0' }),
        );
        expect(made.status, made.text).toBe(201);
        let last = made;
        for (const orderId of ['1', '2']) {
          last = noted(
            await client.patch(
              `${base}/${made.body.id}`,
              { orderId },
              { 'if-match': last.headers.get('etag') ?? '' },
            ),
          );
          expect(last.status, last.text).toBe(200);
        }
        const read = noted(await client.get(`${base}/${made.body.id}`));
        expect(read.text).toBe(last.text);
        told.set(`${base}/${made.body.id}`, last.text);
      }
    };
    const storming = Promise.all(callers.map(write));
    // A failed writer ends the storm; its error is thrown at the end.
    storming.catch(() => {
      storm = false;
    });
    const deadline = () => Date.now() + 30_000;
    const step = (to: 'mirrored' | 'dual-write') =>
      flip(db, binding, { to, phase: 'test', actor: 'test', attempts: 60 });
    /** A mirror that lost a lock leaves its key to the drain. */
    const inStep = async () => {
      for (let round = 0; round < 10; round += 1) {
        await drain(db, binding, deadline());
        if ((await parity(db, binding)).mismatched === 0) return;
      }
      throw new Error('parity is not exact after ten rounds');
    };
    try {
      // On a slow machine until each writer has written across a flip.
      for (let round = 0; storm && (round < 3 || told.size < 2 * callers.length); round += 1) {
        await inStep();
        await step('dual-write');
        await inStep();
        await step('mirrored');
      }
    } finally {
      storm = false;
    }
    await storming;
    expect([...statuses.keys()].sort()).toEqual([200, 201]);
    await inStep();
    for (const [index, caller] of callers.entries()) {
      const base =
        caller.practitionerId === undefined
          ? '/kits'
          : `/practitioners/${caller.practitionerId}/kits`;
      for (const [path, text] of told)
        if (path.startsWith(`${base}/`) && (index > 1 || JSON.parse(text).userId === caller.userId))
          expect((await rig.as(caller).get(path)).text).toBe(text);
    }
    const [events] = await run(
      rig,
      `select count(*)::int as n, count(distinct kits_id)::int as kits from kits_service.kit_event`,
    );
    expect(events).toEqual({ n: told.size * 3, kits: told.size });
    expect(rig.log.filter((line) => 'FenceRedirects' in line).length).toBeGreaterThan(0);
    await eventually(
      () => sessionsOf(rig),
      ({ open }) => open === 0,
    );
  });
});
