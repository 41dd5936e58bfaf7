import {
  type Binding,
  beginBatch,
  type Database,
  deleteBatch,
  drain,
  endBatch,
  flip,
  followNotedOwners,
} from '@unified-kits/data';
import type pg from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { installed, type LegacyDatabase, legacyDatabase } from '../support/legacy.ts';
import { copyAll, migrateTo } from '../support/migration.ts';
import { appSession, until, WAITING } from '../support/sessions.ts';

/*
 * Faults that the model of the protocol (test/model) has found, as its defects "batch of the snapshot", "flip
 * begins an ended batch" and "rollback judges without a lock", on a real server.
 */

const far = () => Date.now() + 60_000;
const operator = { phase: 'test', actor: 'test' };

describe('a transaction whose snapshot is older than the batch', () => {
  let legacy: LegacyDatabase;
  let binding: Binding;
  let app: pg.Client;
  beforeEach(async () => {
    legacy = await legacyDatabase(20);
    binding = await installed(legacy);
    app = await appSession(legacy);
    await app.query('begin isolation level repeatable read');
    await app.query('select 1 from users limit 1');
  });
  afterEach(() => legacy.drop());

  /** What a rollback from "mirrored" leaves in kits. */
  const leftAfterRollback = async (batchId: string) => {
    await drain(legacy.db, binding, far());
    await flip(legacy.db, binding, { to: 'legacy', ...operator });
    await deleteBatch(legacy.db, binding, batchId, far());
    return (await legacy.pool.query('select kit_number, migration_batch_id as batch from kits'))
      .rows;
  };

  it('writes to legacy, and its mirrored kit goes with the batch', async () => {
    const batchId = await migrateTo(legacy.db, binding, 'mirrored');
    await app.query(
      `insert into kit (kit_number, user_id, status) values ('LATE', md5('user1')::uuid, 'created')`,
    );
    await app.query('commit');
    expect(await leftAfterRollback(batchId)).toEqual([]);
  });

  it('writes to kits, and its kit goes with the batch', async () => {
    const batchId = await migrateTo(legacy.db, binding, 'dual-write');
    await app.query(
      `insert into kits (kit_number, owner_type, user_id, status) values ('LATE', 'client', md5('user1')::uuid, 'created')`,
    );
    await app.query('commit');
    await drain(legacy.db, binding, far());
    await flip(legacy.db, binding, { to: 'mirrored', ...operator });
    expect(await leftAfterRollback(batchId)).toEqual([]);
  });

  it('writes with the plans that its session made in the batch before, and its kit goes with the new one', async () => {
    await app.query('commit');
    const before = await migrateTo(legacy.db, binding, 'mirrored');
    const insert = (number: string) =>
      app.query(
        `insert into kit (kit_number, user_id, status) values ($1, md5('user1')::uuid, 'created')`,
        [number],
      );
    // Often enough for a generic plan.
    for (let n = 0; n < 8; n += 1) await insert(`BEFORE ${n}`);
    expect(await leftAfterRollback(before)).toEqual([]);
    await legacy.db.transaction({ asEngine: true }, (session) =>
      endBatch(session, before, 'rolled-back', 'test', 'test'),
    );
    await app.query('begin isolation level repeatable read');
    await app.query('select 1 from users limit 1');
    const batchId = await migrateTo(legacy.db, binding, 'mirrored');
    await insert('LATE');
    await app.query('commit');
    expect(await leftAfterRollback(batchId)).toEqual([]);
  });

  it('bears a kit in kits for the user whom its practitioner has by now', async () => {
    await migrateTo(legacy.db, binding, 'unified');
    await legacy.pool.query(
      `update practitioners set user_id = md5('user33')::uuid where id = md5('practitioner3')::uuid`,
    );
    await app.query(
      `insert into kits (kit_number, owner_type, practitioner_id, status) values ('LATE', 'practitioner', md5('practitioner3')::uuid, 'created')`,
    );
    await app.query('commit');
    await followNotedOwners(legacy.db, binding);
    const { rows } = await legacy.pool.query(
      'select k.kit_number from kits k join practitioners p on p.id = k.practitioner_id where p.user_id <> k.user_id',
    );
    expect(rows).toEqual([]);
  });
});

describe('a rollback beside a cutover that begins', () => {
  let legacy: LegacyDatabase;
  let binding: Binding;
  let batchId: string;
  beforeEach(async () => {
    legacy = await legacyDatabase(20);
    binding = await installed(legacy);
    const batch = await legacy.db.transaction({ asEngine: true }, (session) =>
      beginBatch(session, binding, { kind: 'full', reportId: null, ...operator }),
    );
    batchId = batch.id;
  });
  afterEach(() => legacy.drop());

  it('a flip begins no batch that was rolled back meanwhile', async () => {
    await deleteBatch(legacy.db, binding, batchId, far());
    await legacy.db.transaction({ asEngine: true }, (session) =>
      endBatch(session, batchId, 'rolled-back', 'test', 'test'),
    );
    await expect(
      flip(legacy.db, binding, { to: 'copying', batchId, ...operator }),
    ).rejects.toMatchObject({ name: 'FlipRefused' });
  });

  it('no row of the batch is deleted once a stage needs it', async () => {
    let cutover: Promise<void> | undefined;
    const beginsAndCopies = async () => {
      await flip(legacy.db, binding, { to: 'copying', batchId, ...operator });
      await copyAll(legacy.db, binding, batchId);
    };
    /** Between the look at the stage and the deletion: the cutover goes on, or waits for the deletion. */
    const interrupted = (session: pg.ClientBase): pg.ClientBase =>
      new Proxy(session, {
        get: (target, name) =>
          name !== 'query'
            ? Reflect.get(target, name)
            : async (text: string, values?: unknown[]) => {
                if (text.startsWith('delete from') && cutover === undefined) {
                  cutover = beginsAndCopies();
                  await Promise.race([cutover, until(legacy.db, WAITING)]);
                }
                return target.query(text, values);
              },
      });
    const rollbackDb: Database = {
      ...legacy.db,
      transaction: (options, work) =>
        legacy.db.transaction(options, (session) => work(interrupted(session))),
    };
    await deleteBatch(rollbackDb, binding, batchId, far()).catch((error: Error) => {
      expect(error.name).toBe('RollbackRefused');
    });
    await cutover;
    const { rows } = await legacy.pool.query(
      `select (select count(*)::int from kits) as copied, (select count(*)::int from migration.chunk where done_at is null) as open`,
    );
    expect(rows).toEqual([{ copied: 40, open: 0 }]);
  });
});
