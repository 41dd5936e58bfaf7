import { STAGE_DEFINITIONS } from '@unified-kits/domain';
import type { Binding } from '../catalog/bind-mapping.ts';
import type { Database } from '../connection/database.ts';
import { hasSqlState, isRowFault, SQLSTATE } from '../connection/sqlstate.ts';
import { qualifiedName, quoteIdentifier } from '../sql/identifier.ts';
import { readStage } from '../stage/read-stage.ts';
import { NOTED_PRACTITIONER, OWNERS_LOCK } from './changed-owners.ts';
import { enterDrain } from './drain-lock.ts';

const MOST_PRACTITIONERS = 200;

const followOne = (db: Database, binding: Binding, practitioner: string): Promise<boolean> =>
  db.transaction({ asEngine: true, lockTimeoutMs: 1_000 }, async (session) => {
    await enterDrain(session);
    const { stage } = await readStage(session);
    if (STAGE_DEFINITIONS[stage].writes !== 'kits') return false;
    const taken = await session.query(
      'delete from migration.pending_sync where source = $1 and legacy_id = $2',
      [NOTED_PRACTITIONER, practitioner],
    );
    if (taken.rowCount === 0) return false;
    await session.query(`select pg_advisory_xact_lock(${OWNERS_LOCK})`);
    // Far below `deadlock_timeout`: the loser of a conflict is never the client.
    await session.query(`set local lock_timeout = '300ms'`);
    const { practitioners } = binding.mapping.sources.practitioner_kits.owner;
    const userId = `p.${quoteIdentifier(practitioners.userId)}`;
    await session.query(
      `update ${binding.kits} k set user_id = ${userId}
         from ${qualifiedName(practitioners.schema, practitioners.table)} p
        where p.${quoteIdentifier(practitioners.id)} = k.practitioner_id and k.user_id is distinct from ${userId}
          and k.practitioner_id = cast($1 as ${binding.mapping.target.practitionerIdType})`,
      [practitioner],
    );
    return true;
  });

/**
 * Gives the kits of noted practitioners their user, in the stages where `kits` leads and nothing drains by
 * itself: without it an owner change that met a locked row would leave that kit with the former user for
 * good. What cannot be done now stays noted.
 *
 * @returns the practitioners done.
 */
export const followNotedOwners = async (db: Database, binding: Binding): Promise<number> => {
  const noted = await db.query<{ practitioner: string }>(
    'select distinct legacy_id as practitioner from migration.pending_sync where source = $1 limit $2',
    [NOTED_PRACTITIONER, MOST_PRACTITIONERS],
    { asEngine: true, readOnly: true },
  );
  let followed = 0;
  for (const { practitioner } of noted)
    try {
      if (await followOne(db, binding, practitioner)) followed += 1;
    } catch (error) {
      const held = hasSqlState(error, SQLSTATE.lockNotAvailable, SQLSTATE.deadlockDetected);
      if (!held && !isRowFault(error)) throw error;
    }
  return followed;
};
