import { describe, expect, it } from 'vitest';
import { freshDatabase } from '../support/database.ts';

describe('a fresh test database', () => {
  it('is cloned from a template that is built once', async () => {
    let built = 0;
    const template = {
      name: 'local-postgres.test: one table',
      async build(url: string) {
        built += 1;
        const { default: pg } = await import('pg');
        const client = new pg.Client({ connectionString: url });
        await client.connect();
        await client.query('create table t as select 1 as one');
        await client.end();
      },
    };
    const [a, b] = await Promise.all([freshDatabase({ template }), freshDatabase({ template })]);
    expect(built).toBe(1);
    expect((await a.pool.query('select one from t')).rows).toEqual([{ one: 1 }]);
    expect((await (await b.client()).query('select one from t')).rows).toEqual([{ one: 1 }]);
    await Promise.all([a.drop(), b.drop()]);
  });
});
