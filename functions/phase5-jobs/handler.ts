import { BatchProcessor, EventType, processPartialResponse } from '@aws-lambda-powertools/batch';
import middy from '@middy/core';
import { type Database, markWork, unmarkWork } from '@unified-kits/data';
import type { Context, SQSBatchResponse, SQSEvent, SQSRecord } from 'aws-lambda';
import { databaseOf } from '../runtime/database.ts';
import { type Environment, readEnvironment } from '../runtime/environment.ts';
import { publicError } from '../runtime/faults.ts';
import { flagStoreOf } from '../runtime/flag-store.ts';
import { jobsServiceOf } from '../runtime/jobs-service.ts';
import { serviceLog } from '../runtime/service-log.ts';
import { metricsMiddleware } from '../runtime/service-metrics.ts';
import { applyMessage } from './apply-message.ts';
import { giveUpOrLeave, isLastReceive } from './give-up.ts';
import { PHASE } from './phase.ts';
import { putBack } from './put-back.ts';
import { readBatch } from './read-batch.ts';

/** As long as a statement of a job may take: with less time left none is begun, for it would be cut off. */
const LONGEST_JOB_MS = 10_000;

const failures = (ids: readonly string[]): SQSBatchResponse => ({
  batchItemFailures: ids.map((itemIdentifier) => ({ itemIdentifier })),
});

/** Says that work is under way for as long as it is. */
const marked = async <Result>(
  db: Database,
  context: Context,
  work: () => Promise<Result>,
): Promise<Result> => {
  const id = context.awsRequestId;
  const remainingMs = context.getRemainingTimeInMillis();
  await db.transaction({ asApplication: true }, (session) =>
    markWork(session, { id, worker: PHASE, remainingMs }),
  );
  try {
    return await work();
  } finally {
    // What was done stays done: a mark that cannot be taken off ends with the worker's time.
    await db
      .transaction({ asApplication: true }, (session) => unmarkWork(session, id))
      .catch((error: unknown) => serviceLog(PHASE).error('a mark stays until its time', error));
  }
};

/** Applies a batch: what cannot be applied concerns one message alone, and so does what there is no time for. */
const apply = async (
  environment: Environment,
  event: SQSEvent,
  context: Context,
): Promise<SQSBatchResponse> => {
  const service = await jobsServiceOf(environment, PHASE);
  const reserve = Math.min(LONGEST_JOB_MS, context.getRemainingTimeInMillis() / 3);
  const reads = await readBatch(service, event.Records);
  const answers = new Map(event.Records.map((record, index) => [record, reads[index]]));
  const untried: SQSRecord[] = [];
  const one = async (record: SQSRecord): Promise<void> => {
    const read = answers.get(record);
    if (read === undefined) throw new TypeError('a message without an answer');
    if (context.getRemainingTimeInMillis() < reserve) {
      untried.push(record);
      return;
    }
    try {
      await applyMessage(service, read);
    } catch (error) {
      await giveUpOrLeave(environment, record, error);
    }
  };
  const { batchItemFailures } = await processPartialResponse(
    event,
    one,
    new BatchProcessor(EventType.SQS),
    { context, processInParallel: false, throwOnFullBatchFailure: false },
  );
  const left = untried.length === 0 ? [] : await putBack(environment, untried);
  return { batchItemFailures: [...batchItemFailures, ...failures(left).batchItemFailures] };
};

/**
 * When nothing could be tried, because the database was out of reach: all stay, and Lambda polls less often
 * for the error. Those at their last receive would be given up without a word, so they get the reason now.
 *
 * @throws the error, when all stay.
 */
const leaveAll = async (
  environment: Environment,
  { Records }: SQSEvent,
  error: unknown,
): Promise<SQSBatchResponse> => {
  const fault = publicError(error);
  serviceLog(PHASE).error('no job of a batch could be tried', fault, { count: Records.length });
  if (!Records.some((record) => isLastReceive(record, environment))) throw fault;
  const left: string[] = [];
  for (const record of Records)
    try {
      await giveUpOrLeave(environment, record, fault);
    } catch {
      left.push(record.messageId);
    }
  return failures(left);
};

/**
 * The consumer of `kit-jobs`. What cannot ever be applied goes to the dead-letter queue by itself, with its
 * reason; what fails for the time being stays on the queue alone; what nobody tried is put back.
 */
const consume = async (event: SQSEvent, context: Context): Promise<SQSBatchResponse> => {
  const environment = readEnvironment();
  try {
    // First the mark, then the guard: whoever sets the guard and then finds no mark knows that nobody is at work.
    return await marked(databaseOf(environment), context, async () =>
      (await flagStoreOf(environment).guard())
        ? failures(await putBack(environment, event.Records))
        : await apply(environment, event, context),
    );
  } catch (error) {
    return await leaveAll(environment, event, error);
  }
};

export const handler = middy<SQSEvent, SQSBatchResponse>()
  .use(metricsMiddleware)
  .handler((event: SQSEvent, context: Context) => consume(event, context));
