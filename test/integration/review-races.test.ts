import {
  assertNotStuck,
  type Binding,
  beginParity,
  compactBacklog,
  deleteBatch,
  drain,
  endBatch,
  enterDrain,
  flip,
  parityLane,
  proveRolledBack,
  syncTaken,
} from '@unified-kits/data';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { installed, type LegacyDatabase, legacyDatabase } from '../support/legacy.ts';
import { migrateTo, parity } from '../support/migration.ts';
import { appSession } from '../support/sessions.ts';

const far = () => Date.now() + 60_000;
const operator = { phase: 'test', actor: 'test' };

describe('what works beside what', () => {
  let legacy: LegacyDatabase;
  let binding: Binding;
  const run = async (sql: string) => (await legacy.pool.query(sql)).rows;
  beforeEach(async () => {
    legacy = await legacyDatabase(20);
    binding = await installed(legacy);
  });
  afterEach(() => legacy.drop());

  it('keeps a key that was noted again while a drain had taken it, when the backlog is compacted meanwhile', async () => {
    await migrateTo(legacy.db, binding, 'unified');
    const app = await appSession(legacy);
    await app.query(`update kits set status = 'registered' where kit_number = 'K1'`);
    const drainer = await legacy.client();
    await drainer.query('begin');
    await enterDrain(drainer);
    await drainer.query('set local role kits_owner; delete from migration.pending_sync');
    await syncTaken(drainer, binding, 'kits-to-legacy', new Map([['kit', ['1']]]), false);
    // After the drain has read the row, and before it commits:
    await app.query(`update kits set status = 'completed' where kit_number = 'K1'`);
    await legacy.db.transaction({ asEngine: true }, compactBacklog);
    await drainer.query('commit');
    await drain(legacy.db, binding, far());
    expect(await run(`select status from kit where kit_number = 'K1'`)).toEqual([
      { status: 'completed' },
    ]);
  });

  it('a comparison that outlives its stage notes nothing for the next one', async () => {
    const batchId = await migrateTo(legacy.db, binding, 'mirrored');
    const runId = await beginParity(legacy.db, binding, operator);
    await flip(legacy.db, binding, { to: 'legacy', ...operator });
    await deleteBatch(legacy.db, binding, batchId, far());
    // The lane of a cutover whose operator rolls it back.
    await parityLane(legacy.db, binding, runId, far());
    await legacy.db.transaction({ asEngine: true }, (session) =>
      endBatch(session, batchId, 'rolled-back', 'test', 'test'),
    );
    expect(
      await legacy.db.transaction({ asEngine: true }, (session) =>
        proveRolledBack(session, binding, batchId),
      ),
    ).toMatchObject({ backlogLeft: 0, rowsLeft: 0 });
  });

  it('tells a row that a client holds from one that is at fault', async () => {
    await migrateTo(legacy.db, binding, 'mirrored');
    const app = await appSession(legacy);
    await app.query(`begin`);
    await app.query(`update kit set status = 'completed' where kit_number = 'K1'`);
    await run(
      `insert into migration.pending_sync (source, legacy_id, cause) values ('kit', '1', 'parity')`,
    );
    expect(await drain(legacy.db, binding, far())).toMatchObject({ stuck: 1 });
    await expect(assertNotStuck(legacy.db)).rejects.toMatchObject({
      name: 'CopyYielded',
      message: expect.stringContaining('kit 1'),
    });
    await run(
      `insert into migration.pending_sync (source, legacy_id, cause, error) values ('kit', '2', 'stuck', '23505 kits_kit_number_key')`,
    );
    await expect(assertNotStuck(legacy.db)).rejects.toMatchObject({ name: 'BacklogStuck' });
    await app.query('commit');
    expect(await drain(legacy.db, binding, far())).toMatchObject({ stuck: 0 });
    await assertNotStuck(legacy.db);
  });

  it('clears the backlog with the batch when the flip died before it did', async () => {
    const batchId = await migrateTo(legacy.db, binding, 'mirrored');
    await flip(legacy.db, binding, { to: 'legacy', ...operator });
    await run(
      `insert into migration.pending_sync (source, legacy_id, cause) values ('kit', '1', 'capture')`,
    );
    await deleteBatch(legacy.db, binding, batchId, far());
    expect(
      await legacy.db.transaction({ asEngine: true }, (session) =>
        proveRolledBack(session, binding, batchId),
      ),
    ).toMatchObject({ backlogLeft: 0, rowsLeft: 0 });
  });

  it('gives authority back although a suspended trigger of the organisation has gone meanwhile', async () => {
    await run(`create function own() returns trigger language plpgsql as $f$ begin return new; end $f$;
      create trigger own_a before update on kit for each row execute function own();
      create trigger own_b before update on kit for each row execute function own()`);
    binding = await installed(legacy);
    await migrateTo(legacy.db, binding, 'dual-write');
    await run('drop trigger own_a on kit');
    await parity(legacy.db, binding);
    await flip(legacy.db, binding, { to: 'mirrored', ...operator });
    expect(await run(`select tgname, tgenabled from pg_trigger where tgname like 'own%'`)).toEqual([
      { tgname: 'own_b', tgenabled: 'O' },
    ]);
  });
});
