import { activeBatch, type Binding, drain, endBatch, flip, rehearse } from '@unified-kits/data';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { installed, type LegacyDatabase, legacyDatabase } from '../support/legacy.ts';
import { migrateTo } from '../support/migration.ts';
import { appSession } from '../support/sessions.ts';

const far = () => Date.now() + 60_000;
const NOBODYS = `insert into kits (kit_number, owner_type, user_id, status) values ('U1', 'client', gen_random_uuid(), 'created')`;
const ANYBODYS = `insert into kits (kit_number, owner_type, user_id, status) values ('U2', 'client', md5('user1')::uuid, 'created')`;

describe('a legacy constraint that is checked at the end of a transaction', () => {
  let legacy: LegacyDatabase;
  let binding: Binding;
  const noted = async () =>
    (await legacy.pool.query('select source, error from migration.pending_sync')).rows;
  beforeEach(async () => {
    legacy = await legacyDatabase(20);
    await legacy.pool.query(
      `alter table kit add constraint "kit's user" foreign key (user_id) references users deferrable initially deferred`,
    );
    binding = await installed(legacy);
  });
  afterEach(() => legacy.drop());

  it("does not break a client's commit when the mirror violates it", async () => {
    await migrateTo(legacy.db, binding, 'dual-write');
    const app = await appSession(legacy);
    await app.query('begin');
    await app.query(NOBODYS);
    await app.query(ANYBODYS);
    await app.query('commit');
    expect(await noted()).toEqual([{ source: 'kit', error: "23503 kit's user" }]);
    expect(
      (await legacy.pool.query(`select kit_number from kit where kit_number like 'U%'`)).rows,
    ).toEqual([{ kit_number: 'U2' }]);
  });

  it('has the drain name the key that violates it, and bring all others into step', async () => {
    await migrateTo(legacy.db, binding, 'unified');
    const app = await appSession(legacy);
    await app.query(NOBODYS);
    await app.query(ANYBODYS);
    expect(await drain(legacy.db, binding, far())).toMatchObject({ synced: 1, stuck: 1 });
    expect(await noted()).toEqual([{ source: 'kit', error: "23503 kit's user" }]);
    await expect(
      flip(legacy.db, binding, { to: 'dual-write', phase: 'test', actor: 'test' }),
    ).rejects.toMatchObject({ name: 'FlipRefused' });
  });
});

it('refuses to rehearse in any stage but "legacy", and leaves no canary behind', async () => {
  const legacy = await legacyDatabase(20);
  try {
    const binding = await installed(legacy);
    const batchId = await migrateTo(legacy.db, binding, 'closed');
    await legacy.db.transaction({ asEngine: true }, (session) =>
      endBatch(session, batchId, 'closed', 'test', 'test'),
    );
    await expect(
      rehearse(legacy.db, binding, { rows: 5, actor: 'test', reportId: null }),
    ).rejects.toMatchObject({ name: 'RehearsalFailed' });
    expect(await legacy.db.transaction({ asEngine: true }, activeBatch)).toBeUndefined();
  } finally {
    await legacy.drop();
  }
});
