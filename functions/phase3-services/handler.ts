import { assertNotStuck, drain } from '@unified-kits/data';
import {
  type Flags,
  FlipRefused,
  STAGE_DEFINITIONS,
  STAGES,
  type Stage,
} from '@unified-kits/domain';
import { z } from 'zod';
import { enterPhase } from '../runtime/batch-of-run.ts';
import { bound } from '../runtime/bound.ts';
import { type Call, phaseHandler } from '../runtime/phase-handler.ts';
import { reconcile } from '../runtime/reconcile.ts';
import { type Run, runSchema } from '../runtime/run.ts';

const target = z.enum(['reads', 'writes', 'unified']);
type Target = z.output<typeof target>;

const event = z.discriminatedUnion('action', [
  z.object({ action: z.literal('switch'), run: runSchema, batchId: z.string(), target }),
  z.object({ action: z.literal('guard-off'), run: runSchema, batchId: z.string() }),
]);

const atLeast = (stage: Stage, least: Stage) => STAGES.indexOf(stage) >= STAGES.indexOf(least);

const reached = (to: Target, stage: Stage, flags: Flags): boolean => {
  if (to === 'unified') return atLeast(stage, 'unified');
  if (STAGE_DEFINITIONS[stage].writes === 'kits') return true;
  return to === 'reads' && stage === 'mirrored' && flags.unifiedReads;
};

/** Whether the input asked to go no further. */
const stops = ({ until }: Run, stage: Stage): boolean =>
  until !== 'closed' && atLeast(stage, until);

const wish = (to: Target, run: Run): Partial<Flags> => {
  if (to === 'reads') return { unifiedReads: true };
  return {
    unifiedReads: true,
    unifiedWrites: true,
    dualWrite: to === 'writes' && run.dualWrite,
  };
};

/** A mirror that lost a deadlock is no reason to give up: its keys are drained, and the wish stands again. */
const MOST_TRIES = 3;

/**
 * One step of the switch: sets its flags, or with `"flags": "manual"` waits for the operator to set them,
 * and reconciles. `done: false` until the flags and the stage both say that the step is taken.
 *
 * @throws {FlipRefused} when the flags had to be put back; in manual mode that is between the operator and
 * the reconciler, and the wait goes on.
 * @throws {BacklogStuck} naming keys that must be corrected first.
 */
const switchTo = async (run: Run, batchId: string, to: Target, call: Call) => {
  const { db, flags, phase, deadline } = call;
  const automatic = run.flags === 'auto';
  for (let tries = 1; ; tries += 1) {
    const { stage } = await enterPhase(call, run.execution, batchId, { guarded: automatic });
    if (reached(to, stage, await flags.read()))
      return { done: true, stage, stop: stops(run, stage) };
    const binding = await bound(call);
    if (automatic) {
      const { stuck, done } = await drain(db, binding, deadline);
      if (!done) return { done: false, stage, stop: false };
      if (stuck > 0) await assertNotStuck(db);
      await flags.write(wish(to, run));
    }
    const result = await reconcile({
      db,
      binding,
      flags,
      phase,
      actor: run.actor,
      deadline,
    });
    if (reached(to, result.stage, await flags.read()))
      return { done: true, stage: result.stage, stop: stops(run, result.stage) };
    const [reason] = result.putBack;
    if (!automatic || reason === undefined)
      return { done: false, stage: result.stage, stop: false };
    if (tries >= MOST_TRIES) throw new FlipRefused(reason);
  }
};

/** Phase 3: the flags, and the stage that follows them; workers may go on when the guard is off. */
export const handler = phaseHandler('phase3-services', event, async (asked, call) => {
  if (asked.action === 'switch') return switchTo(asked.run, asked.batchId, asked.target, call);
  const { stage } = await enterPhase(call, asked.run.execution, asked.batchId, { guarded: false });
  await call.flags.write({ migrationInProgress: false });
  return { done: true, stage, stop: stops(asked.run, stage) };
});
