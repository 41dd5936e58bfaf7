import { JobRejected } from '@unified-kits/domain';
import type { SQSRecord } from 'aws-lambda';
import type { GivingUp } from '../runtime/dead-letter-reason.ts';
import type { Environment } from '../runtime/environment.ts';
import { publicError } from '../runtime/faults.ts';
import { METRICS } from '../runtime/metric-names.ts';
import { serviceLog } from '../runtime/service-log.ts';
import { serviceMetrics } from '../runtime/service-metrics.ts';
import { deadLetter } from './dead-letter.ts';
import { PHASE } from './phase.ts';

/** The last try: the queue would give the message up after it, and nobody would know why. */
export const isLastReceive = (record: SQSRecord, { queues }: Environment): boolean =>
  Number(record.attributes.ApproximateReceiveCount) >= queues.mostReceives;

const whyOf = (error: unknown): GivingUp => {
  if (error instanceof JobRejected) return { reason: error.reason, detail: error.message };
  // The message of another's error may quote a value.
  return {
    reason: error instanceof Error ? error.name : 'unknown',
    detail: 'it failed at every try',
  };
};

/**
 * What becomes of a message that could not be applied: what never can be, and what failed at its last
 * receive, goes to the dead letters with the reason; the rest is tried again.
 *
 * @throws the error of a message that stays on the queue.
 */
export const giveUpOrLeave = async (
  environment: Environment,
  record: SQSRecord,
  error: unknown,
): Promise<void> => {
  const fault = publicError(error);
  const why = whyOf(fault);
  const told = { messageId: record.messageId, reason: why.reason };
  if (!(fault instanceof JobRejected) && !isLastReceive(record, environment)) {
    serviceLog(PHASE).warn('a job will be tried again', told);
    throw fault;
  }
  try {
    await deadLetter(environment, record, why);
  } catch (unsent) {
    serviceLog(PHASE).error('a job could not be given up, and stays', unsent, told);
    throw unsent;
  }
  serviceMetrics(PHASE).count(METRICS.JobsRejected);
  serviceLog(PHASE).warn('a job was given up', { ...told, detail: why.detail });
};
