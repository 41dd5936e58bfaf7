import { copyLane, DEFAULT_HEALTH_LIMITS, planCopy, watchHealth } from '@unified-kits/data';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { installed, type LegacyDatabase, legacyDatabase } from '../support/legacy.ts';
import { begin } from '../support/migration.ts';

describe("the database's health", () => {
  let legacy: LegacyDatabase;
  beforeAll(async () => {
    legacy = await legacyDatabase(300);
  });
  afterAll(() => legacy.drop());
  const ask = (watch: ReturnType<typeof watchHealth>) => legacy.db.transaction({}, watch);

  it('gives no reason to wait on a quiet server', async () => {
    const watch = watchHealth();
    expect(await ask(watch)).toBeUndefined();
    expect(await ask(watch)).toBeUndefined();
  });

  it('names the session whose transaction is too old', async () => {
    const old = await legacy.client();
    await old.query('begin');
    const { rows } = await old.query('select pg_backend_pid() as pid');
    await new Promise((resolve) => setTimeout(resolve, 50));
    const watch = watchHealth({ ...DEFAULT_HEALTH_LIMITS, transactionSeconds: 0.01 });
    expect(await ask(watch)).toContain(`pid ${rows[0].pid}`);
    await old.end();
  });

  it('sees WAL that is written faster than the limit between two looks', async () => {
    const watch = watchHealth({ ...DEFAULT_HEALTH_LIMITS, walBytesPerSecond: 1_000 });
    expect(await ask(watch)).toBeUndefined();
    await legacy.pool.query(
      `create table noise as select md5(n::text) from generate_series(1, 20000) n`,
    );
    await new Promise((resolve) => setTimeout(resolve, 250));
    expect(await ask(watch)).toMatch(/^WAL is written at/);
  });

  it('makes a lane wait, and the lane says what for', async () => {
    const binding = await installed(legacy);
    const batchId = await begin(legacy.db, binding);
    await planCopy(legacy.db, binding, batchId, 'test');
    let asked = 0;
    const result = await copyLane(legacy.db, binding, {
      batchId,
      deadline: Date.now() + 30_000,
      rowsPerSecond: async () => undefined,
      unwell: async () => {
        asked += 1;
        return asked === 1 ? 'a replica lags' : undefined;
      },
    });
    expect(result).toMatchObject({ rows: 600, done: true, waitedFor: 'a replica lags' });
    expect(result.waitedMs).toBeGreaterThan(0);
  });
});
