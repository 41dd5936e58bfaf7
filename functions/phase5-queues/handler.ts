import { z } from 'zod';
import { phaseHandler } from '../runtime/phase-handler.ts';
import { rollbackRunSchema, runSchema } from '../runtime/run.ts';
import { listDeadLetters } from './dead-letters.ts';
import { pauseByHand, pauseForMigration, releaseAfterMigration, resumeByHand } from './pause.ts';
import { redrive, redriveEvent } from './redrive.ts';
import { hasWorkers, readWorkers } from './workers.ts';

const run = z.union([runSchema, rollbackRunSchema]);
const actor = z.string().trim().min(1).max(200);

const event = z.discriminatedUnion('action', [
  /** Of a workflow: again until `done`. */
  z.object({
    action: z.literal('pause'),
    workflow: z.enum(['cutover', 'rollback']),
    run,
    attempt: z.int(),
  }),
  /** Of a workflow: lets workers go on, unless another migration wants them paused. */
  z.object({ action: z.literal('release'), run }),
  /** Of an operator, and all that follow. */
  z.object({ action: z.literal('pause-workers'), actor }),
  z.object({ action: z.literal('resume-workers'), actor }),
  z.object({ action: z.literal('state') }),
  z.object({
    action: z.literal('dead-letters'),
    limit: z.int().min(1).max(1_000).default(100),
  }),
  redriveEvent,
]);

/**
 * Phase 5: the workers' pause, which neither throws nor throttles, for both would use up receives; and what the
 * consumer has given up.
 */
export const handler = phaseHandler(
  'phase5-queues',
  event,
  async (asked, call): Promise<object> => {
    switch (asked.action) {
      case 'pause':
        return pauseForMigration(call, { ...asked.run, workflow: asked.workflow }, asked.attempt);
      case 'release':
        return releaseAfterMigration(call, asked.run);
      case 'pause-workers':
        return pauseByHand(call, asked.actor);
      case 'resume-workers':
        return resumeByHand(call, asked.actor);
      case 'state':
        return hasWorkers(call)
          ? { configured: true, workers: await readWorkers(call) }
          : { configured: false };
      case 'dead-letters':
        return listDeadLetters(call, asked.limit);
      case 'redrive':
        return redrive(call, asked);
    }
  },
);
