import {
  type Mapping,
  SchemaVersionMismatch,
  SOURCES,
  STAGE_DEFINITIONS,
  STAGES,
} from '@unified-kits/domain';
import { recordEvent } from '../batch/record-event.ts';
import { type Binding, bindMapping } from '../catalog/bind-mapping.ts';
import {
  APPLICATION_ROLE,
  type Database,
  ENGINE_ROLE,
  type Session,
} from '../connection/database.ts';
import { KITS_ID_FUNCTION } from '../projection/kits-id.ts';
import { project } from '../projection/projection.ts';
import { qualifiedName } from '../sql/identifier.ts';
import { currentBatchFunction } from '../stage/current-batch.ts';
import { lockStage } from '../stage/read-stage.ts';
import { installedDigest, KITS_VERSION } from './bind-installed.ts';
import { hasDeferrable } from './column-dependencies.ts';
import { FENCE_FUNCTIONS } from './fence-functions.ts';
import { grantEngine } from './grants.ts';
import { INSTALL_LOCK, installTracking } from './install-tracking.ts';
import { kitsGrants, kitsTable } from './kits-table.ts';
import { stagedTables, switchStatements } from './stage-triggers.ts';
import { syncToKits, syncToLegacy } from './sync-functions.ts';
import { type IdentitySequences, triggerFunctions } from './trigger-functions.ts';

/**
 * Everybody may execute a new function. With that, an application could put a mirror, which runs as the
 * engine, behind a trigger on a temporary table of its own. A trigger that is there needs no such right.
 * But an application that writes to `kits` translates values as the mirror does, and one function of it does
 * nothing but refuse.
 */
const FUNCTION_RIGHTS = `
revoke execute on all functions in schema migration from public;
grant execute on function migration.unmapped_value(text, text, text) to ${APPLICATION_ROLE};`;

const generatedFunctions = (
  binding: Binding,
  projections: ReturnType<typeof project>[],
  sequences: IdentitySequences,
  deferrable: boolean,
  batchId: string | null,
): string =>
  [
    FENCE_FUNCTIONS,
    currentBatchFunction(batchId),
    KITS_ID_FUNCTION,
    ...projections.flatMap((projection) => [syncToKits(projection), syncToLegacy(projection)]),
    triggerFunctions(binding, projections, sequences, deferrable),
    FUNCTION_RIGHTS,
  ].join('\n');

/**
 * What another mapping, or other legacy columns, have made is dropped, for ids and keys may have other
 * types now.
 *
 * @throws {SchemaVersionMismatch} while it holds rows.
 */
const dropForAnother = async (session: Session): Promise<void> => {
  const { rows } = await session.query(
    `delete from migration.created_object returning kind, identity`,
  );
  for (const { kind, identity } of rows.toSorted((one) => (one.kind === 'view' ? -1 : 1))) {
    const held =
      kind === 'table'
        ? await session.query(`select migration_batch_id as batch from ${identity} limit 1`)
        : undefined;
    if (held?.rows[0] !== undefined)
      throw new SchemaVersionMismatch(
        `${identity} holds rows of batch ${held.rows[0].batch}, made with another mapping or other legacy columns: roll that batch back, or restore what it was made with`,
      );
    await session.query(`drop ${kind} if exists ${identity}`);
  }
};

/**
 * Phase 1: makes `kits`, its map, and every function, or makes them anew after a change of mapping or of
 * legacy columns. Switches no read and no write. Idempotent.
 *
 * @returns what was done.
 * @throws {MappingMismatch} when the mapping does not fit the live schema.
 * @throws {SchemaVersionMismatch} when `kits` was made by something else, or the mapping changed while a batch is active or `kits` holds rows.
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
    const legacyTables = JSON.stringify(SOURCES.map((source) => binding.sources[source].catalog));
    if (before.version === KITS_VERSION && before.digest === digest) {
      // Constraints may have come since; once `kits` leads, its clients know those that there were until then.
      await session.query(
        `update migration.installed set legacy_tables = $1
          where component = 'kits' and (select stage from migration.stage) = any ($2::text[])`,
        [legacyTables, STAGES.filter((stage) => STAGE_DEFINITIONS[stage].writes === 'legacy')],
      );
      return 'unchanged';
    }
    if (before.batch !== null && before.digest !== digest)
      throw new SchemaVersionMismatch(
        `the mapping or the legacy schema has changed while batch ${before.batch} is active: roll it back or restore what it started with`,
      );

    // No flip meanwhile: it would begin a batch that these functions do not know.
    const { batchId } = await lockStage(session);
    const projections = SOURCES.map((source) => project(binding, binding.sources[source]));
    const deferrable = await hasDeferrable(session, binding);
    const sequences = await grantEngine(session, binding);
    await session.query(`set local role ${ENGINE_ROLE}`);
    await dropForAnother(session);
    await session.query(kitsTable(binding));
    await session.query(kitsGrants(binding));
    await session.query(
      `insert into migration.created_object (kind, identity) values ('table', $1), ('view', $2)`,
      [binding.kits, qualifiedName(mapping.target.schema, 'kit_id_map')],
    );
    await session.query(generatedFunctions(binding, projections, sequences, deferrable, batchId));
    // The fence stands from the first moment that `kits` exists; the legacy tables are touched by flips only.
    for (const statement of switchStatements(
      stagedTables(binding).filter(({ role }) => role === 'kits'),
      new Map(),
      'legacy',
    ))
      await session.query(statement);
    await session.query(
      `insert into migration.installed (component, version, digest, legacy_tables) values ('kits', $1, $2, $3)
       on conflict (component) do update set version = excluded.version, digest = excluded.digest, legacy_tables = excluded.legacy_tables, installed_at = now()`,
      [KITS_VERSION, digest, legacyTables],
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
