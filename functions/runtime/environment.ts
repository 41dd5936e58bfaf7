import { AsyncLocalStorage } from 'node:async_hooks';
import { InvalidInput } from '@unified-kits/domain';
import { z } from 'zod';

const variables = z
  .object({
    DATABASE_URL: z.string().min(1),
    KITS_ENVIRONMENT: z
      .string()
      .regex(/^[\w.-]{1,50}$/, 'letters, digits, dots, hyphens and underscores')
      .default('local'),
    KITS_MAPPING: z.string().optional(),
    AWS_ENDPOINT_URL: z.url().optional(),
    AWS_REGION: z.string().optional(),
    AWS_ACCESS_KEY_ID: z.string().optional(),
    AWS_SECRET_ACCESS_KEY: z.string().optional(),
  })
  .transform((given) => ({
    databaseUrl: given.DATABASE_URL,
    name: given.KITS_ENVIRONMENT,
    /** Empty: the reference schema's mapping. */
    mappingPath: given.KITS_MAPPING ?? '',
    aws: {
      endpoint: given.AWS_ENDPOINT_URL,
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

/** Writes one line where this environment's log goes. */
export const writeLog = (entry: Readonly<Record<string, unknown>>): void => {
  const line = JSON.stringify(entry);
  const { log } = scope.getStore() ?? {};
  if (log === undefined) process.stdout.write(`${line}\n`);
  else log(line);
};
