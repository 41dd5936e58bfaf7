import { exclusively, openDatabase } from '@unified-kits/data';
import { expect, it } from 'vitest';
import { freshDatabase } from '../support/database.ts';

it('outlives a server that ends its connections at every moment of their lives', async () => {
  const database = await freshDatabase();
  const db = openDatabase(database.url, 4);
  const stray: unknown[] = [];
  const listen = (error: unknown) => {
    stray.push(error);
  };
  process.on('uncaughtException', listen).on('unhandledRejection', listen);
  const until = Date.now() + 3_000;
  const counts = { done: 0, failed: 0 };
  const work = async (name: string) => {
    while (Date.now() < until)
      try {
        await exclusively(db, name, 100, () => db.query('select 1'));
        counts.done += 1;
      } catch {
        counts.failed += 1;
      }
  };
  const end = async () => {
    while (Date.now() < until)
      await database.pool.query(
        `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name = 'unified-kits'`,
      );
  };
  try {
    await Promise.all([work('one'), work('two'), work('three'), end()]);
    expect(counts.failed).toBeGreaterThan(0);
    expect(stray).toEqual([]);
    expect(await db.query('select 1 as n')).toEqual([{ n: 1 }]);
  } finally {
    process.off('uncaughtException', listen).off('unhandledRejection', listen);
    await db.close();
    await database.drop();
  }
});
