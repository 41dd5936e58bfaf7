import { type Mapping, SchemaVersionMismatch, SOURCES } from '@unified-kits/domain';
import { recordEvent } from '../batch/record-event.ts';
import { type Binding, bindMapping } from '../catalog/bind-mapping.ts';
import {
  APPLICATION_ROLE,
  type Database,
  ENGINE_ROLE,
  READONLY_ROLE,
  type Session,
} from '../connection/database.ts';
import { KITS_ID_FUNCTION } from '../projection/kits-id.ts';
import { project } from '../projection/projection.ts';
import { qualifiedName, quoteIdentifier, quoteLiteral } from '../sql/identifier.ts';
import {
  hasDeferrable,
  readSchemas,
  readSequences,
  type Sequences,
} from './column-dependencies.ts';
import { FENCE_FUNCTIONS } from './fence-functions.ts';
import { kitsGrants, kitsTable } from './kits-table.ts';
import { stagedTables, switchStatements } from './stage-triggers.ts';
import { syncToKits, syncToLegacy } from './sync-functions.ts';
import { TRACKING_GRANTS, TRACKING_TABLES, TRACKING_VERSION } from './tracking-tables.ts';
import { type IdentitySequences, triggerFunctions } from './trigger-functions.ts';

/** Two installers at once would trip over each other's catalog rows. */
const INSTALL_LOCK = `select pg_advisory_xact_lock(hashtextextended('unified-kits install', 0))`;

/** What the installed functions were generated from. */
const installedDigest = (binding: Binding): string =>
  `${binding.mappingDigest} ${binding.columnsDigest}`;

/** Raised when `kits`, a function or a trigger changes in a way that an installed schema must be told of. */
export const KITS_VERSION = 1;

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

/**
 * Makes the schema `migration` and the roles, if they are not there. Touches nothing of the
 * organisation's. Idempotent.
 *
 * @throws {SchemaVersionMismatch} when a newer version of this software has been here.
 */
export const installTracking = (db: Database): Promise<void> =>
  db.transaction({ lockTimeoutMs: 5_000 }, async (session) => {
    await session.query(INSTALL_LOCK);
    for (const role of [ENGINE_ROLE, APPLICATION_ROLE, READONLY_ROLE])
      await session.query(createRole(role));
    await session.query(JOIN_ENGINE_ROLE);
    await session.query(`create schema if not exists migration authorization ${ENGINE_ROLE}`);
    await session.query(`set local role ${ENGINE_ROLE}`);
    await session.query(TRACKING_TABLES);
    await session.query(TRACKING_GRANTS);
    const { rows } = await session.query(
      `insert into migration.installed as i (component, version, digest) values ('tracking', $1, '')
       on conflict (component) do update set version = greatest(i.version, excluded.version) returning version`,
      [TRACKING_VERSION],
    );
    if (rows[0].version > TRACKING_VERSION)
      throw new SchemaVersionMismatch(
        `schema migration is at version ${rows[0].version}, this software knows version ${TRACKING_VERSION}: use the newer release`,
      );
  });

const grantLegacy = (binding: Binding): string => {
  const { mapping } = binding;
  const { practitioners } = mapping.sources.practitioner_kits.owner;
  const schemas = new Set([
    ...SOURCES.map((source) => mapping.sources[source].schema),
    mapping.users.schema,
    practitioners.schema,
  ]);
  return [
    ...[...schemas].map(
      (schema) => `grant usage on schema ${quoteIdentifier(schema)} to ${ENGINE_ROLE}`,
    ),
    `grant usage, create on schema ${quoteIdentifier(mapping.target.schema)} to ${ENGINE_ROLE}`,
    // Here, where the schema's owner is at work: granted by the engine's role it would be nothing but a warning.
    `grant usage on schema ${quoteIdentifier(mapping.target.schema)} to ${APPLICATION_ROLE}, ${READONLY_ROLE}`,
    ...SOURCES.map(
      (source) =>
        `grant select, insert, update, delete on ${binding.sources[source].relation} to ${ENGINE_ROLE}`,
    ),
    `grant select on ${qualifiedName(practitioners.schema, practitioners.table)} to ${ENGINE_ROLE}`,
    `grant select on ${qualifiedName(mapping.users.schema, mapping.users.table)} to ${ENGINE_ROLE}`,
  ].join(';\n');
};

const bypassRowSecurity = async (session: Session, binding: Binding) => {
  if (!SOURCES.some((source) => binding.sources[source].catalog.rowSecurity)) return;
  await session.query('savepoint bypass');
  try {
    await session.query(`alter role ${ENGINE_ROLE} bypassrls`);
  } catch {
    // Not ours to give: the analysis has told the operator to, and row_security = off refuses to copy half a table.
    await session.query('rollback to savepoint bypass');
  }
};

/**
 * Phase 1: makes `kits`, its map, and every function, or brings functions up to date after a change of
 * mapping. Switches no read and no write. Idempotent.
 *
 * @returns what was done: nothing, functions only, or everything.
 * @throws {MappingMismatch} when the mapping does not fit the live schema.
 * @throws {SchemaVersionMismatch} when `kits` was made by something else, or the mapping changed while a batch is active.
 */
