import { randomBytes } from 'node:crypto';
import {
  type Binding,
  bindInstalled,
  type Database,
  deleteBatch,
  drain,
  endBatch,
  flip,
  installKits,
  openDatabase,
  proveRolledBack,
  rehearse,
  uninstallKits,
} from '@unified-kits/data';
import { FENCE_SQLSTATE, referenceMapping, type Stage } from '@unified-kits/domain';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { REFERENCE_SCHEMA } from '../../infra/local/legacy/reference-schema.ts';
import { THROW_AWAY } from '../../infra/local/postgres/settings.ts';
import { startPostgres } from '../../infra/local/postgres/start.ts';
import { analysed } from '../support/analysis.ts';
import { begin, copyAll, parity } from '../support/migration.ts';

const PASSWORD = 'only-in-tests';
const ENGINE_ROLES = ['kits_owner', 'kits_app', 'kits_readonly'];
const far = () => Date.now() + 60_000;

const SEED = `
insert into users select md5('user' || n)::uuid from generate_series(0, 9) n;
insert into practitioners select md5('practitioner' || n)::uuid, md5('user' || n)::uuid from generate_series(0, 4) n;
insert into kit (kit_number, user_id, status) select 'K' || n, md5('user' || n % 10)::uuid, 'registered' from generate_series(1, 40) n;
insert into practitioner_kits (kit_number, practitioner_id, status) select 'P' || n, md5('practitioner' || n % 5)::uuid, 'sampled' from generate_series(1, 40) n;
create function touch() returns trigger language plpgsql as $f$ begin new.notes := 'touched'; return new; end $f$;
create trigger own_touch before update of status on kit for each row execute function touch();
`;

interface Server {
  readonly url: string;
  stop(): Promise<unknown>;
}

/**
 * Roles belong to the server: on one where other tests have made the engine's roles already, an operator
 * who makes them would not be seen doing so.
 */
const serverOfItsOwn = (): Promise<Server> => {
  const url = process.env.DATABASE_URL;
  return url === undefined
    ? startPostgres({ ephemeral: true, settings: { ...THROW_AWAY } })
    : Promise.resolve({ url, stop: async () => {} });
};

/** How an operator's login comes to the engine's roles. */
const LOGINS = [
  { about: 'who makes the roles by phase 0', attributes: 'createrole', made: false },
  {
    about: 'for whom a superuser has made the roles beforehand',
    attributes: 'nocreaterole',
    made: true,
  },
] as const;

