import { setTimeout as sleep } from 'node:timers/promises';
import {
  GetEventSourceMappingCommand,
  ResourceInUseException,
  UpdateEventSourceMappingCommand,
} from '@aws-sdk/client-lambda';
import { GetQueueAttributesCommand } from '@aws-sdk/client-sqs';
import { readWork } from '@unified-kits/data';
import type { Call } from '../runtime/phase-handler.ts';
import { lambdaOf, required, sqsOf } from '../runtime/queues.ts';

/** How far the consumer of jobs is from rest. */
export interface Workers {
  /** Of the event source mapping: `Enabled`, `Disabling`, `Disabled` … */
  readonly mapping: string;
  /** Received and neither done with nor given back. */
  readonly messagesInFlight: number;
  readonly messagesWaiting: number;
  /** Invocations that say that they are at work. */
  readonly working: readonly { readonly id: string; readonly since: string }[];
}

export const isQuiet = ({ mapping, messagesInFlight, working }: Workers): boolean =>
  mapping === 'Disabled' && messagesInFlight === 0 && working.length === 0;

const WORKER = 'phase5-jobs';
/** How soon it is looked again, in milliseconds. */
const POLL_MS = 250;

/** Undefined where no queue is fed to a consumer: nobody has to be paused. */
const mappingId = ({ environment }: Call): string | undefined => environment.queues.jobsMappingId;

const mappingState = async (call: Call, id: string): Promise<string> => {
  const { State } = await lambdaOf(call.environment).send(
    new GetEventSourceMappingCommand({ UUID: id }),
  );
  return State ?? 'unknown';
};

/** What the workers are at; undefined without a mapping. */
export const readWorkers = async (call: Call): Promise<Workers | undefined> => {
  const id = mappingId(call);
  if (id === undefined) return undefined;
  const { environment, db } = call;
  const { Attributes = {} } = await sqsOf(environment).send(
    new GetQueueAttributesCommand({
      QueueUrl: required(environment.queues.jobs, 'JOBS_QUEUE_URL'),
      AttributeNames: ['ApproximateNumberOfMessagesNotVisible', 'ApproximateNumberOfMessages'],
    }),
  );
  const working = await db.transaction({ asEngine: true }, (session) => readWork(session, WORKER));
  return {
    mapping: await mappingState(call, id),
    messagesInFlight: Number(Attributes.ApproximateNumberOfMessagesNotVisible ?? 0),
    messagesWaiting: Number(Attributes.ApproximateNumberOfMessages ?? 0),
    working: working.map(({ id: mark, since }) => ({ id: mark, since: since.toISOString() })),
  };
};

/** Asks for a state of the mapping, again and again while another change of it is under way. */
const ask = async (call: Call, id: string, enabled: boolean): Promise<void> => {
  for (;;)
    try {
      await lambdaOf(call.environment).send(
        new UpdateEventSourceMappingCommand({ UUID: id, Enabled: enabled }),
      );
      return;
    } catch (error) {
      if (!(error instanceof ResourceInUseException) || Date.now() > call.deadline) throw error;
      await sleep(POLL_MS);
    }
};

/**
 * Disables the mapping, and waits until nothing is in flight or the call's time is up.
 *
 * @returns what is still at work; undefined without a mapping.
 */
export const pauseMapping = async (call: Call): Promise<Workers | undefined> => {
  const id = mappingId(call);
  if (id === undefined) return undefined;
  if ((await mappingState(call, id)) !== 'Disabled') await ask(call, id, false);
  for (;;) {
    const workers = await readWorkers(call);
    if (workers === undefined) return undefined;
    if (isQuiet(workers) || Date.now() + POLL_MS > call.deadline) return workers;
    await sleep(POLL_MS);
  }
};

/** Enables the mapping. */
export const resumeMapping = async (call: Call): Promise<Workers | undefined> => {
  const id = mappingId(call);
  if (id === undefined) return undefined;
  if ((await mappingState(call, id)) !== 'Enabled') await ask(call, id, true);
  return readWorkers(call);
};
