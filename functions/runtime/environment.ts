import { AsyncLocalStorage } from 'node:async_hooks';
import { InvalidInput } from '@unified-kits/domain';
import { z } from 'zod';

const variables = z
  .object({
    DATABASE_URL: z.string().min(1),
    DATABASE_SECRET_ID: z.string().min(1).optional(),
    KITS_ENVIRONMENT: z
      .string()
      .regex(/^[\w.-]{1,50}$/, 'letters, digits, dots, hyphens and underscores')
      .default('local'),
    KITS_MAPPING: z.string().optional(),
    /** ISO dates: when the legacy routes were declared deprecated, and from when on they may be gone. */
    KITS_LEGACY_API_DEPRECATED: z.iso.date().default('2026-12-01'),
    KITS_LEGACY_API_SUNSET: z.iso.date().default('2027-12-01'),
    /** The queues; a function that uses one says so when it is missing. */
    JOBS_QUEUE_URL: z.url().optional(),
    JOBS_DEAD_LETTER_QUEUE_URL: z.url().optional(),
    EVENTS_QUEUE_URL: z.url().optional(),
    /** The event source mapping that feeds the consumer of jobs. */
    JOBS_MAPPING_ID: z.string().min(1).optional(),
    /** After so many receives the queue itself gives a message up: `maxReceiveCount`. */
    JOBS_MOST_RECEIVES: z.coerce.number().int().min(1).max(1_000).default(5),
    /** Where reports of runs are kept. */
    REPORT_BUCKET: z.string().min(1).optional(),
    AWS_ENDPOINT_URL: z.url().optional(),
    AWS_ENDPOINT_URL_SQS: z.url().optional(),
    AWS_ENDPOINT_URL_S3: z.url().optional(),
    AWS_REGION: z.string().optional(),
    AWS_ACCESS_KEY_ID: z.string().optional(),
    AWS_SECRET_ACCESS_KEY: z.string().optional(),
  })
  .transform((given) => ({
    databaseUrl: given.DATABASE_URL,
    /** The secret that holds the login; the URL then names the place alone. */
    databaseSecretId: given.DATABASE_SECRET_ID,
    name: given.KITS_ENVIRONMENT,
    /** Empty: the reference schema's mapping. */
    mappingPath: given.KITS_MAPPING ?? '',
    legacyApi: {
      deprecatedAt: given.KITS_LEGACY_API_DEPRECATED,
      sunsetAt: given.KITS_LEGACY_API_SUNSET,
    },
    queues: {
      jobs: given.JOBS_QUEUE_URL,
      deadLetters: given.JOBS_DEAD_LETTER_QUEUE_URL,
      events: given.EVENTS_QUEUE_URL,
      jobsMappingId: given.JOBS_MAPPING_ID,
      mostReceives: given.JOBS_MOST_RECEIVES,
    },
    reportBucket: given.REPORT_BUCKET,
    aws: {
      endpoint: given.AWS_ENDPOINT_URL,
      sqsEndpoint: given.AWS_ENDPOINT_URL_SQS,
      s3Endpoint: given.AWS_ENDPOINT_URL_S3,
      region: given.AWS_REGION,
      accessKeyId: given.AWS_ACCESS_KEY_ID,
      secretAccessKey: given.AWS_SECRET_ACCESS_KEY,
    },
  }));

/** Where a function runs: its database, its flags, its mapping. */
export type Environment = z.output<typeof variables>;

interface Scope {
  readonly variables: NodeJS.ProcessEnv;
  readonly log: (line: string) => void;
}

/**
 * A Lambda has one environment, the process's. Several systems in one process (tests, a local run beside
 * another) each give theirs to the calls they make: writing to `process.env` would mix them up.
 */
const scope = new AsyncLocalStorage<Scope>();

/** Runs work, and all it calls, with variables and a log of its own in the place of the process's. */
export const withEnvironment = <Result>(own: Scope, work: () => Result): Result =>
  scope.run(own, work);

/** @throws {InvalidInput} naming each variable that is missing or malformed. */
export const readEnvironment = (): Environment => {
  const result = variables.safeParse(scope.getStore()?.variables ?? process.env);
  if (!result.success)
    throw new InvalidInput(`environment variables: ${z.prettifyError(result.error)}`);
  return result.data;
};

/** The environment's name alone: a log line or a metric must not fail because another variable is missing. */
export const environmentName = (): string =>
  (scope.getStore()?.variables ?? process.env).KITS_ENVIRONMENT ?? 'local';

/** Stands for a process whose calls are not given an environment of their own. */
const PROCESS = {};

/** An object that is the same within one scope: what is gathered for a call is kept under it. */
export const currentScope = (): object => scope.getStore() ?? PROCESS;

/** Writes one line where this environment's log goes. */
export const writeLog = (entry: Readonly<Record<string, unknown>>): void => {
  const line = JSON.stringify(entry);
  const { log } = scope.getStore() ?? {};
  if (log === undefined) process.stdout.write(`${line}\n`);
  else log(line);
};
