import { digest, SchemaVersionMismatch } from '@unified-kits/domain';
import {
  APPLICATION_ROLE,
  type Database,
  ENGINE_ROLE,
  READONLY_ROLE,
  type Session,
} from '../connection/database.ts';
import { SERVICE_GRANTS, SERVICE_TABLES } from './service-tables.ts';
import { TRACKING_GRANTS, TRACKING_TABLES, TRACKING_VERSION } from './tracking-tables.ts';

/** Two installers at once would trip over each other's catalog rows. */
export const INSTALL_LOCK = `select pg_advisory_xact_lock(hashtextextended('unified-kits install', 0))`;

const createRole = (role: string) => `
do $do$ begin
  if not exists (select from pg_roles where rolname = '${role}') then
    create role ${role} nologin;
  end if;
exception when duplicate_object or unique_violation then null; -- another database's installer was quicker
end $do$;`;

/** The engine acts as its role by SET ROLE, so the operator's login must be a member of it. */
const JOIN_ENGINE_ROLE = `
do $do$ begin
  if not pg_has_role(current_user, '${ENGINE_ROLE}', 'SET') then
    execute format('grant ${ENGINE_ROLE} to %I', current_user);
  end if;
exception when others then
  -- Before Postgres 16 there is no SET privilege to ask for; membership is what counts.
  if sqlstate <> '22023' then raise; end if;
  if not pg_has_role(current_user, '${ENGINE_ROLE}', 'MEMBER') then
    execute format('grant ${ENGINE_ROLE} to %I', current_user);
  end if;
end $do$;`;

const STATEMENTS = [TRACKING_TABLES, TRACKING_GRANTS, SERVICE_TABLES, SERVICE_GRANTS];
const DIGEST = digest(STATEMENTS);

/** @throws {SchemaVersionMismatch} when a newer version of this software has been here. */
const isInstalled = async (session: Session): Promise<boolean> => {
  const { rows: schemas } = await session.query(
    `select to_regclass('migration.installed') is not null as tracking, to_regnamespace('kits_service') is not null as service`,
  );
  if (!schemas[0].tracking) return false;
  const { rows } = await session.query(
    `select version, digest from migration.installed where component = 'tracking'`,
  );
  const [found] = rows;
  if (found === undefined) return false;
  if (found.version > TRACKING_VERSION)
    throw new SchemaVersionMismatch(
      `schema migration is at version ${found.version}, this software knows version ${TRACKING_VERSION}: use the newer release`,
    );
  return schemas[0].service && found.digest === DIGEST;
};

/**
 * Makes the roles and the schemas `migration` and `kits_service`, if they are not there. Touches nothing of the
 * organisation's. Idempotent; where all is there it takes no lock, for `create index if not exists` waits
 * for everyone who writes to the table, and the service writes all the time.
 *
 * @throws {SchemaVersionMismatch} when a newer version of this software has been here.
 */
export const installTracking = (db: Database): Promise<void> =>
  db.transaction({ lockTimeoutMs: 5_000 }, async (session) => {
    await session.query(INSTALL_LOCK);
    for (const role of [ENGINE_ROLE, APPLICATION_ROLE, READONLY_ROLE])
      await session.query(createRole(role));
    await session.query(JOIN_ENGINE_ROLE);
    if (await isInstalled(session)) return;
    for (const schema of ['migration', 'kits_service'])
      await session.query(`create schema if not exists ${schema} authorization ${ENGINE_ROLE}`);
    await session.query(`set local role ${ENGINE_ROLE}`);
    for (const statements of STATEMENTS) await session.query(statements);
    await session.query(
      `insert into migration.installed (component, version, digest) values ('tracking', $1, $2)
       on conflict (component) do update set version = excluded.version, digest = excluded.digest, installed_at = now()`,
      [TRACKING_VERSION, DIGEST],
    );
  });
