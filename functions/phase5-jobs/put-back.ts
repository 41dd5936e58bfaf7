import { SendMessageBatchCommand } from '@aws-sdk/client-sqs';
import type { SQSRecord } from 'aws-lambda';
import type { Environment } from '../runtime/environment.ts';
import { required, sqsOf } from '../runtime/queues.ts';
import { attributesOf } from './dead-letter.ts';

/** Soon enough after the guard is off, and rare enough while it is on. */
const DELAY_SECONDS = 60;
const MOST_PER_CALL = 10;

/**
 * Puts messages back as new ones: a message that is merely left is received again and again until the queue
 * gives it up, though nobody ever tried it. A copy that is sent twice is the same job, which is applied once.
 *
 * @returns ids of those that could not be sent, and stay as they are.
 */
export const putBack = async (
  environment: Environment,
  records: readonly SQSRecord[],
): Promise<readonly string[]> => {
  const QueueUrl = required(environment.queues.jobs, 'JOBS_QUEUE_URL');
  const failed: string[] = [];
  for (let from = 0; from < records.length; from += MOST_PER_CALL) {
    const part = records.slice(from, from + MOST_PER_CALL);
    const { Failed = [] } = await sqsOf(environment).send(
      new SendMessageBatchCommand({
        QueueUrl,
        Entries: part.map((record, index) => ({
          Id: String(index),
          MessageBody: record.body,
          MessageAttributes: attributesOf(record, MOST_PER_CALL),
          DelaySeconds: DELAY_SECONDS,
        })),
      }),
    );
    failed.push(...Failed.flatMap(({ Id }) => part[Number(Id)]?.messageId ?? []));
  }
  return failed;
};
