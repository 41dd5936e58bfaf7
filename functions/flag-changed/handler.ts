import {
  type Binding,
  bindMapping,
  drain,
  followNotedOwners,
  isTracked,
  readStage,
} from '@unified-kits/data';
import {
  CopyYielded,
  FlipBlocked,
  SchemaVersionMismatch,
  STAGE_DEFINITIONS,
} from '@unified-kits/domain';
import { z } from 'zod';
import { bound, mappingOf } from '../runtime/bound.ts';
import { type Call, phaseHandler } from '../runtime/phase-handler.ts';
import { reconcile } from '../runtime/reconcile.ts';
import { reportStanding } from './report-standing.ts';

/** "Parameter Store Change" of EventBridge, or the schedule, which names no parameter. */
const event = z.looseObject({ detail: z.looseObject({ name: z.string().optional() }).optional() });

/**
 * The binding for whatever stage holds. In `legacy` there may be no `kits` yet, or one of another mapping:
 * no flag switches anything there, but one that asks for it is put back.
 *
 * @throws {SchemaVersionMismatch} in any other stage, when the schema is not the one that was installed.
 */
const boundInStage = async (call: Call): Promise<Binding> => {
  try {
    return await bound(call);
  } catch (error) {
    if (!(error instanceof SchemaVersionMismatch)) throw error;
    const { stage } = await call.db.transaction({ asEngine: true, readOnly: true }, readStage);
    if (stage !== 'legacy') throw error;
    const mapping = await mappingOf(call);
    return call.db.transaction({}, (session) => bindMapping(session, mapping));
  }
};

const bringTogether = async (call: Call) => {
  const { db, flags, phase, deadline } = call;
  const binding = await boundInStage(call);
  try {
    const result = await reconcile({
      db,
      binding,
      flags,
      phase,
      actor: 'flag-changed',
      deadline,
    });
    const { legacyTables, kits, writes } = STAGE_DEFINITIONS[result.stage];
    // What a mirror could not do at once (a lost deadlock, say) heals here; what cannot heal keeps its error.
    if (!result.done) return result;
    if (legacyTables !== 'mirror' && kits !== 'mirror')
      return writes === 'kits'
        ? { ...result, ownersFollowed: await followNotedOwners(db, binding) }
        : result;
    const { synced, stuck } = await drain(db, binding, deadline);
    return { ...result, synced, stuck };
  } catch (error) {
    // The wish stands; the schedule tries again.
    if (error instanceof FlipBlocked || error instanceof CopyYielded)
      return { done: false, blocked: error.message };
    throw error;
  }
};

/** Brings flags and stage together whenever a flag changes, and once a minute in case an event was lost. */
export const handler = phaseHandler('flag-changed', event, async ({ detail }, call) => {
  if (detail?.name !== undefined && !call.flags.owns(detail.name))
    return { done: true, ours: false };
  if (!(await isTracked(call.db))) return { done: true, installed: false };
  await reportStanding(call.db, call.phase);
  return bringTogether(call);
});
