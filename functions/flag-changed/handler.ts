import { drain, followNotedOwners } from '@unified-kits/data';
import {
  CopyYielded,
  FlipBlocked,
  SchemaVersionMismatch,
  STAGE_DEFINITIONS,
} from '@unified-kits/domain';
import { z } from 'zod';
import { bound } from '../runtime/bound.ts';
import { phaseHandler } from '../runtime/phase-handler.ts';
import { reconcile } from '../runtime/reconcile.ts';

/** "Parameter Store Change" of EventBridge, or the schedule, which names no parameter. */
const event = z.looseObject({ detail: z.looseObject({ name: z.string().optional() }).optional() });

/** Brings flags and stage together whenever a flag changes, and once a minute in case an event was lost. */
export const handler = phaseHandler('flag-changed', event, async ({ detail }, call) => {
  const { db, flags, phase, deadline, environment } = call;
  if (detail?.name !== undefined && !flags.owns(detail.name)) return { done: true, ours: false };
  let binding: Awaited<ReturnType<typeof bound>>;
  try {
    binding = await bound(call);
  } catch (error) {
    // Before phase 1, and after its rollback, flags have nothing to switch.
    if (error instanceof SchemaVersionMismatch) return { done: true, installed: false };
    throw error;
  }
  try {
    const result = await reconcile({
      db,
      binding,
      flags,
      phase,
      actor: 'flag-changed',
      deadline,
      environment: environment.name,
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
});
