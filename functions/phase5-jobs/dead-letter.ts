import { SendMessageCommand } from '@aws-sdk/client-sqs';
import type { SQSRecord } from 'aws-lambda';
import { type GivingUp, withReason } from '../runtime/dead-letter-reason.ts';
import type { Environment } from '../runtime/environment.ts';
import { required, sqsOf } from '../runtime/queues.ts';
import { attributesOf } from './message-attributes.ts';

/**
 * Puts a message into the dead-letter queue with its reason. The queue's own redrive would bring it there
 * too, after some more receives and without a word why; that is what is left when this fails.
 */
export const deadLetter = async (
  environment: Environment,
  record: SQSRecord,
  why: GivingUp,
): Promise<void> => {
  await sqsOf(environment).send(
    new SendMessageCommand({
      QueueUrl: required(environment.queues.deadLetters, 'JOBS_DEAD_LETTER_QUEUE_URL'),
      MessageBody: record.body,
      MessageAttributes: withReason(attributesOf(record), { ...why, messageId: record.messageId }),
    }),
  );
};
