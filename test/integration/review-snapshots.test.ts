import { type Binding, drain, flip } from '@unified-kits/data';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { installed, type LegacyDatabase, legacyDatabase } from '../support/legacy.ts';
import { begin, copyAll, migrateTo, parity } from '../support/migration.ts';
import { appSession } from '../support/sessions.ts';

const far = () => Date.now() + 60_000;

describe('a transaction whose snapshot is older than the row in the other store', () => {
  let legacy: LegacyDatabase;
  let binding: Binding;
  beforeEach(async () => {
    legacy = await legacyDatabase(20);
    binding = await installed(legacy);
  });
  afterEach(() => legacy.drop());

  it.each(['repeatable read', 'serializable'])(
    'deletes a kit in kits too, at %s, when the copy came between',
    async (level) => {
      const batchId = await begin(legacy.db, binding);
      const app = await appSession(legacy);
      await app.query(`begin isolation level ${level}`);
      await app.query('select 1 from users limit 1');
      await copyAll(legacy.db, binding, batchId);
      await drain(legacy.db, binding, far());
      await flip(legacy.db, binding, { to: 'mirrored', phase: 'test', actor: 'test' });
      // Its snapshot has the legacy row, and not yet the row of kits.
      expect((await app.query(`delete from kit where kit_number = 'K1'`)).rowCount).toBe(1);
      await app.query(`update kit set id = 1000 where kit_number = 'K2'`);
      await app.query('commit');
      await drain(legacy.db, binding, far());
      expect((await legacy.pool.query(`select from kits where kit_number = 'K1'`)).rowCount).toBe(
        0,
      );
      expect(await parity(legacy.db, binding)).toMatchObject({ mismatched: 0 });
    },
  );

  it('deletes a kit in the legacy table too, when the drain wrote it there in between', async () => {
    await migrateTo(legacy.db, binding, 'unified');
    const app = await appSession(legacy);
    await app.query(
      `insert into kits (kit_number, owner_type, user_id, status) values ('U1', 'client', md5('user1')::uuid, 'created')`,
    );
    await app.query('begin isolation level repeatable read');
    await app.query(`select 1 from users limit 1`);
    await drain(legacy.db, binding, far());
    await flip(legacy.db, binding, { to: 'dual-write', phase: 'test', actor: 'test' });
    expect((await app.query(`delete from kits where kit_number = 'U1'`)).rowCount).toBe(1);
    await app.query('commit');
    await drain(legacy.db, binding, far());
    expect((await legacy.pool.query(`select from kit where kit_number = 'U1'`)).rowCount).toBe(0);
  });
});
