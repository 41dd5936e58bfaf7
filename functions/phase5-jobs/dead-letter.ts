import { type MessageAttributeValue, SendMessageCommand } from '@aws-sdk/client-sqs';
import type { SQSMessageAttribute, SQSRecord } from 'aws-lambda';
import type { Environment } from '../runtime/environment.ts';
import { required, sqsOf } from '../runtime/queues.ts';

/** Why a message is given up; it travels with it. */
export interface GivingUp {
  /** A word that an operator can select by. */
  readonly reason: string;
  /** Names of fields, never a value. */
  readonly detail: string;
}

/** SQS takes ten attributes; four are ours. */
const MOST_KEPT = 6;
const MOST_CHARACTERS = 250;

const text = (value: string): MessageAttributeValue => ({
  DataType: 'String',
  StringValue: value.slice(0, MOST_CHARACTERS) || '-',
});

/** An attribute as it came; binary ones come as base64. */
const kept = ({
  dataType,
  stringValue,
  binaryValue,
}: SQSMessageAttribute): MessageAttributeValue => ({
  DataType: dataType,
  ...(stringValue === undefined ? {} : { StringValue: stringValue }),
  ...(binaryValue === undefined ? {} : { BinaryValue: Buffer.from(binaryValue, 'base64') }),
});

/** What a message said of itself, to be said again by its copy. */
export const attributesOf = (
  record: SQSRecord,
  most = MOST_KEPT,
): Record<string, MessageAttributeValue> =>
  Object.fromEntries(
    Object.entries(record.messageAttributes)
      .slice(0, most)
      .map(([name, attribute]) => [name, kept(attribute)]),
  );

/**
 * Puts a message into the dead-letter queue with its reason. The queue's own redrive would bring it there
 * too, after some more receives and without a word why; that is what is left when this fails.
 */
export const deadLetter = async (
  environment: Environment,
  record: SQSRecord,
  { reason, detail }: GivingUp,
): Promise<void> => {
  await sqsOf(environment).send(
    new SendMessageCommand({
      QueueUrl: required(environment.queues.deadLetters, 'JOBS_DEAD_LETTER_QUEUE_URL'),
      MessageBody: record.body,
      MessageAttributes: {
        ...attributesOf(record),
        reason: text(reason),
        detail: text(detail),
        failedAt: text(new Date().toISOString()),
        originalMessageId: text(record.messageId),
      },
    }),
  );
};
