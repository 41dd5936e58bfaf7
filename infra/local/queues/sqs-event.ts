import type { Message } from '@aws-sdk/client-sqs';
import type { SQSMessageAttribute, SQSRecord } from 'aws-lambda';
import { MAX_INVOCATION_BYTES } from '../aws/functions.ts';

/**
 * A received message as Lambda gives it to a function.
 *
 * @throws TypeError when the message was received without its system attributes.
 */
export function sqsRecord(message: Message, queueArn: string): SQSRecord {
  const { MD5OfMessageAttributes, Attributes = {}, MessageAttributes = {} } = message;
  return {
    messageId: present(message, 'MessageId'),
    receiptHandle: present(message, 'ReceiptHandle'),
    body: present(message, 'Body'),
    attributes: {
      ...Attributes,
      ApproximateReceiveCount: present(Attributes, 'ApproximateReceiveCount'),
      SentTimestamp: present(Attributes, 'SentTimestamp'),
      SenderId: present(Attributes, 'SenderId'),
      ApproximateFirstReceiveTimestamp: present(Attributes, 'ApproximateFirstReceiveTimestamp'),
    },
    messageAttributes: Object.fromEntries(
      Object.entries(MessageAttributes).map(([name, value]): [string, SQSMessageAttribute] => [
        name,
        {
          ...(value.StringValue === undefined ? {} : { stringValue: value.StringValue }),
          ...(value.BinaryValue === undefined
            ? {}
            : { binaryValue: Buffer.from(value.BinaryValue).toString('base64') }),
          // Reserved by SQS, and always there.
          stringListValues: [],
          binaryListValues: [],
          dataType: present(value, 'DataType'),
        },
      ]),
    ),
    ...(MD5OfMessageAttributes === undefined
      ? {}
      : { md5OfMessageAttributes: MD5OfMessageAttributes }),
    md5OfBody: present(message, 'MD5OfBody'),
    eventSource: 'aws:sqs',
    eventSourceARN: queueArn,
    awsRegion: queueArn.split(':')[3] ?? '',
  };
}

/** The records in as many batches as it takes for each event to fit into one invocation. */
export function fittingBatches(records: readonly SQSRecord[]): SQSRecord[][] {
  const batches: SQSRecord[][] = [];
  let room = 0;
  for (const record of records) {
    // The comma after it, and for the first one the {"Records":[]} around it.
    const bytes = Buffer.byteLength(JSON.stringify(record)) + 1;
    if (bytes > room || batches.length === 0) {
      batches.push([]);
      room = MAX_INVOCATION_BYTES - '{"Records":[]}'.length;
    }
    batches.at(-1)?.push(record);
    room -= bytes;
  }
  return batches;
}

function present<Key extends string>(from: Partial<Record<Key, unknown>>, key: Key): string {
  const value = from[key];
  if (typeof value === 'string') return value;
  throw new TypeError(`ReceiveMessage answered with a message without ${key}.`);
}
