import { AsyncLocalStorage } from 'node:async_hooks';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Context } from 'aws-lambda';
import { type InvocationStarted, LambdaExtension } from './lambda-extension.ts';
import { METRICS } from './metric-names.ts';
import { serviceLog } from './service-log.ts';
import { flushMetrics, serviceMetrics } from './service-metrics.ts';

type Handler<Event, Result> = (event: Event, context: Context) => Promise<Result>;

/** Work with the phase and the surroundings (log, database) of the invocation that asked for it. */
interface Task {
  readonly phase: string;
  readonly work: () => Promise<void>;
  readonly within: (run: () => void) => void;
}

/** An invocation under way; its work waits until it has answered. */
interface Invocation {
  readonly phase: string;
  readonly tasks: Task[];
  answered: boolean;
}

/** More would take connections from requests. */
const MOST_AT_ONCE = 2;
/** Waiting and under way; what comes on top is dropped, for it would only pile up. */
const MOST_TASKS = 50;
/** Kept of an invocation's time, so that Lambda never ends it. */
const MARGIN_MS = 500;

const current = new AsyncLocalStorage<Invocation>();
/** Asked for, and neither done nor given up. */
const pending = new Set<Task>();
const waiting: Task[] = [];
const underWay = new Set<Task>();
let onSettled = Promise.withResolvers<void>();
/** On Lambda without the extension the process would be frozen in the middle of the work. */
let disabled = false;

/** Resolves when all work that was asked for is done, or given up. */
export const settled = async (): Promise<void> => {
  while (pending.size > 0) await onSettled.promise;
};

const finish = (task: Task): void => {
  underWay.delete(task);
  pending.delete(task);
  if (pending.size > 0) return;
  onSettled.resolve();
  onSettled = Promise.withResolvers();
};

const drop = ({ phase, within }: Task): void =>
  within(() => {
    serviceMetrics(phase).count(METRICS.AfterResponseDropped);
    flushMetrics();
  });

const perform = async ({ phase, work }: Task): Promise<void> => {
  try {
    await work();
  } catch (error) {
    // The name alone: whoever fails here has nobody to tell, and a message may quote a value.
    serviceLog(phase).warn('work after the response failed', {
      error: error instanceof Error ? error.name : typeof error,
    });
  } finally {
    flushMetrics();
  }
};

const startWaiting = (): void => {
  while (underWay.size < MOST_AT_ONCE) {
    const task = waiting.shift();
    if (task === undefined) return;
    underWay.add(task);
    task.within(() => {
      perform(task).finally(() => {
        finish(task);
        startWaiting();
      });
    });
  }
};

/** What is under way goes on by itself, as far as it is let, but nobody waits for it any more. */
const giveUp = (): void => {
  for (const task of [...underWay, ...waiting.splice(0)]) {
    drop(task);
    finish(task);
  }
};

/**
 * Node's runtime of Lambda posts the answer one turn of the event loop after the handler has resolved, in
 * one blocking call; in the turn after that it has left.
 */
const release = async (tasks: readonly Task[]): Promise<void> => {
  await nextTurn();
  await nextTurn();
  waiting.push(...tasks);
  startWaiting();
};

/**
 * Does something after the response of the invocation under way has left, so that it costs the client no
 * time: in the order asked for, two at once. Outside of an invocation it is done soon. It may never be done:
 * when there is too much, or too little time, it is dropped and counted (`AfterResponseDropped`). What it
 * throws is logged by name.
 */
export const afterResponse = (work: () => Promise<void>): void => {
  const invocation = current.getStore();
  const snapshot = AsyncLocalStorage.snapshot();
  const task: Task = {
    phase: invocation?.phase ?? 'runtime',
    work,
    within: (run) => snapshot(run),
  };
  if (disabled || pending.size >= MOST_TASKS) {
    drop(task);
    return;
  }
  pending.add(task);
  if (invocation === undefined || invocation.answered) void release([task]);
  else invocation.tasks.push(task);
};

/** For each invocation, by its id: resolved when its work may begin. Kept only for the extension. */
const ends = new Map<string, PromiseWithResolvers<void>>();
const endOf = (requestId: string): PromiseWithResolvers<void> => {
  const known = ends.get(requestId) ?? Promise.withResolvers<void>();
  ends.set(requestId, known);
  return known;
};

const doneWith = async ({ requestId, deadline }: InvocationStarted): Promise<void> => {
  const timeUp = Promise.withResolvers<void>();
  const timer = setTimeout(timeUp.resolve, deadline - MARGIN_MS - Date.now());
  await Promise.race([timeUp.promise, endOf(requestId).promise.then(settled)]);
  clearTimeout(timer);
  // Before the extension asks for it no other invocation can begin.
  ends.clear();
  giveUp();
};

/** Never ends; a failure ends the process, as Lambda asks of extensions, and the next invocation gets a new one. */
const attend = async (extension: LambdaExtension): Promise<never> => {
  for (;;) await doneWith(await extension.next());
};

/** Whether there is an extension; without one the function works, and does nothing after its responses. */
const startExtension = async (runtimeApi: string, phase: string): Promise<boolean> => {
  try {
    void attend(await LambdaExtension.register(runtimeApi, 'unified-kits-after-response'));
    return true;
  } catch (error) {
    disabled = true;
    serviceLog(phase).error('nothing will be done after responses', error);
    return false;
  }
};

/** One for the process, started by whoever needs it first. */
let started: Promise<boolean> | undefined;

/**
 * The handler of a function that uses `afterResponse`: `export const handler = await withAfterResponse(…)`.
 * It must be around everything else, so that the response is ready when it says so. On Lambda it registers
 * the extension that keeps the process awake, which is only possible while the function initialises.
 *
 * @param phase the function's folder
 */
export const withAfterResponse = async <Event, Result>(
  phase: string,
  handler: Handler<Event, Result>,
): Promise<Handler<Event, Result>> => {
  const runtimeApi = process.env.AWS_LAMBDA_RUNTIME_API;
  if (runtimeApi !== undefined) started ??= startExtension(runtimeApi, phase);
  const attended = (await started) ?? false;
  return async (event, context) => {
    const invocation: Invocation = { phase, tasks: [], answered: false };
    try {
      return await current.run(invocation, () => handler(event, context));
    } finally {
      invocation.answered = true;
      const released = release(invocation.tasks);
      if (attended) void released.then(endOf(context.awsRequestId).resolve);
    }
  };
};
