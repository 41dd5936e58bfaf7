import { SendMessageBatchCommand, type SQSClient } from '@aws-sdk/client-sqs';
import type { MessageAttributes } from './dead-letter-reason.ts';

export interface OutgoingMessage {
  readonly body: string;
  readonly attributes?: MessageAttributes;
  /** How long nobody receives it. */
  readonly delaySeconds?: number;
}

export interface Sent {
  /** Of each message, in order, whether the queue took it. */
  readonly taken: readonly boolean[];
  /** Why a whole call failed, if one did. */
  readonly fault: unknown;
}

const MOST_PER_CALL = 10;
/** What a call takes everywhere; a single message may be longer. */
const MOST_BYTES = 262_144;

const bytesOf = ({ body, attributes = {} }: OutgoingMessage): number =>
  Object.entries(attributes).reduce(
    (bytes, [name, { DataType = '', StringValue = '', BinaryValue }]) =>
      bytes + Buffer.byteLength(name + DataType + StringValue) + (BinaryValue?.byteLength ?? 0),
    Buffer.byteLength(body),
  );

/** The messages in order, in as many lists as it takes calls to send them. */
const calls = (messages: readonly OutgoingMessage[]): OutgoingMessage[][] => {
  const parts: OutgoingMessage[][] = [];
  let room = 0;
  for (const message of messages) {
    const bytes = bytesOf(message);
    const part = parts.at(-1);
    if (part === undefined || part.length === MOST_PER_CALL || bytes > room) {
      parts.push([message]);
      room = MOST_BYTES - bytes;
    } else {
      part.push(message);
      room -= bytes;
    }
  }
  return parts;
};

/** Sends messages. One that the queue does not take keeps none of the others back. */
export const sendMessages = async (
  sqs: SQSClient,
  queueUrl: string,
  messages: readonly OutgoingMessage[],
): Promise<Sent> => {
  const taken: boolean[] = [];
  let fault: unknown;
  for (const part of calls(messages)) {
    const ids = new Set<string>();
    try {
      const { Successful = [] } = await sqs.send(
        new SendMessageBatchCommand({
          QueueUrl: queueUrl,
          Entries: part.map(({ body, attributes, delaySeconds }, index) => ({
            Id: String(index),
            MessageBody: body,
            MessageAttributes: attributes,
            DelaySeconds: delaySeconds,
          })),
        }),
      );
      for (const { Id } of Successful) if (Id !== undefined) ids.add(Id);
    } catch (error) {
      fault ??= error;
    }
    taken.push(...part.map((_, index) => ids.has(String(index))));
  }
  return { taken, fault };
};
