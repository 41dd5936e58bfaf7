import {
  installTracking,
  mayEndPause,
  notePaused,
  notePausing,
  noteResumed,
  type Pauser,
  readPause,
  readStage,
} from '@unified-kits/data';
import { STAGE_DEFINITIONS, WorkersBusy } from '@unified-kits/domain';
import type { Call } from '../runtime/phase-handler.ts';
import { hasWorkers, isQuiet, pauseMapping, resumeMapping, type Workers } from './workers.ts';

/** Which workflow asks; what it knows of itself. */
export interface MigrationRun {
  readonly workflow: 'cutover' | 'rollback';
  readonly execution: string;
  readonly actor: string;
}

/** Calls until workers that do not come to rest are called busy; each lasts as long as the function may. */
const MOST_ATTEMPTS = 4;

const asEngine = { asEngine: true } as const;
const pauserOf = (
  { phase }: Call,
  { actor, execution }: Pick<MigrationRun, 'actor' | 'execution'>,
) => ({ phase, actor, execution }) satisfies Pauser;

const pause = async (call: Call, by: Pauser): Promise<Workers> => {
  await call.db.transaction(asEngine, (session) => notePausing(session, by));
  const workers = await pauseMapping(call);
  if (isQuiet(workers)) await call.db.transaction(asEngine, (session) => notePaused(session, by));
  return workers;
};

const resume = async (call: Call, by: Pauser): Promise<string> => {
  const mapping = await resumeMapping(call);
  await call.db.transaction(asEngine, (session) => noteResumed(session, by, mapping));
  return mapping;
};

const counters = ({ mapping, messagesInFlight, messagesWaiting, working }: Workers) => ({
  mapping,
  messagesInFlight,
  messagesWaiting,
  invocations: working.length,
});

/**
 * Whether a workflow has no need of a pause. A cutover that goes on after the switch finds the workers at work
 * on `kits`, as they should be; a rollback has put the guard on unless nothing is left to roll back.
 */
const isNeedless = async ({ db, flags }: Call, { workflow }: MigrationRun): Promise<boolean> => {
  if (workflow === 'rollback') return !(await flags.guard());
  const { stage } = await db.transaction({ asEngine: true, readOnly: true }, readStage);
  return STAGE_DEFINITIONS[stage].writes === 'kits';
};

const busy = ({ mapping, messagesInFlight, working }: Workers): WorkersBusy =>
  new WorkersBusy(
    `workers did not come to rest: the mapping is ${mapping}, ${messagesInFlight} messages are in flight, ${working.length} invocations at work${working.map(({ id, since }) => `, ${id} since ${since}`).join('')}. Look for these request ids in the consumer's log, and start again`,
  );

/**
 * Pauses the workers for a migration: again until `done`.
 *
 * @param attempt how many calls came before this one
 * @throws {WorkersBusy} naming what is still at work when the last attempt's time is up.
 */
export const pauseForMigration = async (call: Call, run: MigrationRun, attempt: number) => {
  const next = attempt + 1;
  if (!hasWorkers(call)) return { done: true, configured: false, paused: false, attempt: next };
  if (await isNeedless(call, run))
    return { done: true, configured: true, paused: false, attempt: next };
  const workers = await pause(call, pauserOf(call, run));
  const done = isQuiet(workers);
  if (!done && next >= MOST_ATTEMPTS) throw busy(workers);
  return { done, configured: true, paused: true, attempt: next, ...counters(workers) };
};

/**
 * Lets the workers go on that a migration has paused, unless another one needs them paused: then its guard is
 * on. A guard that cannot be read is an error here, for taking it to be on would leave them paused for good.
 *
 * @throws {FlagsUnreadable} when the Parameter Store does not answer.
 */
export const releaseAfterMigration = async (call: Call, run: Omit<MigrationRun, 'workflow'>) => {
  if (!hasWorkers(call)) return { done: true, configured: false, released: false };
  const kept = { done: true, configured: true, released: false };
  if ((await call.flags.read()).migrationInProgress) return kept;
  const ours = await call.db.transaction({ asEngine: true, readOnly: true }, async (session) => {
    const lasting = await readPause(session);
    return lasting !== undefined && (await mayEndPause(session, lasting, run.execution));
  });
  if (!ours) return kept;
  return { ...kept, released: true, mapping: await resume(call, pauserOf(call, run)) };
};

const byOperator = ({ phase }: Call, actor: string): Pauser => ({ phase, actor, execution: null });

/** Pauses the workers until an operator, or the end of a migration that paused them too, resumes them. */
export const pauseByHand = async (call: Call, actor: string) => {
  if (!hasWorkers(call)) return { done: true, configured: false };
  await installTracking(call.db);
  const workers = await pause(call, byOperator(call, actor));
  return {
    done: isQuiet(workers),
    configured: true,
    ...counters(workers),
    working: workers.working,
  };
};

/** Resumes the workers, whoever paused them. On a new deployment it is what starts them. */
export const resumeByHand = async (call: Call, actor: string) => {
  if (!hasWorkers(call)) return { done: true, configured: false };
  await installTracking(call.db);
  return { done: true, configured: true, mapping: await resume(call, byOperator(call, actor)) };
};
