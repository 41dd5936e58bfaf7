import { setTimeout as sleep } from 'node:timers/promises';
import {
  GetEventSourceMappingCommand,
  UpdateEventSourceMappingCommand,
} from '@aws-sdk/client-lambda';
import { GetQueueAttributesCommand } from '@aws-sdk/client-sqs';
import { readWork } from '@unified-kits/data';
import type { Call } from '../runtime/phase-handler.ts';
import { hasReason, lambdaOf, QueuesUnreachable, required, sqsOf } from '../runtime/queues.ts';

/** How far the consumer of jobs is from rest. */
export interface Workers {
  /** Of the event source mapping: `Enabled`, `Disabling`, `Disabled` … */
  readonly mapping: string;
  /** Received and neither done with nor given back; SQS' count is approximate. */
  readonly messagesInFlight: number;
  readonly messagesWaiting: number;
  /** Put back, or sent with a delay: nobody receives them yet. */
  readonly messagesDelayed: number;
  /** Invocations that say that they are at work, by their request ids. */
  readonly working: readonly { readonly id: string; readonly since: string }[];
}

export const isQuiet = ({ mapping, messagesInFlight, working }: Workers): boolean =>
  mapping === 'Disabled' && messagesInFlight === 0 && working.length === 0;

const WORKER = 'phase5-jobs';
/** How soon it is looked again, in milliseconds: at first, and at most. */
const FIRST_POLL_MS = 250;
const LONGEST_POLL_MS = 2_000;
const longer = (pause: number): number => Math.min(pause * 1.5, LONGEST_POLL_MS);

/** False where no queue is fed to a consumer: nobody has to be paused. */
export const hasWorkers = ({ environment }: Call): boolean =>
  environment.queues.jobsMappingId !== undefined;

const mappingId = ({ environment }: Call): string =>
  required(environment.queues.jobsMappingId, 'JOBS_MAPPING_ID');

const mappingState = async (call: Call): Promise<string> => {
  const { State } = await lambdaOf(call.environment).send(
    new GetEventSourceMappingCommand({ UUID: mappingId(call) }),
  );
  return State ?? 'unknown';
};

const COUNTS = [
  'ApproximateNumberOfMessages',
  'ApproximateNumberOfMessagesNotVisible',
  'ApproximateNumberOfMessagesDelayed',
] as const;

const readCounts = async ({ environment }: Call) => {
  const { Attributes = {} } = await sqsOf(environment).send(
    new GetQueueAttributesCommand({
      QueueUrl: required(environment.queues.jobs, 'JOBS_QUEUE_URL'),
      AttributeNames: [...COUNTS],
    }),
  );
  const [messagesWaiting, messagesInFlight, messagesDelayed] = COUNTS.map((name) =>
    Number(Attributes[name] ?? 0),
  ) as [number, number, number];
  return { messagesWaiting, messagesInFlight, messagesDelayed };
};

/** Before the schema is made nobody can have been at work. */
const readMarks = async ({ db }: Call): Promise<Workers['working']> => {
  const [found] = await db.query<{ made: boolean }>(
    `select to_regclass('kits_service.work_mark') is not null as made`,
  );
  if (found?.made !== true) return [];
  const marks = await db.transaction({ asEngine: true }, (session) => readWork(session, WORKER));
  return marks.map(({ id, since }) => ({ id, since: since.toISOString() }));
};

/**
 * What the workers are at. In this order: once the mapping is disabled nothing more is received; what was
 * received is in flight until it is deleted; and what works past its message's visibility has its mark.
 */
export const readWorkers = async (call: Call): Promise<Workers> => {
  const mapping = await mappingState(call);
  const counts = await readCounts(call);
  return { mapping, ...counts, working: await readMarks(call) };
};

/** Lambda takes no change of a mapping while another is under way. */
const BUSY = 'ResourceInUseException';

/** Asks for the mapping to be enabled or disabled. Returns its state; undefined while another change is under way. */
const switchMapping = async (call: Call, enabled: boolean): Promise<string | undefined> => {
  try {
    const { State } = await lambdaOf(call.environment).send(
      new UpdateEventSourceMappingCommand({ UUID: mappingId(call), Enabled: enabled }),
    );
    return State ?? 'unknown';
  } catch (error) {
    if (!hasReason(error, BUSY)) throw error;
    return undefined;
  }
};

const ON_THE_WAY = { paused: ['Disabling', 'Disabled'], resumed: ['Enabling', 'Enabled'] } as const;

const isOnTheWay = (mapping: string, to: keyof typeof ON_THE_WAY): boolean =>
  ON_THE_WAY[to].some((state) => state === mapping);

/**
 * Disables the mapping, and again should somebody enable it meanwhile, and waits until nothing is in flight
 * or the call's time is up. Rest is seen twice, for SQS counts approximately.
 *
 * @returns what is still at work.
 */
export const pauseMapping = async (call: Call): Promise<Workers> => {
  let quietBefore = false;
  for (let pause = FIRST_POLL_MS; ; pause = longer(pause)) {
    const workers = await readWorkers(call);
    if (!isOnTheWay(workers.mapping, 'paused')) await switchMapping(call, false);
    const quiet = isQuiet(workers);
    if (quiet && quietBefore) return workers;
    quietBefore = quiet;
    if (Date.now() + pause > call.deadline) return workers;
    await sleep(quiet ? FIRST_POLL_MS : pause);
  }
};

/**
 * Enables the mapping, as soon as other changes of it are over.
 *
 * @returns its state: what was asked for takes effect by itself.
 * @throws {QueuesUnreachable} when they leave no time for this one.
 */
export const resumeMapping = async (call: Call): Promise<string> => {
  for (let pause = FIRST_POLL_MS; ; pause = longer(pause)) {
    const mapping = await mappingState(call);
    if (isOnTheWay(mapping, 'resumed')) return mapping;
    const state = await switchMapping(call, true);
    if (state !== undefined) return state;
    if (Date.now() + pause > call.deadline)
      throw new QueuesUnreachable('UpdateEventSourceMapping', BUSY);
    await sleep(pause);
  }
};
