import { type Binding, drain, flip, followNotedOwners } from '@unified-kits/data';
import type pg from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { installed, type LegacyDatabase, legacyDatabase } from '../support/legacy.ts';
import { begin, copyAll, migrateTo, parity } from '../support/migration.ts';
import { appSession } from '../support/sessions.ts';

const far = () => Date.now() + 60_000;
const GIVE = `update practitioners set user_id = md5('user33')::uuid where id = md5('practitioner3')::uuid`;
const BORN = `insert into practitioner_kits (kit_number, practitioner_id) values ('P100', md5('practitioner3')::uuid)`;

describe('a practitioner who is given to another user', () => {
  let legacy: LegacyDatabase;
  let binding: Binding;
  let giver: pg.Client;
  let writer: pg.Client;
  const stale = async () =>
    (
      await legacy.pool.query(
        `select kit_number from kits k join practitioners p on p.id = k.practitioner_id where p.user_id <> k.user_id order by 1`,
      )
    ).rows;
  beforeEach(async () => {
    legacy = await legacyDatabase(20);
    binding = await installed(legacy);
  });
  afterEach(() => legacy.drop());
  const open = async () => {
    giver = await appSession(legacy);
    writer = await appSession(legacy);
  };

  it('takes along a kit that was born and drained before the change committed', async () => {
    const batchId = await begin(legacy.db, binding);
    await copyAll(legacy.db, binding, batchId);
    await open();
    await giver.query('begin');
    await giver.query(GIVE);
    await writer.query(BORN);
    await drain(legacy.db, binding, far());
    await giver.query('commit');
    await drain(legacy.db, binding, far());
    expect(await stale()).toEqual([]);
    await flip(legacy.db, binding, { to: 'mirrored', phase: 'test', actor: 'test' });
    expect(await parity(legacy.db, binding)).toMatchObject({ mismatched: 0 });
  });

  it('costs the client one note while copying, however many kits there are', async () => {
    await begin(legacy.db, binding);
    await open();
    await giver.query(GIVE);
    expect(
      (await legacy.pool.query('select count(*)::int as noted from migration.pending_sync')).rows,
    ).toEqual([{ noted: 1 }]);
  });

  it.each(['giver', 'writer'] as const)(
    'takes along a kit born at the same moment, though neither sees the other: the %s ends last',
    async (last) => {
      await migrateTo(legacy.db, binding, 'mirrored');
      await open();
      await giver.query('begin');
      await writer.query('begin');
      const [first, second] = last === 'giver' ? [writer, giver] : [giver, writer];
      await giver.query(GIVE);
      await writer.query(BORN);
      await first.query('commit');
      await second.query('commit');
      await drain(legacy.db, binding, far());
      expect(await stale()).toEqual([]);
    },
  );

  it('takes along a kit that the writer mirrored before, and commits after', async () => {
    await migrateTo(legacy.db, binding, 'mirrored');
    await open();
    await writer.query('begin');
    await writer.query(BORN);
    await giver.query(GIVE);
    await writer.query('commit');
    await drain(legacy.db, binding, far());
    expect(await stale()).toEqual([]);
  });

  it.each(['dual-write', 'unified'] as const)(
    'takes the kits along in %s too, when one of them was locked at that moment',
    async (stage) => {
      await migrateTo(legacy.db, binding, stage);
      await open();
      await writer.query('begin');
      await writer.query(
        `select from kits where practitioner_id = md5('practitioner3')::uuid for update`,
      );
      await giver.query(GIVE);
      await writer.query('commit');
      expect(await stale()).not.toEqual([]);
      await drain(legacy.db, binding, far());
      expect(await stale()).toEqual([]);
      expect((await legacy.pool.query('select from migration.pending_sync')).rowCount).toBe(0);
    },
  );

  it('takes the kits along also in "closed", where nothing drains', async () => {
    await migrateTo(legacy.db, binding, 'closed');
    await open();
    await writer.query('begin');
    await writer.query(
      `select from kits where practitioner_id = md5('practitioner3')::uuid for update`,
    );
    await giver.query(GIVE);
    expect(await followNotedOwners(legacy.db, binding)).toBe(0);
    await writer.query('commit');
    expect(await stale()).not.toEqual([]);
    expect(await followNotedOwners(legacy.db, binding)).toBe(1);
    expect(await stale()).toEqual([]);
    expect((await legacy.pool.query('select from migration.pending_sync')).rowCount).toBe(0);
  });

  it('takes along a kit born in kits at the same moment', async () => {
    await migrateTo(legacy.db, binding, 'dual-write');
    await open();
    await writer.query('begin');
    await writer.query(
      `insert into kits (kit_number, owner_type, practitioner_id, status) values ('P100', 'practitioner', md5('practitioner3')::uuid, 'created')`,
    );
    await giver.query(GIVE);
    await writer.query('commit');
    await drain(legacy.db, binding, far());
    expect(await stale()).toEqual([]);
  });

  it('takes them along when a trigger of the organisation changes the user', async () => {
    await migrateTo(legacy.db, binding, 'mirrored');
    await legacy.pool.query(`
      create function own() returns trigger language plpgsql as $f$ begin new.user_id := md5('user33')::uuid; return new; end $f$;
      alter table practitioners add column city text;
      create trigger own before update on practitioners for each row execute function own()`);
    await open();
    await giver.query(
      `update practitioners set city = 'Bonn' where id = md5('practitioner3')::uuid`,
    );
    expect(await stale()).toEqual([]);
  });

  it('has a difference that parity finds repaired while kits is authoritative', async () => {
    await migrateTo(legacy.db, binding, 'dual-write');
    await legacy.pool.query(
      `update kits set user_id = md5('user44')::uuid where kit_number = 'P3'`,
    );
    expect(await parity(legacy.db, binding)).toMatchObject({ mismatched: 1 });
    await drain(legacy.db, binding, far());
    expect(await parity(legacy.db, binding)).toMatchObject({ mismatched: 0 });
  });
});
