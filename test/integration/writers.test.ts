import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Binding, bindMapping } from '@unified-kits/data';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  type Intent,
  type LedgerContent,
  openLedger,
  readLedger,
} from '../../infra/local/writers/ledger.ts';
import { dropWriterLogin } from '../../infra/local/writers/login.ts';
import { type WritersPlan, writersPlan } from '../../infra/local/writers/plan.ts';
import { newCounters, startWriters } from '../../infra/local/writers/start-writers.ts';
import { verifyLedger } from '../../infra/local/writers/verify-ledger.ts';
import { type ApiRig, apiOn } from '../support/api.ts';
import { type LegacyDatabase, legacyDatabase } from '../support/legacy.ts';
import { approvedReport, cutOver, eventually, rollBack } from '../support/system.ts';

describe('writers through the API', () => {
  let legacy: LegacyDatabase;
  let rig: ApiRig;
  let binding: Binding;
  let directory: string;
  let plan: WritersPlan;

  beforeEach(async () => {
    legacy = await legacyDatabase(400);
    rig = await apiOn(legacy);
    directory = await mkdtemp(join(tmpdir(), 'kits-writers-'));
    await bind();
  });
  afterEach(async () => {
    await rig.close();
    await dropWriterLogin(legacy.db);
    await legacy.drop();
    await rm(directory, { recursive: true, force: true });
  });

  const bind = async () => {
    binding = await legacy.db.transaction({}, (session) => bindMapping(session, legacy.mapping));
    plan = await writersPlan(legacy.db, binding, { directory, writers: 2 });
  };
  const start = (counters = newCounters()) =>
    startWriters(plan, { directory, api: rig.api, binding, rate: 40, seed: 1, counters });
  /** Writes until the ledger has enough of what a test is about, however slow the machine. */
  const write = async (isEnough: (ledger: LedgerContent) => boolean) => {
    const writers = await start();
    await eventually(() => readLedger(directory), isEnough);
    await writers.stop();
    expect(writers.fault()).toBeUndefined();
    return readLedger(directory);
  };
  const verify = async (store: 'legacy' | 'kits' = 'legacy') =>
    verifyLedger(legacy.db, binding, (await readLedger(directory)).entries, store);

  it('lose no acknowledged write, read each at once, and see no error from legacy to closed and back', async () => {
    const counters = newCounters();
    const writers = await start(counters);
    const cutover = await cutOver(rig, {
      reportId: await approvedReport(rig),
      until: 'closed',
      monitor: { seconds: 1, checks: 3 },
    });
    expect(cutover).toMatchObject({ status: 'SUCCEEDED' });
    await writers.stop();
    expect(writers.fault()).toBeUndefined();
    const forward = await verify('kits');
    expect(forward).toMatchObject({ lost: 0, unexpected: 0 });
    expect(forward.acknowledged).toBeGreaterThan(100);
    expect(counters).toMatchObject({ acknowledged: forward.acknowledged, errors: 0, stale: 0 });
    expect(counters.checks).toBeGreaterThanOrEqual(counters.acknowledged);

    const back = await start(counters);
    expect(await rollBack(rig)).toMatchObject({ status: 'SUCCEEDED' });
    await back.stop();
    expect(back.fault()).toBeUndefined();
    const backward = await verify();
    expect(backward).toMatchObject({ lost: 0, unexpected: 0 });
    expect(backward.acknowledged).toBeGreaterThan(forward.acknowledged);
    expect(counters).toMatchObject({ errors: 0, stale: 0 });
    const { entries } = await readLedger(directory);
    const kinds = entries.map(({ intent }) => `${intent.contract} ${intent.request.method}`);
    expect([...new Set(kinds)].sort()).toEqual([
      'legacy PATCH',
      'legacy POST',
      'v2 PATCH',
      'v2 POST',
    ]);
    expect(entries.some(({ outcome }) => (outcome?.tries ?? 1) > 1)).toBe(true);
    expect(entries.some(({ intent }) => intent.content.status === 'registered')).toBe(true);
  });

  it('never connect as the engine', async () => {
    const client = await legacy.client();
    const { rows } = await client.query(
      `select pg_has_role($1, 'kits_app', 'member') as app, pg_has_role($1, 'kits_owner', 'member') as engine`,
      [new URL(rig.serviceUrl).username],
    );
    expect(rows[0]).toEqual({ app: true, engine: false });
  });

  it('find out by trying what an owner may write', async () => {
    await legacy.pool.query(`
      alter table kit add constraint numbers check (kit_number ~ '^K[0-9]+$');
      alter table kit add constraint orders check (order_id ~ '^O[0-9]+$');
      alter table kit add constraint kinds check (kit_type in ('DNA', 'GUT'));
      alter table practitioner_kits add constraint typed check (kit_type is not null);
      alter table practitioner_kits add constraint living check (status <> 'cancelled')`);
    await bind();
    const writers = await start();
    await writers.stop();
    expect(writers.abilities.kit).toEqual({
      token: 'notes',
      creation: undefined,
      statuses: [],
      refusals: [
        '"orderId" cannot be changed: 422 /problems/invalid-body',
        '"kitType" cannot be changed: 422 /problems/invalid-body',
        'no kit can be made: 422 /problems/invalid-body',
      ],
    });
    expect(writers.abilities.practitioner_kits).toEqual({
      token: 'orderId',
      creation: { token: 'orderId', copied: ['kitType'] },
      statuses: ['registered', 'collected'],
      refusals: [],
    });
    const { exchanges } = await readLedger(directory);
    expect(exchanges.filter(({ error }) => error)).toEqual([]);
    expect(await verify()).toMatchObject({ lost: 0, unexpected: 0 });
  });

  it('say so where nothing can be written', async () => {
    await legacy.pool.query(
      `create function refuse() returns trigger language plpgsql as $$ begin raise check_violation; end $$;
       create trigger refuse before insert or update on kit for each row execute function refuse()`,
    );
    const writers = await start();
    await sleep(300);
    await writers.stop();
    expect(writers.abilities.kit).toMatchObject({ token: undefined, creation: undefined });
    expect(writers.abilities.kit?.refusals).toContain(
      'no kit can be made: 422 /problems/invalid-body',
    );
    const { exchanges } = await readLedger(directory);
    expect(exchanges.filter(({ error }) => error)).toEqual([]);
  });

  it('give each kit to one writer only', () => {
    const all = plan.kits.flat().map(({ source, key }) => `${source}:${key}`);
    expect(all).toHaveLength(160);
    expect(new Set(all).size).toBe(all.length);
  });

  it('count as errors what a client was not to be answered', async () => {
    const counters = newCounters();
    const writers = await start(counters);
    await legacy.pool.query('alter table practitioner_kits rename to hidden');
    await eventually(
      async () => counters.errors,
      (errors) => errors > 0,
    );
    await legacy.pool.query('alter table hidden rename to practitioner_kits');
    const before = counters.acknowledged;
    await eventually(
      async () => counters.acknowledged,
      (acknowledged) => acknowledged > before,
    );
    await writers.stop();
    const { exchanges } = await readLedger(directory);
    expect(exchanges.filter(({ error }) => error)).toHaveLength(counters.errors);
  });

  it('are found out when a kit they were told of is changed, removed or doubled behind their back', async () => {
    const made = ({ entries }: LedgerContent) =>
      entries.flatMap(({ intent, outcome }) =>
        intent.key === null && intent.source === 'kit' ? (outcome?.key ?? []) : [],
      );
    const ledger = await write((so) => made(so).length >= 3);
    expect(await verify()).toMatchObject({ lost: 0, unexpected: 0 });
    const [gone, changed, twice] = made(ledger);
    await legacy.pool.query('delete from kit where id = $1', [gone]);
    await legacy.pool.query(`update kit set order_id = 'another' where id = $1`, [changed]);
    await legacy.pool.query(
      'insert into kit (kit_number, user_id, order_id, status) select kit_number, user_id, order_id, status from kit where id = $1',
      [twice],
    );
    expect(await verify()).toMatchObject({
      lost: 2,
      unexpected: 1,
      keys: expect.arrayContaining([`kit:${gone}`, `kit:${changed}`, `kit:${twice}`]),
    });
  });

  it('see at their next look that a kit is not as they left it', async () => {
    const before = await write(({ checks }) => checks.length >= 10);
    expect(before.checks.filter(({ stale }) => stale)).toEqual([]);
    await legacy.pool.query(
      `update kit set order_id = 'another'; update practitioner_kits set order_id = 'another'`,
    );
    await write(({ checks }) => checks.some(({ stale }) => stale));
  });

  describe('after a kill', () => {
    const kit = () => {
      const [mine] = plan.kits[0] ?? [];
      if (mine?.source !== 'kit') throw new TypeError('a plan begins with client kits');
      return mine;
    };
    const creation = (n: number): Intent => ({
      kind: 'intent',
      n,
      source: 'kit',
      key: null,
      caller: { userId: kit().userId },
      contract: 'legacy',
      request: {
        method: 'POST',
        path: '/kits',
        headers: { 'idempotency-key': `key-of-${n}-which-is-long-enough` },
        body: JSON.stringify({ kitNumber: `KILLED-${n}`, orderId: `o-${n}` }),
      },
      content: { kitNumber: `KILLED-${n}`, status: 'created', orderId: `o-${n}` },
    });
    const change = async (n: number): Promise<Intent> => {
      const path = `/kits/${kit().key}`;
      const read = await rig.as({ userId: kit().userId }).get(path);
      return {
        ...creation(n),
        key: kit().key,
        request: {
          method: 'PATCH',
          path,
          headers: { 'if-match': read.headers.get('etag') ?? '' },
          body: JSON.stringify({ orderId: `o-${n}` }),
        },
        content: { orderId: `o-${n}` },
      };
    };
    const carryOut = ({ request, caller }: Intent) => {
      const client = rig.as(caller);
      const send = request.method === 'POST' ? client.post : client.patch;
      return send(request.path, request.body, request.headers);
    };
    const left = (...intents: readonly Intent[]) => {
      const ledger = openLedger(directory, 0);
      for (const intent of intents) ledger.append(intent);
      ledger.close();
    };

    it('repeat what was not answered, whether it had been carried out or not', async () => {
      const [made, unmade] = [creation(1), creation(2)];
      expect((await carryOut(made)).status).toBe(201);
      const changed = await change(3);
      expect((await carryOut(changed)).status).toBe(200);
      left(made, unmade, changed);
      expect(await verify()).toMatchObject({ acknowledged: 0, lost: 0, unexpected: 0 });
      const { entries } = await write(() => true);
      for (const n of [1, 2, 3])
        expect(entries.find(({ intent }) => intent.n === n)?.outcome, `write ${n}`).toMatchObject({
          result: 'ok',
          tries: 2,
        });
      const verdict = await verify();
      expect(verdict).toMatchObject({ lost: 0, unexpected: 0 });
      expect(verdict.found).toBe(verdict.acknowledged);
      const { rows } = await legacy.pool.query(
        `select count(*)::int as n from kit where kit_number like 'KILLED-%'`,
      );
      expect(rows[0].n).toBe(2);
    });

    it('are told that a conditional change has not happened when somebody else has changed the kit', async () => {
      const intent = await change(1);
      await legacy.pool.query(`update kit set order_id = 'another' where id = $1`, [kit().key]);
      left(intent);
      const { entries, checks } = await write(() => true);
      expect(entries.find(({ intent: { n } }) => n === 1)?.outcome).toMatchObject({
        result: 'refused',
      });
      expect(checks.some(({ stale }) => stale)).toBe(true);
    });
  });
});