export const installKits = async (
  db: Database,
  mapping: Mapping,
  actor: string,
): Promise<'unchanged' | 'updated' | 'created'> => {
  await installTracking(db);
  return db.transaction({ lockTimeoutMs: 5_000 }, async (session) => {
    await session.query(INSTALL_LOCK);
    const binding = await bindMapping(session, mapping);
    const digest = installedDigest(binding);
    const { rows } = await session.query(
      `select (select version from migration.installed where component = 'kits') as version,
              (select digest from migration.installed where component = 'kits') as digest,
              to_regclass($1)::text as kits, (select id::text from migration.batch where ended_at is null) as batch`,
      [binding.kits],
    );
    const before = rows[0] as {
      version: number | null;
      digest: string | null;
      kits: string | null;
      batch: string | null;
    };
    if (before.version !== null && before.version > KITS_VERSION)
      throw new SchemaVersionMismatch(
        `${binding.kits} is at version ${before.version}, this software knows ${KITS_VERSION}: use the newer release`,
      );
    if (before.version === null && before.kits !== null)
      throw new SchemaVersionMismatch(
        `${binding.kits} exists and was not made by this software: rename it, or choose another target.schema in the mapping`,
      );
    if (before.version === KITS_VERSION && before.digest === digest) return 'unchanged';
    if (before.batch !== null && before.digest !== digest)
      throw new SchemaVersionMismatch(
        `the mapping or the legacy schema has changed while batch ${before.batch} is active: roll it back or restore what it started with`,
      );

    const projections = SOURCES.map((source) => project(binding, binding.sources[source]));
    const sequences: Partial<Record<(typeof SOURCES)[number], Sequences['identity']>> = {};
    const deferrable = await hasDeferrable(session, binding);
    await session.query(grantLegacy(binding));
    for (const schema of await readSchemas(session, binding))
      await session.query(`grant usage on schema ${schema} to ${ENGINE_ROLE}`);
    await bypassRowSecurity(session, binding);
    for (const source of SOURCES) {
      const { identity, used } = await readSequences(session, binding.sources[source]);
      sequences[source] = identity;
      for (const sequence of used)
        await session.query(`grant usage on sequence ${sequence} to ${ENGINE_ROLE}`);
    }
    await session.query(`set local role ${ENGINE_ROLE}`);
    if (before.version === null) {
      await session.query(kitsTable(binding));
      await session.query(kitsGrants(binding));
      await session.query(
        `insert into migration.created_object (kind, identity) values ('table', $1), ('view', $2) on conflict do nothing`,
        [binding.kits, qualifiedName(mapping.target.schema, 'kit_id_map')],
      );
    }
    await session.query(generatedFunctions(binding, projections, sequences, deferrable));
    // The fence stands from the first moment that `kits` exists; the legacy tables are touched by flips only.
    if (before.version === null)
      for (const statement of switchStatements(
        stagedTables(binding).filter(({ role }) => role === 'kits'),
        new Map(),
        'legacy',
      ))
        await session.query(statement);
    await session.query(
      `insert into migration.installed (component, version, digest) values ('kits', $1, $2)
       on conflict (component) do update set version = excluded.version, digest = excluded.digest, installed_at = now()`,
      [KITS_VERSION, digest],
    );
    const outcome = before.version === null ? 'created' : 'updated';
    await recordEvent(session, {
      phase: 'phase1-schema',
      action: `schema-${outcome}`,
      actor,
      detail: { version: KITS_VERSION, mapping: mapping.name },
    });
    return outcome;
  });
};

/**
 * Everybody may execute a new function. With that, an application could put a mirror, which runs as the
 * engine, behind a trigger on a temporary table of its own. A trigger that is there needs no such right.
 */
const REVOKE_FUNCTIONS = 'revoke execute on all functions in schema migration from public;';

const generatedFunctions = (
  binding: Binding,
  projections: ReturnType<typeof project>[],
  sequences: IdentitySequences,
  deferrable: boolean,
): string =>
  [
    FENCE_FUNCTIONS,
    KITS_ID_FUNCTION,
    ...projections.flatMap((projection) => [syncToKits(projection), syncToLegacy(projection)]),
    triggerFunctions(binding, projections, sequences, deferrable),
    REVOKE_FUNCTIONS,
  ].join('\n');

/**
 * Binds the mapping and checks that the installed functions were generated from it.
 *
 * @param columns whether the legacy columns may have changed since: nothing that calls the functions may
 *   go on then, but a rollback that only switches them off, and deletes, must not be stuck for it
 * @throws {SchemaVersionMismatch} when phase 1 has not run, or ran with another mapping or schema.
 */
export const bindInstalled = async (
  session: Session,
  mapping: Mapping,
  columns: 'unchanged' | 'may-differ' = 'unchanged',
): Promise<Binding> => {
  const binding = await bindMapping(session, mapping);
  const { rows } = await session.query(
    `select to_regclass('migration.installed') is not null as present`,
  );
  const installed = rows[0].present
    ? (
        await session.query(
          `select version, digest from migration.installed where component = ${quoteLiteral('kits')}`,
        )
      ).rows[0]
    : undefined;
  if (installed === undefined)
    throw new SchemaVersionMismatch('phase 1 has not made kits yet: run the schema phase first');
  const same =
    installed.digest === installedDigest(binding) ||
    (columns === 'may-differ' && installed.digest.startsWith(`${binding.mappingDigest} `));
  if (installed.version !== KITS_VERSION || !same)
    throw new SchemaVersionMismatch(
      'the mapping or the legacy schema is not the one that phase 1 installed: run the schema phase again',
    );
  return binding;
};
