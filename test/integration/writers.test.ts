import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { SSMClient } from '@aws-sdk/client-ssm';
import { type Binding, bindMapping, drain, flip } from '@unified-kits/data';
import type { Stage } from '@unified-kits/domain';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FlagStore } from '../../functions/runtime/flag-store.ts';
import { type LocalAws, startLocalAws } from '../../infra/local/aws/start.ts';
import { openLedger, readLedger } from '../../infra/local/writers/ledger.ts';
import { dropWriterLogin, writerLogin } from '../../infra/local/writers/login.ts';
import { type WritersPlan, writersPlan } from '../../infra/local/writers/plan.ts';
import { newCounters, startWriters } from '../../infra/local/writers/start-writers.ts';
import { verifyLedger } from '../../infra/local/writers/verify-ledger.ts';
import { installed, type LegacyDatabase, legacyDatabase } from '../support/legacy.ts';
import { begin, copyAll, parity } from '../support/migration.ts';

const far = () => Date.now() + 60_000;

describe('writers that follow the fence', () => {
  let legacy: LegacyDatabase;
  let binding: Binding;
  let aws: LocalAws;
  let ssm: SSMClient;
  let directory: string;
  let writerUrl: string;
  let plan: WritersPlan;
  const flags = () => new FlagStore(ssm, 'test');
  const flipTo = (to: Stage) => flip(legacy.db, binding, { to, phase: 'test', actor: 'test' });

  beforeEach(async () => {
    legacy = await legacyDatabase(400);
    binding = await installed(legacy);
    aws = await startLocalAws();
    const { endpoint, region, credentials } = aws;
    ssm = new SSMClient({ endpoint, region, credentials });
    await flags().ensure();
    directory = await mkdtemp(join(tmpdir(), 'kits-writers-'));
    writerUrl = await writerLogin(legacy.db, binding, legacy.url);
    plan = await writersPlan(legacy.db, binding, { directory, writerUrl, writers: 2 });
  });
  afterEach(async () => {
    ssm.destroy();
    await aws.stop();
    await dropWriterLogin(legacy.db);
    await legacy.drop();
    await rm(directory, { recursive: true, force: true });
  });
  const start = (counters = newCounters()) =>
    startWriters(plan, { directory, url: writerUrl, flags, rate: 100, seed: 1, counters });

  it('lose no acknowledged write from legacy to closed and back to legacy', async () => {
    const writers = await start();
    const batchId = await begin(legacy.db, binding);
    await copyAll(legacy.db, binding, batchId);
    await drain(legacy.db, binding, far());
    await flipTo('mirrored');
    expect(await parity(legacy.db, binding)).toMatchObject({ mismatched: 0 });
    await flags().write({ unifiedReads: true });
    for (const to of ['dual-write', 'unified', 'closed'] as const) {
      await flipTo(to);
      if (to === 'dual-write') await flags().write({ dualWrite: true, unifiedWrites: true });
      await sleep(500);
    }
    await writers.stop();
    expect(writers.fault()).toBeUndefined();
    const forward = await verifyLedger(legacy.db, plan.shapes, await readLedger(directory), 'kits');
    expect(forward).toMatchObject({ lost: 0, unexpected: 0 });
    expect(forward.acknowledged).toBeGreaterThan(100);
    expect(writers.counters.redirected).toBeGreaterThan(0);
    expect(writers.counters.staleReads).toBe(0);
    expect(writers.counters.unknown).toBe(0);

    const back = await start(newCounters());
    await flipTo('unified');
    await parity(legacy.db, binding);
    await drain(legacy.db, binding, far());
    await flipTo('dual-write');
    await sleep(300);
    await flipTo('mirrored');
    await flags().write({ unifiedWrites: false, unifiedReads: false, dualWrite: false });
    await sleep(300);
    await flipTo('legacy');
    await sleep(200);
    await back.stop();
    expect(back.fault()).toBeUndefined();
    const backward = await verifyLedger(
      legacy.db,
      plan.shapes,
      await readLedger(directory),
      'legacy',
    );
    expect(backward).toMatchObject({ lost: 0, unexpected: 0 });
    expect(backward.acknowledged).toBeGreaterThan(forward.acknowledged);
  });

  it('never connect as the engine', async () => {
    const client = await legacy.client();
    const { rows } = await client.query(
      `select pg_has_role($1, 'kits_app', 'member') as app, pg_has_role($1, 'kits_owner', 'member') as engine`,
      [new URL(writerUrl).username],
    );
    expect(rows[0]).toEqual({ app: true, engine: false });
  });

  it('find out by trying what a table lets them write', async () => {
    await legacy.pool.query(`
      alter table kit add constraint numbers check (kit_number ~ '^K[0-9]+$');
      alter table kit add constraint orders check (order_id ~ '^O[0-9]+$');
      alter table kit add constraint kinds check (kit_type in ('DNA', 'GUT'));
      alter table kit add constraint living check (status <> 'cancelled');
      alter table practitioner_kits add column barcode text unique;
      update practitioner_kits set barcode = kit_number`);
    const rebound = await legacy.db.transaction({}, (session) =>
      bindMapping(session, legacy.mapping),
    );
    const fresh = await mkdtemp(join(tmpdir(), 'kits-writers-'));
    try {
      const { shapes } = await writersPlan(legacy.db, rebound, {
        directory: fresh,
        writerUrl,
        writers: 1,
      });
      expect(shapes.kit).toMatchObject({ token: { legacyColumn: 'notes' }, inserts: false });
      expect(shapes.kit?.statuses.map(({ legacy: status }) => status)).not.toContain('cancelled');
      expect(shapes.kit?.statuses.length).toBe(7);
      expect(shapes.practitioner_kits).toMatchObject({
        token: { legacyColumn: 'order_id' },
        inserts: true,
      });
    } finally {
      await rm(fresh, { recursive: true, force: true });
    }
  });

  it('give each row to one writer only', () => {
    for (const source of ['kit', 'practitioner_kits'] as const) {
      const all = plan.keys[source].flat();
      expect(all.length).toBe(400);
      expect(new Set(all).size).toBe(all.length);
    }
  });

  it('are found out when a row they were told of is changed, removed or doubled behind their back', async () => {
    const writers = await start();
    await sleep(1_500);
    await writers.stop();
    const entries = await readLedger(directory);
    expect(await verifyLedger(legacy.db, plan.shapes, entries, 'legacy')).toMatchObject({
      lost: 0,
      unexpected: 0,
    });
    const inserted = entries.filter(
      ({ intent, outcome }) =>
        intent.op === 'insert' && outcome?.result === 'ok' && intent.source === 'kit',
    );
    const deleted = new Set(
      entries.flatMap(({ intent }) =>
        intent.op === 'delete' ? [`${intent.source}:${intent.key}`] : [],
      ),
    );
    const [gone, changed, twice] = inserted
      .map(({ outcome }) => outcome?.key)
      .filter((key) => !deleted.has(`kit:${key}`));
    await legacy.pool.query('delete from kit where id = $1', [gone]);
    await legacy.pool.query(`update kit set order_id = 'another' where id = $1`, [changed]);
    await legacy.pool.query(
      'insert into kit (kit_number, user_id, order_id, status) select kit_number, user_id, order_id, status from kit where id = $1',
      [twice],
    );
    expect(await verifyLedger(legacy.db, plan.shapes, entries, 'legacy')).toMatchObject({
      lost: 2,
      unexpected: 1,
      keys: expect.arrayContaining([`kit:${gone}`, `kit:${changed}`, `kit:${twice}`]),
    });
  });

  it('leave a ledger from which a killed process is told apart from a failed write', async () => {
    const ledger = openLedger(directory, 7);
    const content = { token: 'w7-000001', status: 'created' };
    const [key] = (
      await legacy.pool.query('select id::text from kit order by id limit 1')
    ).rows.map(({ id }) => id);
    ledger.append({
      kind: 'intent',
      n: 1,
      op: 'update',
      source: 'kit',
      key,
      number: null,
      content,
    });
    ledger.append({ kind: 'outcome', n: 1, result: 'ok', store: 'legacy', key, ms: 1 });
    ledger.append({
      kind: 'intent',
      n: 2,
      op: 'update',
      source: 'kit',
      key,
      number: null,
      content: { ...content, token: 'w7-000002' },
    });
    ledger.close();
    const verify = async () =>
      verifyLedger(legacy.db, plan.shapes, await readLedger(directory), 'legacy');
    const set = (token: string) =>
      legacy.pool.query(`update kit set order_id = $2, status = 'created' where id = $1`, [
        key,
        token,
      ]);
    expect(await verify()).toMatchObject({ acknowledged: 1, lost: 1 });
    for (const token of ['w7-000001', 'w7-000002']) {
      await set(token);
      expect(await verify()).toMatchObject({ acknowledged: 1, found: 1, lost: 0 });
    }
  });
});
