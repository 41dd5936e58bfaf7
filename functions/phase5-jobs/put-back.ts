import type { SQSRecord } from 'aws-lambda';
import type { Environment } from '../runtime/environment.ts';
import { required, sqsOf } from '../runtime/queues.ts';
import { sendMessages } from '../runtime/send-messages.ts';
import { serviceLog } from '../runtime/service-log.ts';
import { attributesOf } from './message-attributes.ts';
import { PHASE } from './phase.ts';

/** Soon enough after the guard is off, and rare enough while it is on. */
const DELAY_SECONDS = 30;

/**
 * Puts messages that nobody has tried back as new ones: a message that is merely left is received again and
 * again until the queue gives it up. A copy that is sent twice is the same job, which is applied once.
 *
 * @returns ids of those that could not be sent, and stay as they are.
 */
export const putBack = async (
  environment: Environment,
  records: readonly SQSRecord[],
): Promise<readonly string[]> => {
  const { taken, fault } = await sendMessages(
    sqsOf(environment),
    required(environment.queues.jobs, 'JOBS_QUEUE_URL'),
    records.map((record) => ({
      body: record.body,
      attributes: attributesOf(record),
      delaySeconds: DELAY_SECONDS,
    })),
  );
  const left = records.filter((_, index) => taken[index] !== true);
  const log = serviceLog(PHASE);
  log.info('messages were put back untried', { count: records.length - left.length });
  if (left.length > 0) log.error('messages could not be put back', fault, { count: left.length });
  return left.map(({ messageId }) => messageId);
};
