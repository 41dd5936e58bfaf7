import { GetQueueAttributesCommand, type SQSClient } from '@aws-sdk/client-sqs';
import { ServiceError } from './service-error.ts';

/**
 * The queue and the function exist, and messages do not reappear while the function may still be at work
 * on them.
 *
 * @param timeoutSeconds the function's; undefined when there is none.
 */
export async function requireFittingQueue(
  sqs: SQSClient,
  { queueUrl, queueArn }: { readonly queueUrl: string; readonly queueArn: string },
  timeoutSeconds: number | undefined,
): Promise<void> {
  if (timeoutSeconds === undefined) throw invalid('Function does not exist');
  const { Attributes } = await sqs.send(
    new GetQueueAttributesCommand({
      QueueUrl: queueUrl,
      AttributeNames: ['QueueArn', 'VisibilityTimeout'],
    }),
  );
  if (Attributes?.QueueArn !== queueArn) {
    throw invalid(`${queueArn} does not exist; the queue of that name is ${Attributes?.QueueArn}.`);
  }
  const visibility = Number(Attributes.VisibilityTimeout);
  if (visibility >= timeoutSeconds) return;
  throw invalid(
    `Queue visibility timeout: ${visibility} seconds is less than Function timeout: ${timeoutSeconds} seconds`,
  );
}

/** A batch of more than one receive needs a window. */
export function requireBatch(batchSize: number, windowSeconds: number): void {
  if (!Number.isInteger(batchSize) || batchSize < 1 || batchSize > 10_000) {
    throw invalid(`The batch size is a whole number from 1 to 10000, not ${batchSize}.`);
  }
  if (!Number.isInteger(windowSeconds) || windowSeconds < 0 || windowSeconds > 300) {
    throw invalid(`The batching window is a whole number from 0 to 300, not ${windowSeconds}.`);
  }
  if (batchSize <= 10 || windowSeconds > 0) return;
  throw invalid(
    'Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10',
  );
}

export function requireConcurrency(concurrency: number | undefined): void {
  if (concurrency === undefined) return;
  if (Number.isInteger(concurrency) && concurrency >= 2 && concurrency <= 1000) return;
  throw invalid(`The maximum concurrency is a whole number from 2 to 1000, not ${concurrency}.`);
}

/** What AWS answers to a wrong value. */
export function invalid(message: string): ServiceError {
  return new ServiceError('InvalidParameterValueException', message);
}

export function requireNew(registered: ReadonlyMap<string, unknown>, uuid: string): void {
  if (!registered.has(uuid)) return;
  throw new ServiceError(
    'ResourceConflictException',
    'An event source mapping for this queue and this function already exists. ' +
      `Please update or delete the existing mapping with UUID ${uuid}`,
    409,
  );
}
