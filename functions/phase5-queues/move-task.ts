import { setTimeout as sleep } from 'node:timers/promises';
import {
  GetQueueAttributesCommand,
  ListMessageMoveTasksCommand,
  type ListMessageMoveTasksResultEntry,
  type SQSClient,
  StartMessageMoveTaskCommand,
} from '@aws-sdk/client-sqs';
import { hasReason, QueuesUnreachable } from '../runtime/queues.ts';

/** How endpoints that are not AWS' say that they do not know an operation. */
const UNKNOWN_OPERATION = [
  'InvalidAction',
  'UnknownOperationException',
  'UnsupportedOperation',
  'AWS.SimpleQueueService.UnsupportedOperation',
  'NotImplemented',
];

const POLL_MS = 1_000;

const arnOf = async (sqs: SQSClient, QueueUrl: string): Promise<string> => {
  const { Attributes = {} } = await sqs.send(
    new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ['QueueArn'] }),
  );
  const arn = Attributes.QueueArn;
  if (arn === undefined) throw new TypeError('a queue has an ARN');
  return arn;
};

type Task = ListMessageMoveTasksResultEntry;

/** The task that was started last. */
const latestTask = async (sqs: SQSClient, SourceArn: string): Promise<Task | undefined> => {
  const { Results = [] } = await sqs.send(
    new ListMessageMoveTasksCommand({ SourceArn, MaxResults: 10 }),
  );
  return Results.toSorted((a, b) => (b.StartedTimestamp ?? 0) - (a.StartedTimestamp ?? 0))[0];
};

const isUnderWay = (task: Task | undefined): boolean =>
  task?.Status === 'RUNNING' || task?.Status === 'CANCELLING';

export interface Moved {
  /** Whether all were moved; false when the time was up, or somebody cancelled it: the task goes on by itself. */
  readonly done: boolean;
  readonly redriven: number;
}

/**
 * Moves all messages of one queue to another, as SQS does by itself; joins the task that is under way, for a
 * queue has one at a time. The target is named: what the consumer itself has given up has no queue that SQS
 * would know it came from.
 *
 * @param until in milliseconds of `Date.now()`
 * @returns undefined where the endpoint does not know the operation.
 * @throws {QueuesUnreachable} with SQS' reason when the task fails.
 */
export const moveAll = async (
  sqs: SQSClient,
  queues: { readonly from: string; readonly to: string },
  until: number,
): Promise<Moved | undefined> => {
  const SourceArn = await arnOf(sqs, queues.from);
  const DestinationArn = await arnOf(sqs, queues.to);
  let before: Task | undefined;
  try {
    before = await latestTask(sqs, SourceArn);
    if (!isUnderWay(before))
      await sqs.send(new StartMessageMoveTaskCommand({ SourceArn, DestinationArn }));
  } catch (error) {
    if (hasReason(error, ...UNKNOWN_OPERATION)) return undefined;
    throw error;
  }
  const since = isUnderWay(before) ? 0 : (before?.StartedTimestamp ?? 0);
  for (;;) {
    const task = await latestTask(sqs, SourceArn);
    // A task that was started just now may not be listed yet.
    const ours = (task?.StartedTimestamp ?? 0) > since ? task : undefined;
    const redriven = ours?.ApproximateNumberOfMessagesMoved ?? 0;
    if (ours?.Status === 'FAILED')
      throw new QueuesUnreachable('StartMessageMoveTask', ours.FailureReason ?? 'FAILED');
    if (ours !== undefined && !isUnderWay(ours))
      return { done: ours.Status === 'COMPLETED', redriven };
    if (Date.now() + POLL_MS > until) return { done: false, redriven };
    await sleep(POLL_MS);
  }
};
