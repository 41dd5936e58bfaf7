import { type Binding, drain, flip } from '@unified-kits/data';
import type { Stage } from '@unified-kits/domain';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { installed, type LegacyDatabase, legacyDatabase } from '../support/legacy.ts';
import { begin, copyAll, migrateTo, parity } from '../support/migration.ts';
import { appSession } from '../support/sessions.ts';

const far = () => Date.now() + 60_000;

describe('what belongs to the organisation', () => {
  let legacy: LegacyDatabase;
  let binding: Binding;
  const run = async (sql: string) => (await legacy.pool.query(sql)).rows;
  const flipTo = (to: Stage) => flip(legacy.db, binding, { to, phase: 'test', actor: 'test' });
  const exact = async () =>
    expect(await parity(legacy.db, binding)).toMatchObject({ mismatched: 0, done: true });
  beforeEach(async () => {
    legacy = await legacyDatabase(20);
    binding = await installed(legacy);
  });
  afterEach(() => legacy.drop());

  describe('a practitioner who is given to another user takes the kits along', () => {
    const give = async (practitioner: number, user: number) => {
      const app = await appSession(legacy);
      await app.query(
        `update practitioners set user_id = md5('user${user}')::uuid where id = md5('practitioner${practitioner}')::uuid`,
      );
      await app.end();
    };
    const owners = async (practitioner: number) =>
      run(
        `select distinct user_id from kits where practitioner_id = md5('practitioner${practitioner}')::uuid`,
      );
    const user = async (n: number) => run(`select md5('user${n}')::uuid as user_id`);

    it('while copying, on either side of the cursor', async () => {
      const batchId = await begin(legacy.db, binding);
      await give(1, 31);
      await copyAll(legacy.db, binding, batchId);
      await give(2, 32);
      await give(1, 41);
      expect(await owners(2)).toEqual(await user(2));
      await drain(legacy.db, binding, far());
      expect(await owners(1)).toEqual(await user(41));
      expect(await owners(2)).toEqual(await user(32));
      await flipTo('mirrored');
      await exact();
    });

    it('at once in every later stage, and without another change of the legacy row', async () => {
      await migrateTo(legacy.db, binding, 'mirrored');
      await give(1, 31);
      expect(await owners(1)).toEqual(await user(31));
      await exact();
      await flipTo('dual-write');
      await give(1, 32);
      expect(await owners(1)).toEqual(await user(32));
      await exact();
      await flipTo('unified');
      await give(1, 33);
      expect(await owners(1)).toEqual(await user(33));
      await drain(legacy.db, binding, far());
      await flipTo('dual-write');
      await flipTo('mirrored');
      await exact();
    });

    it('and a kit that is given to another practitioner goes to that one’s user', async () => {
      await migrateTo(legacy.db, binding, 'mirrored');
      await run(
        `update practitioner_kits set practitioner_id = md5('practitioner7')::uuid where kit_number = 'P1'`,
      );
      expect(await run(`select user_id from kits where kit_number = 'P1'`)).toEqual(await user(7));
      await exact();
    });

    it('and is noted when kits cannot take it: a practitioner without a user', async () => {
      await migrateTo(legacy.db, binding, 'mirrored');
      await run(`update practitioners set user_id = null where id = md5('practitioner3')::uuid`);
      expect(await run('select distinct cause, error from migration.pending_sync')).toEqual([
        { cause: 'owner', error: '23502' },
      ]);
      await give(3, 33);
      expect(await drain(legacy.db, binding, far())).toMatchObject({ stuck: 0 });
      await exact();
    });
  });

  describe('and when that meets somebody else at work', () => {
    const owner = (number: string) =>
      run(
        `select k.user_id = p.user_id as follows from kits k join practitioners p on p.id = k.practitioner_id where k.kit_number = '${number}'`,
      );
    const give = `update practitioners set user_id = md5('user44')::uuid where id = md5('practitioner1')::uuid`;

    it.each(['mirrored', 'dual-write', 'unified'] as const)(
      'follows in stage %s once a client lets the row go',
      async (stage) => {
        await migrateTo(legacy.db, binding, stage);
        const holder = await legacy.client();
        await holder.query(
          `begin; set local role kits_owner; select from kits where kit_number = 'P1' for update`,
        );
        const app = await appSession(legacy);
        await app.query(give);
        expect(await run('select distinct cause, error from migration.pending_sync')).toEqual([
          { cause: 'owner', error: '55P03' },
        ]);
        await holder.query('rollback');
        expect(await drain(legacy.db, binding, far())).toMatchObject({ stuck: 0, done: true });
        expect(await owner('P1')).toEqual([{ follows: true }]);
        await drain(legacy.db, binding, far());
        await exact();
      },
    );

    it.each(['mirrored', 'dual-write'] as const)(
      'follows in stage %s, by the next comparison, a kit that was born while the practitioner moved',
      async (stage) => {
        await migrateTo(legacy.db, binding, stage);
        const [office, app] = [await appSession(legacy), await appSession(legacy)];
        await office.query('begin');
        await office.query(give);
        await app.query(
          stage === 'mirrored'
            ? `insert into practitioner_kits (kit_number, practitioner_id) values ('BORN', md5('practitioner1')::uuid)`
            : `insert into kits (kit_number, owner_type, practitioner_id, status) values ('BORN', 'practitioner', md5('practitioner1')::uuid, 'created')`,
        );
        await office.query('commit');
        expect(await parity(legacy.db, binding)).toMatchObject({ mismatched: 1 });
        expect(await drain(legacy.db, binding, far())).toMatchObject({ stuck: 0 });
        expect(await owner('BORN')).toEqual([{ follows: true }]);
        await exact();
      },
    );
  });

  describe('its own triggers', () => {
    const OWN = `select tgrelid::regclass::text as relation, tgname as name, tgenabled::text as enabled from pg_trigger
      where not tgisinternal and tgname like 'own%' order by 2`;
    beforeEach(async () => {
      await run(`
        create table audit (id text, op text);
        create function audit() returns trigger language plpgsql as $f$ begin insert into public.audit values (coalesce(new.id, old.id)::text, tg_op); return null; end $f$;
        create function spoil() returns trigger language plpgsql as $f$ begin new.order_id := 'spoilt by a trigger'; new.updated_at := now(); return new; end $f$;
        create trigger own_enabled before update on kit for each row execute function spoil();
        create trigger own_replica before update on kit for each row execute function spoil();
        create trigger own_always before insert or update on practitioner_kits for each row execute function spoil();
        create trigger own_disabled before update on practitioner_kits for each row execute function spoil();
        create trigger "own Audit" after insert or update or delete on kit for each row execute function audit();
        alter table kit enable replica trigger own_replica;
        alter table practitioner_kits enable always trigger own_always;
        alter table practitioner_kits disable trigger own_disabled`);
      binding = await installed(legacy);
    });

    it('are off while kits leads, and then exactly as they were: O, R, A and D', async () => {
      const before = await run(OWN);
      expect(before.map(({ enabled }) => enabled).sort()).toEqual(['A', 'D', 'O', 'O', 'R']);
      await migrateTo(legacy.db, binding, 'mirrored');
      expect(await run(OWN)).toEqual(before);
      await parity(legacy.db, binding);
      for (const stage of ['dual-write', 'unified', 'dual-write'] as const) {
        await flipTo(stage);
        expect((await run(OWN)).map(({ enabled }) => enabled)).toEqual(['D', 'D', 'D', 'D', 'D']);
      }
      await flipTo('mirrored');
      expect(await run(OWN)).toEqual(before);
    });

    it('alter nothing that the mirror or the drain writes, and work as before on the way back', async () => {
      await migrateTo(legacy.db, binding, 'dual-write');
      const app = await appSession(legacy, ['kit', 'practitioner_kits', 'audit']);
      await app.query(`update kits set order_id = 'true' where kit_number in ('K1', 'P1')`);
      await app.query(
        `insert into kits (kit_number, owner_type, practitioner_id, status, order_id) values ('BORN', 'practitioner', md5('practitioner1')::uuid, 'created', 'true')`,
      );
      await flipTo('unified');
      await app.query(`update kits set order_id = 'true' where kit_number in ('K2', 'P2')`);
      await drain(legacy.db, binding, far());
      const written = `select order_id from kit where kit_number in ('K1', 'K2') union all
        select order_id from practitioner_kits where kit_number in ('P1', 'P2', 'BORN')`;
      expect(await run(written)).toEqual(Array(5).fill({ order_id: 'true' }));
      expect(await run('select count(*)::int as n from audit')).toEqual([{ n: 0 }]);
      await flipTo('dual-write');
      await flipTo('mirrored');
      await exact();
      await app.query(`update kit set notes = 'touched' where kit_number = 'K1'`);
      expect(await run(`select order_id from kit where kit_number = 'K1'`)).toEqual([
        { order_id: 'spoilt by a trigger' },
      ]);
      expect(await run('select op from audit')).toEqual([{ op: 'UPDATE' }]);
      await exact();
    });
  });
});
