import { deleteBatch, flip, planCopy, SECONDARY_INDEXES } from '@unified-kits/data';
import { expect, it } from 'vitest';
import { installed, legacyDatabase } from '../support/legacy.ts';
import { begin, copyAll } from '../support/migration.ts';

it('begins a second batch as the first: without the indexes that are built after, in an empty table', async () => {
  const legacy = await legacyDatabase(300);
  try {
    const binding = await installed(legacy);
    const ids = async () =>
      (await legacy.pool.query('select source, legacy_id, id from kits order by 1, 2')).rows;
    const present = async () =>
      (
        await legacy.pool.query(
          `select indexrelid::regclass::text as name from pg_index where indrelid = 'kits'::regclass`,
        )
      ).rows.map(({ name }) => name);

    const first = await begin(legacy.db, binding);
    await copyAll(legacy.db, binding, first);
    const before = await ids();
    await flip(legacy.db, binding, { to: 'legacy', phase: 'test', actor: 'test' });
    await deleteBatch(legacy.db, binding, first, Date.now() + 60_000);
    const size = await legacy.pool.query(`select pg_relation_size('kits')::int as bytes`);
    expect(size.rows[0].bytes).toBe(0);
    await legacy.db.transaction({ asEngine: true }, (session) =>
      session.query(`update migration.batch set ended_at = now(), outcome = 'rolled-back'`),
    );

    const second = await begin(legacy.db, binding);
    await planCopy(legacy.db, binding, second, 'test');
    for (const { name } of SECONDARY_INDEXES) expect(await present()).not.toContain(name);
    await copyAll(legacy.db, binding, second);
    for (const { name } of SECONDARY_INDEXES) expect(await present()).toContain(name);
    expect(await ids()).toEqual(before);
  } finally {
    await legacy.drop();
  }
});
