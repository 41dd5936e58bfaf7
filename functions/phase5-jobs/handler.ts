import { BatchProcessor, EventType, processPartialResponse } from '@aws-lambda-powertools/batch';
import middy from '@middy/core';
import { markWork, unmarkWork } from '@unified-kits/data';
import {
  type Job,
  JobRejected,
  parseJob,
  type Resolution,
  type ResolutionPath,
} from '@unified-kits/domain';
import type { Context, SQSBatchResponse, SQSEvent, SQSRecord } from 'aws-lambda';
import { databaseOf } from '../runtime/database.ts';
import { type Environment, readEnvironment } from '../runtime/environment.ts';
import { publicError } from '../runtime/faults.ts';
import { flagStoreOf } from '../runtime/flag-store.ts';
import { jobsServiceOf } from '../runtime/jobs-service.ts';
import { METRICS } from '../runtime/metric-names.ts';
import { serviceLog } from '../runtime/service-log.ts';
import { metricsMiddleware, serviceMetrics } from '../runtime/service-metrics.ts';
import { deadLetter } from './dead-letter.ts';
import { putBack } from './put-back.ts';

/** The function's folder, and its name in `kits_service.work_mark`. */
export const PHASE = 'phase5-jobs';

/** What a message turned out to be. */
type Read = { readonly job: Job; readonly resolution: Resolution } | { readonly fault: unknown };

const PATHS: Readonly<Record<ResolutionPath, keyof typeof METRICS>> = {
  kitsId: 'JobsByKitsId',
  legacyId: 'JobsByLegacyId',
  kitNumber: 'JobsByKitNumber',
};

const parsed = (record: SQSRecord): Job | JobRejected => {
  try {
    return parseJob(record.body, Date.now());
  } catch (error) {
    if (error instanceof JobRejected) return error;
    throw error;
  }
};

/** Reads a whole batch: all its references are looked up by one query. */
const readBatch = async (
  environment: Environment,
  records: readonly SQSRecord[],
): Promise<ReadonlyMap<string, Read>> => {
  const bodies = records.map((record) => [record.messageId, parsed(record)] as const);
  const jobs = bodies.flatMap(([, job]) => (job instanceof JobRejected ? [] : [job]));
  const service = await jobsServiceOf(environment, PHASE);
  let found: readonly (Resolution | JobRejected)[] = [];
  let fault: unknown;
  try {
    found = await service.resolve(jobs);
  } catch (error) {
    fault = error;
  }
  const answers = new Map(jobs.map((job, index) => [job, found[index] ?? fault]));
  return new Map(
    bodies.map(([id, job]): [string, Read] => {
      if (job instanceof JobRejected) return [id, { fault: job }];
      const answer = answers.get(job);
      return answer instanceof Error
        ? [id, { fault: answer }]
        : [id, { job, resolution: answer as Resolution }];
    }),
  );
};

const countResolution = ({ path, conflicting }: Resolution): void => {
  const metrics = serviceMetrics(PHASE);
  metrics.count(METRICS[PATHS[path]]);
  if (conflicting) metrics.count(METRICS.JobsConflicting);
};

const OUTCOMES = {
  applied: METRICS.JobsApplied,
  stale: METRICS.JobsStale,
  duplicate: METRICS.JobsDuplicate,
} as const;

const applyOne = async (environment: Environment, read: Read): Promise<void> => {
  if ('fault' in read) throw read.fault;
  const { job, resolution } = read;
  const outcome = await (await jobsServiceOf(environment, PHASE)).apply(job, resolution);
  countResolution(resolution);
  serviceMetrics(PHASE).count(OUTCOMES[outcome]);
  if (resolution.conflicting)
    serviceLog(PHASE).warn('a job names more than one kit', {
      jobId: job.jobId,
      source: resolution.key.source,
      legacyId: resolution.key.legacyId,
      path: resolution.path,
    });
};

/** The last try: the queue would give the message up after it, and nobody would know why. */
const isLastReceive = (record: SQSRecord, { queues }: Environment): boolean =>
  Number(record.attributes.ApproximateReceiveCount) >= queues.mostReceives;

const handleOne = async (
  environment: Environment,
  record: SQSRecord,
  read: Read | undefined,
): Promise<void> => {
  try {
    await applyOne(environment, read ?? { fault: new TypeError('a message without an answer') });
  } catch (error) {
    const known = publicError(error);
    const rejected = known instanceof JobRejected;
    const told = {
      messageId: record.messageId,
      reason: rejected ? known.reason : known instanceof Error ? known.name : 'unknown',
      // Of ours, names of fields; of others the message may quote a value.
      detail: rejected ? known.message : undefined,
    };
    if (!rejected && !isLastReceive(record, environment)) {
      serviceLog(PHASE).warn('a job will be tried again', told);
      throw known;
    }
    await deadLetter(environment, record, {
      reason: told.reason,
      detail: rejected ? known.message : 'it failed at every try',
    });
    serviceMetrics(PHASE).count(METRICS.JobsRejected);
    serviceLog(PHASE).warn('a job was given up', told);
  }
};

const processor = () => new BatchProcessor(EventType.SQS);

/**
 * The consumer of `kit-jobs`. What cannot ever be applied goes to the dead-letter queue by itself, with its
 * reason; what fails for the time being stays on the queue alone.
 */
const consume = async (event: SQSEvent, context: Context): Promise<SQSBatchResponse> => {
  const environment = readEnvironment();
  const db = databaseOf(environment);
  const deadline = Date.now() + context.getRemainingTimeInMillis();
  // First the mark, then the guard: whoever sets the guard and then finds no mark knows that nobody is at work.
  const mark = await db.transaction({ asApplication: true }, (session) =>
    markWork(session, PHASE, deadline),
  );
  try {
    if (await flagStoreOf(environment).guard()) {
      const failed = await putBack(environment, event.Records);
      return { batchItemFailures: failed.map((itemIdentifier) => ({ itemIdentifier })) };
    }
    const reads = await readBatch(environment, event.Records);
    return await processPartialResponse(
      event,
      (record: SQSRecord) => handleOne(environment, record, reads.get(record.messageId)),
      processor(),
      { context, processInParallel: false, throwOnFullBatchFailure: false },
    );
  } finally {
    await db.transaction({ asApplication: true }, (session) => unmarkWork(session, mark));
  }
};

export const handler = middy<SQSEvent, SQSBatchResponse>()
  .use(metricsMiddleware)
  .handler((event: SQSEvent, context: Context) => consume(event, context));
