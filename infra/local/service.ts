import { SQSClient } from '@aws-sdk/client-sqs';
import { handler as api } from '../../functions/phase4-api/handler.ts';
import { handler as jobs } from '../../functions/phase5-jobs/handler.ts';
import { handler as relay } from '../../functions/phase5-relay/handler.ts';
import { settled } from '../../functions/runtime/after-response.ts';
import { withEnvironment } from '../../functions/runtime/environment.ts';
import { JOBS_CONSUMER, QUEUES } from '../queues.ts';
import { localFunctions } from './aws/functions.ts';
import type { LocalAws } from './aws/start.ts';
import { type Gateway, startGateway } from './http/gateway.ts';
import { type Queues, startQueues } from './queues/start-queues.ts';

export interface ServiceOptions {
  /** Of a login that is a member of `kits_app`, and may use the legacy tables. */
  readonly databaseUrl: string;
  /** Of the HTTP API; a free one by default. */
  readonly port?: number | undefined;
  /** Keeps the dev issuer's key here, so that tokens survive the process. */
  readonly issuerKeyFile?: string | undefined;
  /** How long a job that failed is hidden before it is tried again; as on AWS by default. */
  readonly jobsVisibilitySeconds?: number | undefined;
  /** Seconds between two runs of the relay; 1 by default. */
  readonly relaySeconds?: number | undefined;
}

/** The kits service on one machine: the API over HTTP, the queues, the consumer and the relay. */
export interface LocalService {
  readonly api: Gateway;
  readonly queues: Queues;
  /** For producers of jobs, and for readers of events. */
  readonly sqs: SQSClient;
  /** Ends what comes in; the consumer of jobs ends with the local AWS. */
  stop(options?: { readonly graceMs?: number }): Promise<void>;
}

/** Starts the queues, which the local AWS must know of before it is started itself. */
export const startServiceQueues = ({ jobsVisibilitySeconds }: ServiceOptions): Promise<Queues> =>
  startQueues(
    [
      {
        name: QUEUES.jobs.name,
        visibilityTimeoutSeconds: jobsVisibilitySeconds ?? QUEUES.jobs.visibilityTimeoutSeconds,
        deadLetter: {
          queue: QUEUES.jobs.deadLetters,
          maxReceiveCount: QUEUES.jobs.mostReceives,
        },
      },
      { name: QUEUES.jobs.deadLetters, visibilityTimeoutSeconds: 30 },
      {
        name: QUEUES.events.name,
        visibilityTimeoutSeconds: QUEUES.events.visibilityTimeoutSeconds,
        deadLetter: {
          queue: QUEUES.events.deadLetters,
          maxReceiveCount: QUEUES.events.mostReceives,
        },
      },
      { name: QUEUES.events.deadLetters, visibilityTimeoutSeconds: 30 },
    ],
    {},
  );

/** Where the queues are, for the functions that use them. */
export const queueVariables = (queues: Queues, mappingId: string): Record<string, string> => ({
  AWS_ENDPOINT_URL_SQS: queues.endpoint,
  JOBS_QUEUE_URL: queues.queueUrl(QUEUES.jobs.name),
  JOBS_DEAD_LETTER_QUEUE_URL: queues.queueUrl(QUEUES.jobs.deadLetters),
  EVENTS_QUEUE_URL: queues.queueUrl(QUEUES.events.name),
  JOBS_MAPPING_ID: mappingId,
  JOBS_MOST_RECEIVES: String(JOBS_CONSUMER.mostReceives),
});

/** The same on every machine, so that a restart finds what an operator has paused. */
export const JOBS_MAPPING_ID = '6b697473-6a6f-4273-8000-000000000001';

/** The relay runs every second and its log tells of each failure: what stays is for the terminal, too. */
const FAILURES_TO_TELL = 3;

/**
 * Starts the service beside a local AWS.
 *
 * @param variables of the functions' environment; the service's own login takes the operator's place
 */
export const startService = async (
  options: ServiceOptions,
  aws: LocalAws,
  queues: Queues,
  given: { readonly variables: NodeJS.ProcessEnv; readonly log: (line: string) => void },
): Promise<LocalService> => {
  const { databaseUrl, port, issuerKeyFile, relaySeconds = 1, jobsVisibilitySeconds } = options;
  const scope = { ...given, variables: { ...given.variables, DATABASE_URL: databaseUrl } };
  const gateway = await startGateway({
    handler: (event, context) => withEnvironment(scope, () => api(event, context)),
    ...(port === undefined ? {} : { port }),
    ...(issuerKeyFile === undefined ? {} : { issuerKeyFile }),
  });
  const timeoutSeconds = Math.min(JOBS_CONSUMER.timeoutSeconds, jobsVisibilitySeconds ?? 900);
  const consumer = aws.functionArn('phase5-jobs');
  aws.registerFunction(
    consumer,
    (event, context) =>
      withEnvironment(scope, () => jobs(event as Parameters<typeof jobs>[0], context)),
    { timeoutSeconds },
  );
  await aws.registerEventSourceMapping({
    uuid: JOBS_MAPPING_ID,
    queueArn: queues.queueArn(QUEUES.jobs.name),
    functionArn: consumer,
    batchSize: JOBS_CONSUMER.batchSize,
    maximumConcurrency: JOBS_CONSUMER.maximumConcurrency,
    functionResponseTypes: ['ReportBatchItemFailures'],
  });
  const rules = localFunctions();
  const relayArn = aws.functionArn('phase5-relay');
  rules.register(
    relayArn,
    (event, context) => withEnvironment(scope, () => relay(event, context)),
    {
      timeoutSeconds: 60,
    },
  );
  let relaying = false;
  let failures = 0;
  const scheduled = setInterval(() => {
    if (relaying) return;
    relaying = true;
    rules
      .invoke(relayArn, '{}')
      .then(
        () => {
          failures = 0;
        },
        (error: unknown) => {
          failures += 1;
          if (failures === FAILURES_TO_TELL)
            process.emitWarning(`the relay fails each time: ${String(error)}`);
        },
      )
      .finally(() => {
        relaying = false;
      });
  }, relaySeconds * 1000);
  scheduled.unref();
  const sqs = new SQSClient({
    endpoint: queues.endpoint,
    region: aws.region,
    credentials: aws.credentials,
    useQueueUrlAsEndpoint: false,
  });
  return {
    api: gateway,
    queues,
    sqs,
    async stop(grace) {
      clearInterval(scheduled);
      await gateway.stop(grace);
      await settled();
      await rules.idle();
      sqs.destroy();
    },
  };
};