describe.each(LOGINS)('an operator who is no superuser, $about', ({ attributes, made }) => {
  const suffix = randomBytes(4).toString('hex');
  const [operator, application] = [`uk_op_${suffix}`, `uk_application_${suffix}`];
  const database = `uk_privileges_${suffix}`;
  let server: Server;
  let admin: pg.Client;
  let db: Database;
  let app: pg.Client;
  let binding: Binding;
  let batchId: string;

  const urlOf = (user: string) => {
    const url = new URL(server.url);
    url.username = user;
    url.password = PASSWORD;
    url.pathname = `/${database}`;
    return url.href;
  };
  const flipTo = (to: Stage) => flip(db, binding, { to, phase: 'test', actor: 'operator' });
  const refused = (sql: string, code: string) =>
    expect(app.query(sql)).rejects.toMatchObject({ code });
  const ownTrigger = async () =>
    (
      await db.query(`select tgenabled::text as enabled from pg_trigger where tgname = 'own_touch'`)
    )[0]?.enabled;

  beforeAll(async () => {
    server = await serverOfItsOwn();
    admin = new pg.Client({ connectionString: server.url });
    await admin.connect();
    await admin.query(`create role ${operator} login ${attributes} password '${PASSWORD}'`);
    for (const role of ENGINE_ROLES) {
      const { rowCount } = await admin.query('select from pg_roles where rolname = $1', [role]);
      if (made && rowCount === 0) await admin.query(`create role ${role} nologin`);
      if (made) await admin.query(`grant ${role} to ${operator}`);
      // Somebody else's run has made it: what its maker would have.
      else if (rowCount === 1) await admin.query(`grant ${role} to ${operator} with admin option`);
    }
    await admin.query(`create database ${database} owner ${operator} template template0`);
    db = openDatabase(urlOf(operator), 6);
    await db.session(async (session) => {
      await session.query(REFERENCE_SCHEMA);
      await session.query(SEED);
      await session.query('analyze kit; analyze practitioner_kits');
    });
  });
  afterAll(async () => {
    await app?.end();
    await db.close();
    await admin.query(`drop database ${database} with (force)`);
    for (const role of [application, operator])
      await admin.query(`drop owned by ${role}; drop role if exists ${role}`).catch(() => {});
    await admin.end();
    await server.stop();
  });

  it('analyses, makes the schema and rehearses', async () => {
    const { verdict, findings } = await analysed(db, referenceMapping);
    expect(findings.filter(({ severity }) => severity === 'blocker')).toEqual([]);
    expect(verdict).toBe('GO');
    expect(await installKits(db, referenceMapping, 'operator')).toBe('created');
    binding = await db.transaction({}, (session) => bindInstalled(session, referenceMapping));
    expect(
      await rehearse(db, binding, { rows: 10, actor: 'operator', reportId: null }),
    ).toMatchObject({
      rows: 20,
    });
    // The application's login is the organisation's to make; what it needs of ours is the role.
    await admin.query(
      `create role ${application} login password '${PASSWORD}'; grant kits_app to ${application}`,
    );
    await db.session((session) =>
      session.query(
        `grant select, insert, update, delete on kit, practitioner_kits to ${application};
         grant select on users to ${application}; grant select, update on practitioners to ${application}`,
      ),
    );
    app = new pg.Client({ connectionString: urlOf(application) });
    app.on('error', () => undefined);
    await app.connect();
  });

  it('copies, drains and mirrors while the application writes with its own login', async () => {
    batchId = await begin(db, binding);
    await app.query(`update kit set status = 'completed' where kit_number = 'K1'`);
    await app.query(
      `update practitioners set user_id = md5('user7')::uuid where id = md5('practitioner1')::uuid`,
    );
    await copyAll(db, binding, batchId);
    await app.query(`insert into kit (kit_number, user_id) values ('K100', md5('user1')::uuid)`);
    await app.query(`delete from kit where kit_number = 'K2'`);
    expect(await drain(db, binding, far())).toMatchObject({ stuck: 0, done: true });
    await flipTo('mirrored');
    await app.query(`update kit set status = 'processing' where kit_number = 'K3'`);
    await app.query(
      `insert into practitioner_kits (kit_number, practitioner_id) values ('P100', md5('practitioner2')::uuid)`,
    );
    await app.query(
      `update practitioners set user_id = md5('user8')::uuid where id = md5('practitioner2')::uuid`,
    );
    expect(await db.query('select * from migration.pending_sync', [], { asEngine: true })).toEqual(
      [],
    );
    await refused(`update kits set status = 'completed' where kit_number = 'K3'`, FENCE_SQLSTATE);
    expect(await parity(db, binding)).toMatchObject({ mismatched: 0, done: true });
  });

  it("moves authority, suspends the organisation's own trigger, and lets the application write kits", async () => {
    await flipTo('dual-write');
    expect(await ownTrigger()).toBe('D');
    await refused(`update kit set status = 'completed' where kit_number = 'K3'`, FENCE_SQLSTATE);
    await app.query(`update kits set status = 'completed' where kit_number = 'K3'`);
    await app.query(
      `insert into kits (kit_number, owner_type, practitioner_id, status) values ('P200', 'practitioner', md5('practitioner3')::uuid, 'created')`,
    );
    await app.query(`delete from kits where kit_number = 'K4'`);
    expect(await db.query('select * from migration.pending_sync', [], { asEngine: true })).toEqual(
      [],
    );
    expect(await parity(db, binding)).toMatchObject({ mismatched: 0, done: true });
    await flipTo('unified');
    await app.query(
      `insert into kits (kit_number, owner_type, user_id, status) values ('K200', 'client', md5('user1')::uuid, 'created')`,
    );
    await app.query(
      `update practitioners set user_id = md5('user9')::uuid where id = md5('practitioner3')::uuid`,
    );
    await flipTo('closed');
    await app.query(`update kits set status = 'registered' where kit_number = 'K200'`);
  });

  it('gives the application nothing of the migration but the stage and the backlog to read', async () => {
    expect((await app.query('select stage from migration.stage')).rows).toEqual([
      { stage: 'closed' },
    ]);
    await refused(`update migration.stage set stage = 'legacy'`, '42501');
    await refused('delete from migration.pending_sync', '42501');
    await refused('select * from migration.event', '42501');
    await refused('set role kits_owner', '42501');
    await refused(`select migration.kits_id('kit', now(), '1')`, '42501');
    await refused('alter table kits disable trigger all', '42501');
  });

  it('rolls all of it back, restores the trigger and drops what phase 1 made', async () => {
    await flipTo('unified');
    await parity(db, binding);
    expect(await drain(db, binding, far())).toMatchObject({ stuck: 0 });
    await flipTo('dual-write');
    expect(await parity(db, binding)).toMatchObject({ mismatched: 0, done: true });
    await flipTo('mirrored');
    expect(await ownTrigger()).toBe('O');
    await app.query(`update kit set status = 'registered' where kit_number = 'K5'`);
    expect((await app.query(`select notes from kit where kit_number = 'K5'`)).rows).toEqual([
      { notes: 'touched' },
    ]);
    await flipTo('legacy');
    await deleteBatch(db, binding, batchId, far());
    await db.transaction({ asEngine: true }, (session) =>
      endBatch(session, batchId, 'rolled-back', 'operator', 'test'),
    );
    expect(
      await db.transaction({ asEngine: true }, (session) =>
        proveRolledBack(session, binding, batchId),
      ),
    ).toEqual({
      rowsLeft: 0,
      backlogLeft: 0,
      stage: 'legacy',
      suspendedTriggers: 0,
      triggersOn: 0,
    });
    expect(
      (
        await app.query(`select kit_number from kit where kit_number in ('K2', 'K4', 'K200') union all
                        select kit_number from practitioner_kits where kit_number in ('P100', 'P200') order by 1`)
      ).rows.map(({ kit_number }) => kit_number),
    ).toEqual(['K200', 'P100', 'P200']);
    expect(await uninstallKits(db, referenceMapping, 'operator')).toBe('dropped');
    expect(await db.query(`select tgname from pg_trigger where tgname like 'uk\\_%'`)).toEqual([]);
  });
});
