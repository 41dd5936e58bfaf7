import { setTimeout as sleep } from 'node:timers/promises';
import {
  ChangeMessageVisibilityBatchCommand,
  DeleteMessageBatchCommand,
  ReceiveMessageCommand,
  type SQSClient,
} from '@aws-sdk/client-sqs';
import type { SQSRecord } from 'aws-lambda';
import { reportedFailures } from './batch-response.ts';
import { fittingBatches, sqsRecord } from './sqs-event.ts';

export type PollerOptions = {
  readonly sqs: SQSClient;
  readonly queueUrl: string;
  readonly queueArn: string;
  /** Most messages of one invocation; asked before each poll. */
  readonly batchSize: () => number;
  /** How long messages may be gathered for one invocation; 0 takes what one poll brings. */
  readonly windowSeconds: number;
  /** Most invocations at a time. */
  readonly concurrency: number;
  /** Without it an answered invocation has succeeded with all its messages. */
  readonly reportsFailures: boolean;
  /** Calls the function with a JSON text; rejects when the invocation fails. */
  readonly invoke: (payload: string) => Promise<string>;
  /** Told of what on AWS only metrics show. No error has a message's content. */
  readonly onError: (error: PollerError) => void;
};

export type Poller = {
  /**
   * Ends polling. Resolves when the poll and the invocations under way have ended. Messages that arrived
   * and were not given to the function yet are visible again then, received once more: that counts towards
   * the dead-letter queue. AWS promises no more; there they may stay hidden for the visibility timeout.
   */
  stop(): Promise<void>;
};

/** A poll, an invocation or a deletion of an event source mapping failed; the message names the queue. */
export class PollerError extends Error {
  override readonly name = 'PollerError';
}

/**
 * How long a poll waits for messages. Lambda's wait 20 s. It is how long stopping takes at most on an idle
 * queue: a poll is never broken off, because the server would then give its messages to nobody.
 */
const LONG_POLL_SECONDS = 1;
const PAUSE_AFTER_ERROR_MS = 1_000;
/** SQS' limit for one request. */
const MOST_PER_REQUEST = 10;

/**
 * Does what Lambda's poller does for one queue and one function: receives, invokes, deletes what
 * succeeded. What failed, or was never answered, stays in the queue and is visible again after the queue's
 * visibility timeout. Unlike Lambda it does not scale, neither up with the queue nor down on errors.
 */
export function startPoller(options: PollerOptions): Poller {
  const { sqs, queueUrl: QueueUrl, queueArn } = options;
  const invocations = new Set<Promise<void>>();
  let stopping = false;

  const failed = (what: string, cause: unknown) => {
    const why = cause instanceof Error ? cause.name : String(cause);
    options.onError(new PollerError(`${queueArn}: ${what} (${why})`, { cause }));
  };

  const receive = async (most: number): Promise<SQSRecord[]> => {
    try {
      const { Messages = [] } = await sqs.send(
        new ReceiveMessageCommand({
          QueueUrl,
          MaxNumberOfMessages: Math.min(most, MOST_PER_REQUEST),
          WaitTimeSeconds: LONG_POLL_SECONDS,
          MessageSystemAttributeNames: ['All'],
          MessageAttributeNames: ['All'],
        }),
      );
      return Messages.map((message) => sqsRecord(message, queueArn));
    } catch (error) {
      failed('a poll failed', error);
      await sleep(PAUSE_AFTER_ERROR_MS);
      return [];
    }
  };

  /** Messages for one invocation; none when the poll brought none. */
  const gather = async (): Promise<SQSRecord[]> => {
    const batchSize = options.batchSize();
    const gathered = await receive(batchSize);
    const until = performance.now() + options.windowSeconds * 1000;
    while (
      !stopping &&
      gathered.length > 0 &&
      gathered.length < batchSize &&
      performance.now() < until
    ) {
      gathered.push(...(await receive(batchSize - gathered.length)));
    }
    return gathered;
  };

  const remove = async (records: readonly SQSRecord[]): Promise<void> => {
    for (const Entries of requests(records)) {
      try {
        const { Failed = [] } = await sqs.send(
          new DeleteMessageBatchCommand({ QueueUrl, Entries }),
        );
        if (Failed.length > 0) failed('done messages were not deleted', Failed[0]?.Code);
      } catch (error) {
        failed('done messages were not deleted', error);
      }
    }
  };

  const release = async (records: readonly SQSRecord[]): Promise<void> => {
    for (const entries of requests(records)) {
      const Entries = entries.map((entry) => ({ ...entry, VisibilityTimeout: 0 }));
      try {
        await sqs.send(new ChangeMessageVisibilityBatchCommand({ QueueUrl, Entries }));
      } catch (error) {
        failed('messages stay hidden until their visibility timeout', error);
      }
    }
  };

  const invoke = async (records: readonly SQSRecord[]): Promise<void> => {
    let answer: string;
    try {
      answer = await options.invoke(JSON.stringify({ Records: records }));
    } catch (error) {
      failed('an invocation failed, its messages stay', error);
      return;
    }
    const batch = new Set(records.map(({ messageId }) => messageId));
    const failures = options.reportsFailures ? reportedFailures(answer, batch) : new Set<string>();
    if (failures) await remove(records.filter(({ messageId }) => !failures.has(messageId)));
    else failed('an answer was malformed, its messages stay', 'batchItemFailures');
  };

  const begin = (records: readonly SQSRecord[]): void => {
    const invocation = invoke(records).finally(() => invocations.delete(invocation));
    invocations.add(invocation);
  };

  const run = async (): Promise<void> => {
    while (!stopping) {
      if (invocations.size >= options.concurrency) {
        await Promise.race(invocations);
        continue;
      }
      const gathered = await gather();
      if (stopping) await release(gathered);
      else for (const batch of fittingBatches(gathered)) begin(batch);
    }
    await Promise.all(invocations);
  };

  const running = run();
  return {
    stop() {
      stopping = true;
      return running;
    },
  };
}

/** Batch entries, as many lists as there are requests to send. */
function requests(records: readonly SQSRecord[]): { Id: string; ReceiptHandle: string }[][] {
  const entries = records.map(({ receiptHandle }, at) => ({
    Id: String(at),
    ReceiptHandle: receiptHandle,
  }));
  return Array.from({ length: Math.ceil(entries.length / MOST_PER_REQUEST) }, (_, at) =>
    entries.slice(at * MOST_PER_REQUEST, (at + 1) * MOST_PER_REQUEST),
  );
}
