import { randomUUID } from 'node:crypto';
import { GetQueueAttributesCommand, SendMessageBatchCommand } from '@aws-sdk/client-sqs';
import { jobsService, openDatabase } from '@unified-kits/data';
import { type Job, JobRejected, parseJob, referenceMapping } from '@unified-kits/domain';
import type { SQSBatchResponse, SQSEvent } from 'aws-lambda';
import { startSystem } from '../../infra/local/system.ts';
import { JOBS_CONSUMER, QUEUES } from '../../infra/queues.ts';
import { seconds } from './measures.ts';
import type { SampledKit, ServiceRig } from './service-rig.ts';

const { batchSize } = JOBS_CONSUMER;

/** All payload shapes in turn: a kits id, a legacy id, a kit number, all of them. */
const referencesOf = ({ source, legacyId, kitsId, kitNumber }: SampledKit, n: number) => {
  const legacy = { [source === 'kit' ? 'kitId' : 'practitionerKitId']: legacyId };
  return [{ kitsId }, legacy, { kitNumber }, { kitsId, ...legacy, kitNumber }][n % 4] ?? {};
};

const bodyOf = (kit: SampledKit, n: number): string =>
  JSON.stringify({
    jobId: randomUUID(),
    type: 'kit.results-ready',
    version: 1,
    occurredAt: new Date().toISOString(),
    ...referencesOf(kit, n),
  });

const batchesOf = <Item>(items: readonly Item[]): Item[][] =>
  Array.from({ length: Math.ceil(items.length / batchSize) }, (_, n) =>
    items.slice(n * batchSize, (n + 1) * batchSize),
  );

/**
 * The time of one query a message as a multiple of one query a batch, on the same batches in turn.
 *
 * @returns one ratio a round
 */
export const measureResolution = async (
  { serviceUrl, flags }: ServiceRig,
  kits: readonly SampledKit[],
  rounds: number,
): Promise<number[]> => {
  const db = openDatabase(serviceUrl, 1);
  const service = jobsService({
    db,
    mapping: referenceMapping,
    flags,
    observer: { redirected: () => {}, staleReadAvoided: () => {} },
  });
  const batches = batchesOf(kits.map((kit, n) => parseJob(bodyOf(kit, n), Date.now())));
  const resolve = async (jobs: readonly Job[]) => {
    const resolved = await service.resolve(jobs);
    if (resolved.some((one) => one instanceof JobRejected)) throw new Error('a kit is not found');
  };
  const ratios: number[] = [];
  try {
    for (let round = -1; round < rounds; round += 1) {
      const took = { batch: 0, message: 0 };
      for (const jobs of batches) {
        took.batch += await seconds(() => resolve(jobs));
        took.message += await seconds(async () => {
          for (const job of jobs) await resolve([job]);
        });
      }
      // The first one warms up.
      if (round >= 0) ratios.push(took.message / took.batch);
    }
  } finally {
    await db.close();
  }
  return ratios;
};

const eventOf = (bodies: readonly string[]): SQSEvent => ({
  Records: bodies.map((body) => ({
    messageId: randomUUID(),
    receiptHandle: 'none',
    body,
    attributes: {
      ApproximateReceiveCount: '1',
      SentTimestamp: String(Date.now()),
      SenderId: 'bench',
      ApproximateFirstReceiveTimestamp: String(Date.now()),
    },
    messageAttributes: {},
    md5OfBody: '',
    eventSource: 'aws:sqs',
    eventSourceARN: 'arn:aws:sqs:eu-west-1:000000000000:kit-jobs',
    awsRegion: 'eu-west-1',
  })),
});

/**
 * Jobs per second of the consumer, each for a kit of its own, in batches of ten.
 *
 * @param invocations at the same time
 */
export const measureConsumer = async (
  rig: ServiceRig,
  kits: readonly SampledKit[],
  invocations: number,
): Promise<number> => {
  const events = batchesOf(kits.map(bodyOf)).map(eventOf);
  const waiting = [...events];
  const lane = async () => {
    for (let event = waiting.pop(); event !== undefined; event = waiting.pop()) {
      const { batchItemFailures } = (await rig.invoke('jobs', event)) as SQSBatchResponse;
      if (batchItemFailures.length > 0) throw new Error('a job failed');
    }
  };
  const took = await seconds(() => Promise.all(Array.from({ length: invocations }, lane)));
  const { rows } = await rig.db.pool.query(
    `select count(*)::int as n from kits_service.handled_job where outcome = 'applied'`,
  );
  if (rows[0].n < kits.length) throw new Error(`only ${rows[0].n} jobs were applied`);
  return kits.length / took;
};

/** The time from the workers' resumption until a backlog is done and gone, through the local queues, in seconds. */
export const measureResume = async (
  { url, serviceUrl, db }: ServiceRig,
  kits: readonly SampledKit[],
): Promise<number> => {
  const system = await startSystem({
    databaseUrl: url,
    environment: 'resume',
    service: { databaseUrl: serviceUrl },
  });
  const { service } = system;
  if (service === undefined) throw new TypeError('a system with a service');
  const QueueUrl = service.queues.queueUrl(QUEUES.jobs.name);
  const countHandled = async (): Promise<number> =>
    (await db.pool.query('select count(*)::int as n from kits_service.handled_job')).rows[0].n;
  const left = async () => {
    const { Attributes = {} } = await service.sqs.send(
      new GetQueueAttributesCommand({
        QueueUrl,
        AttributeNames: ['ApproximateNumberOfMessages', 'ApproximateNumberOfMessagesNotVisible'],
      }),
    );
    return Object.values(Attributes).reduce((sum, count) => sum + Number(count), 0);
  };
  try {
    await system.invoke('phase5-queues', { action: 'pause-workers', actor: 'bench' });
    for (const bodies of batchesOf(kits.map(bodyOf)))
      await service.sqs.send(
        new SendMessageBatchCommand({
          QueueUrl,
          Entries: bodies.map((MessageBody, n) => ({ Id: String(n), MessageBody })),
        }),
      );
    const before = await countHandled();
    const took = await seconds(async () => {
      await system.invoke('phase5-queues', { action: 'resume-workers', actor: 'bench' });
      while ((await left()) > 0) await new Promise((resolve) => setTimeout(resolve, 100));
    });
    const handled = (await countHandled()) - before;
    if (handled !== kits.length) throw new Error(`${handled} of ${kits.length} jobs were handled`);
    return took;
  } finally {
    await system.stop();
  }
};
