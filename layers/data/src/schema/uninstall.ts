import { type Mapping, SchemaInUse, SOURCES } from '@unified-kits/domain';
import { recordEvent } from '../batch/record-event.ts';
import { bindMapping } from '../catalog/bind-mapping.ts';
import { type Database, ENGINE_ROLE } from '../connection/database.ts';
import { qualifiedName } from '../sql/identifier.ts';
import { readStage } from '../stage/read-stage.ts';
import { stagedTables } from './stage-triggers.ts';

/**
 * The rollback of phase 1: drops `kits`, its map, the functions and the triggers that this software made,
 * and nothing else. Reports, batches and the audit log stay in schema `migration`. Dropping a trigger
 * takes ACCESS EXCLUSIVE on the legacy table for a moment, hence the short lock timeout: try again.
 *
 * @throws {SchemaInUse} while a batch is active, a stage beyond `legacy` holds, or `kits` holds rows.
 */
export const uninstallKits = (
  db: Database,
  mapping: Mapping,
  actor: string,
): Promise<'dropped' | 'absent'> =>
  db.transaction({ lockTimeoutMs: 500 }, async (session) => {
    const binding = await bindMapping(session, mapping);
    const made = await session.query(`select kind, identity from migration.created_object`);
    if (made.rows.length === 0) return 'absent';
    const active = await session.query('select id from migration.batch where ended_at is null');
    if (active.rows[0] !== undefined)
      throw new SchemaInUse(`batch ${active.rows[0].id} is active: roll it back first`);
    const { stage } = await readStage(session);
    if (stage !== 'legacy')
      throw new SchemaInUse(
        `stage "${stage}" holds, in which these triggers keep the stores apart: roll back to "legacy" first`,
      );
    for (const { relation, triggers } of stagedTables(binding))
      for (const { name } of triggers)
        await session.query(`drop trigger if exists ${name} on ${relation}`);
    const held = await session.query(
      `select migration_batch_id as batch from ${binding.kits} limit 1`,
    );
    if (held.rows[0] !== undefined)
      throw new SchemaInUse(
        `${binding.kits} holds rows of batch ${held.rows[0].batch}: roll that batch back first`,
      );
    await session.query(`set local role ${ENGINE_ROLE}`);
    for (const { kind, identity } of made.rows.toSorted((a) => (a.kind === 'view' ? -1 : 1)))
      await session.query(`drop ${kind} if exists ${identity}`);
    const functions = await session.query(
      `select oid::regprocedure::text as signature from pg_proc where pronamespace = 'migration'::regnamespace`,
    );
    for (const { signature } of functions.rows) await session.query(`drop function ${signature}`);
    await session.query('delete from migration.created_object');
    await session.query(`delete from migration.installed where component = 'kits'`);
    await recordEvent(session, { phase: 'phase1-schema', action: 'schema-dropped', actor });
    await session.query('set local role none');
    for (const source of SOURCES)
      await session.query(
        `revoke insert, update, delete on ${binding.sources[source].relation} from ${ENGINE_ROLE}`,
      );
    const { practitioners } = mapping.sources.practitioner_kits.owner;
    await session.query(
      `revoke select on ${qualifiedName(practitioners.schema, practitioners.table)} from ${ENGINE_ROLE}`,
    );
    return 'dropped';
  });
