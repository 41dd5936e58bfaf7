import {
  ChangeMessageVisibilityBatchCommand,
  DeleteMessageBatchCommand,
  type Message,
  ReceiveMessageCommand,
  type SQSClient,
} from '@aws-sdk/client-sqs';

/** SQS' limit for one request. */
export const MOST_PER_CALL = 10;

/** Long enough for SQS to ask all of its servers: a short poll may find nothing where there is something. */
const WAIT_SECONDS = 1;

/** Receives up to ten messages, and hides them from others; none means that there are no more. */
export const hold = async (
  sqs: SQSClient,
  QueueUrl: string,
  { most, seconds }: { readonly most: number; readonly seconds: number },
): Promise<readonly Message[]> => {
  const { Messages = [] } = await sqs.send(
    new ReceiveMessageCommand({
      QueueUrl,
      MaxNumberOfMessages: Math.min(most, MOST_PER_CALL),
      VisibilityTimeout: seconds,
      WaitTimeSeconds: WAIT_SECONDS,
      MessageAttributeNames: ['All'],
      MessageSystemAttributeNames: ['ApproximateReceiveCount', 'SentTimestamp'],
    }),
  );
  return Messages;
};

const entries = (messages: readonly Message[]) =>
  Array.from({ length: Math.ceil(messages.length / MOST_PER_CALL) }, (_, call) =>
    messages
      .slice(call * MOST_PER_CALL, (call + 1) * MOST_PER_CALL)
      .map(({ ReceiptHandle }, index) => ({ Id: String(index), ReceiptHandle })),
  );

/** Shows held messages to everybody again. What cannot be shown now is by itself, when its time is up. */
export const giveBack = async (
  sqs: SQSClient,
  QueueUrl: string,
  messages: readonly Message[],
): Promise<void> => {
  for (const part of entries(messages)) {
    const Entries = part.map((entry) => ({ ...entry, VisibilityTimeout: 0 }));
    await sqs.send(new ChangeMessageVisibilityBatchCommand({ QueueUrl, Entries }));
  }
};

/** Deletes held messages. Returns how many were not: they are seen again when their time is up. */
export const remove = async (
  sqs: SQSClient,
  QueueUrl: string,
  messages: readonly Message[],
): Promise<number> => {
  let left = 0;
  for (const Entries of entries(messages)) {
    const { Failed = [] } = await sqs.send(new DeleteMessageBatchCommand({ QueueUrl, Entries }));
    left += Failed.length;
  }
  return left;
};
