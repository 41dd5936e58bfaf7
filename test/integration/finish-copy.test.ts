import { buildSecondaryIndexes, openDatabase, SECONDARY_INDEXES } from '@unified-kits/data';
import type pg from 'pg';
import { expect, it } from 'vitest';
import { installed, legacyDatabase } from '../support/legacy.ts';
import { begin } from '../support/migration.ts';
import { until, WAITING } from '../support/sessions.ts';

it('has an index whose builder was gone before the server had built it', async () => {
  const legacy = await legacyDatabase(100);
  const worker = openDatabase(legacy.url, 1);
  try {
    const binding = await installed(legacy);
    await begin(legacy.db, binding);
    const present = async () =>
      (
        await legacy.pool.query(
          `select relname from pg_class where relname = any ($1::text[]) order by 1`,
          [SECONDARY_INDEXES.map(({ name }) => name)],
        )
      ).rowCount;
    const connections: pg.PoolClient[] = [];
    worker.pool.on('connect', (client) => connections.push(client));

    const holder = await legacy.client();
    await holder.query('begin; lock table kits in share row exclusive mode');
    const building = buildSecondaryIndexes(worker, binding);
    const failure = expect(building).rejects.toThrow();
    await until(legacy, WAITING);
    // As when a function is ended: its socket closes, and the server does not notice before it answers.
    for (const connection of connections) (connection as unknown as pg.Client).end();
    await failure;
    expect(await present()).toBe(0);
    await holder.query('commit');
    await expect.poll(present, { timeout: 10_000 }).toBe(1);

    await buildSecondaryIndexes(legacy.db, binding);
    expect(await present()).toBe(SECONDARY_INDEXES.length);
  } finally {
    await worker.close().catch(() => {});
    await legacy.drop();
  }
});
