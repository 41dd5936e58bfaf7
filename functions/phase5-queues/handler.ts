import { readStage, recordEvent } from '@unified-kits/data';
import { STAGE_DEFINITIONS, WorkersBusy } from '@unified-kits/domain';
import { z } from 'zod';
import { type Call, phaseHandler } from '../runtime/phase-handler.ts';
import { rollbackRunSchema, runSchema } from '../runtime/run.ts';
import { isQuiet, pauseMapping, readWorkers, resumeMapping, type Workers } from './workers.ts';

const run = z.union([runSchema, rollbackRunSchema]);
const actor = z.string().trim().min(1).max(200);

const event = z.discriminatedUnion('action', [
  /** Of a workflow: again until `done`. */
  z.object({ action: z.literal('pause'), run, attempt: z.int() }),
  /** Of a workflow: lets workers go on, unless a migration still wants them paused. */
  z.object({ action: z.literal('release'), run }),
  /** Of an operator. */
  z.object({ action: z.literal('pause-workers'), actor }),
  z.object({ action: z.literal('resume-workers'), actor }),
  z.object({ action: z.literal('state') }),
]);

/** Calls until workers that do not come to rest are called busy; each lasts as long as the function may. */
const MOST_ATTEMPTS = 4;

const record = (call: Call, action: string, by: string, workers: Workers) =>
  call.db.transaction({ asEngine: true }, (session) =>
    recordEvent(session, {
      phase: call.phase,
      action,
      actor: by,
      detail: {
        mapping: workers.mapping,
        inFlight: workers.messagesInFlight + workers.working.length,
      },
    }),
  );

const paused = async (call: Call, by: string) => {
  const workers = await pauseMapping(call);
  if (workers === undefined) return { done: true, configured: false, messages: 0, working: 0 };
  const done = isQuiet(workers);
  if (done) await record(call, 'workers-paused', by, workers);
  return {
    done,
    configured: true,
    mapping: workers.mapping,
    messages: workers.messagesInFlight,
    working: workers.working.length,
    workers: workers.working,
  };
};

const resumed = async (call: Call, by: string) => {
  const workers = await resumeMapping(call);
  if (workers === undefined) return { done: true, configured: false };
  await record(call, 'workers-resumed', by, workers);
  return { done: true, configured: true, mapping: workers.mapping };
};

/**
 * @throws {WorkersBusy} naming what is still at work when the last attempt's time is up.
 */
const pauseForMigration = async (call: Call, by: string, attempt: number) => {
  const { stage } = await call.db.transaction({ asEngine: true, readOnly: true }, readStage);
  // A cutover that goes on after the switch: workers are at work on `kits`, as they should be.
  if (STAGE_DEFINITIONS[stage].writes === 'kits')
    return { done: true, attempt: attempt + 1, paused: false };
  const result = await paused(call, by);
  if (!result.done && attempt + 1 >= MOST_ATTEMPTS)
    throw new WorkersBusy(
      `workers are still busy: ${result.messages} messages in flight, ${result.working} invocations at work (${(result.workers ?? []).map(({ id, since }) => `${id} since ${since}`).join(', ')}). Look at the consumer's log; the mapping stays disabled until the workers are resumed.`,
    );
  return { done: result.done, attempt: attempt + 1, paused: true };
};

/** Phase 5: the workers' pause, which neither throws nor throttles, for both would use up receives. */
export const handler = phaseHandler('phase5-queues', event, async (asked, call) => {
  switch (asked.action) {
    case 'pause':
      return pauseForMigration(call, asked.run.actor, asked.attempt);
    case 'release':
      return (await call.flags.guard())
        ? { done: true, released: false }
        : { ...(await resumed(call, asked.run.actor)), released: true };
    case 'pause-workers':
      return paused(call, asked.actor);
    case 'resume-workers':
      return resumed(call, asked.actor);
    case 'state':
      return { workers: await readWorkers(call) };
  }
});
