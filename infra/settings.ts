import { z } from 'zod';

/** Where in the CDK's context (`cdk.json`) the environments stand. */
export const SETTINGS_KEY = 'unified-kits';

/** The context does not describe an environment; the message lists every fault. */
export class SettingsInvalid extends Error {
  override readonly name = 'SettingsInvalid';
}

const arnOf = (service: string) =>
  z
    .string()
    .regex(
      new RegExp(`^arn:[\\w-]+:${service}:[\\w-]+:\\d{12}:.+`),
      `the ARN of a ${service} resource`,
    );
const idOf = (kind: string) =>
  z
    .string()
    .regex(
      new RegExp(`^${kind}-([0-9a-f]{8}|[0-9a-f]{17})$`),
      `an id like ${kind}-0123456789abcdef0`,
    );
const databaseName = z
  .string()
  .regex(/^[a-z_][a-z0-9_]{0,62}$/, 'small letters, digits and underscores');
const hostName = z.string().regex(/^[a-z0-9-]+(\.[a-z0-9-]+)+$/, 'a host name');

/** An RDS instance that the database stack makes, in a network of its own. */
const newDatabase = z
  .strictObject({
    kind: z.literal('new'),
    instanceType: z
      .string()
      .regex(/^[a-z][a-z0-9]+\.[a-z0-9]+$/, 'like "t4g.medium"')
      .default('t4g.medium'),
    storageGib: z.int().min(20).max(65_536).default(50),
    /** Storage grows up to this by itself: the copy doubles what the kits take. */
    mostStorageGib: z.int().min(22).max(65_536).default(500),
    multiAz: z.boolean().default(true),
    backupDays: z.int().min(1).max(35).default(14),
    databaseName: databaseName.default('kits'),
    /** RDS Proxy in front of the service's connections; the migration always connects directly. */
    proxy: z.boolean().default(false),
  })
  .refine(({ storageGib, mostStorageGib }) => 10 * mostStorageGib >= 11 * storageGib, {
    path: ['mostStorageGib'],
    message: 'at least a tenth more than storageGib, or RDS refuses it',
  });

/** A database that is there already, and the network it is in. */
const existingDatabase = z.strictObject({
  kind: z.literal('existing'),
  host: hostName,
  port: z.int().min(1).max(65_535).default(5432),
  databaseName,
  /** Where the service connects instead of `host`: an RDS Proxy, say. */
  serviceHost: hostName.optional(),
  vpcId: idOf('vpc'),
  subnetIds: z
    .array(idOf('subnet'))
    .min(1)
    .refine((ids) => new Set(ids).size === ids.length, 'each subnet once'),
  /** The database's own: the functions' security group is let in on `port`. */
  securityGroupId: idOf('sg'),
  /** Secrets with `username` and `password`, one for each login. */
  migrationSecretArn: arnOf('secretsmanager'),
  serviceSecretArn: arnOf('secretsmanager'),
  /** The key of both secrets, where it is not the account's default one. */
  secretKeyArn: arnOf('kms').optional(),
  /** PEM file with the authorities of the database's certificate, where they are not RDS'; relative to the working directory. */
  caFile: z.string().min(1).optional(),
  /** Makes the interface endpoints that the functions need; off where the subnets have a way out. */
  endpoints: z.boolean().default(true),
  /** Of the subnets, for a way to S3 (which costs nothing); none where the network has an S3 gateway endpoint already. */
  routeTableIds: z.array(idOf('rtb')).default([]),
});

/** Who issues the API's tokens, and for whom. */
const api = z.strictObject({
  issuer: z.url({ protocol: /^https$/ }),
  audience: z.array(z.string().min(1)).min(1),
  /** What the legacy routes announce of themselves: since when they are deprecated, and until when they last. */
  legacyDeprecated: z.iso.date().optional(),
  legacySunset: z.iso.date().optional(),
});

const environment = z.strictObject({
  account: z
    .string()
    .regex(/^\d{12}$/, 'twelve digits')
    .optional(),
  region: z
    .string()
    .regex(/^[a-z]{2}(-[a-z]+)+-\d$/, 'like "eu-central-1"')
    .optional(),
  database: z.discriminatedUnion('kind', [newDatabase, existingDatabase]).prefault({ kind: 'new' }),
  /** The mapping file, relative to the working directory; the reference schema's by default. */
  mapping: z.string().min(1).optional(),
  /** Availability zones that have endpoints: one is cheaper, two survive the loss of one. */
  endpointZones: z.int().min(1).max(2).default(2),
  /** Without it no API is deployed. */
  api: api.optional(),
  /** Gets every alarm, once the subscription is confirmed. */
  alarmEmail: z.email().optional(),
  /** Where RUNBOOK.md can be read; alarms link its headings. */
  runbookUrl: z.string().min(1).default('RUNBOOK.md'),
});

export type ApiSettings = z.output<typeof api>;

/** Every setting's name, for the documentation to be held against. */
export const SETTING_NAMES: readonly string[] = [
  environment,
  newDatabase,
  existingDatabase,
  api,
].flatMap(({ shape }) => Object.keys(shape));

/** What the functions are told of the legacy routes' end; they have dates of their own otherwise. */
export const legacyApiVariables = (api: ApiSettings | undefined): Record<string, string> => ({
  ...(api?.legacyDeprecated === undefined
    ? {}
    : { KITS_LEGACY_API_DEPRECATED: api.legacyDeprecated }),
  ...(api?.legacySunset === undefined ? {} : { KITS_LEGACY_API_SUNSET: api.legacySunset }),
});

export type NewDatabaseSettings = z.output<typeof newDatabase>;
export type ExistingDatabaseSettings = z.output<typeof existingDatabase>;

/** One environment, every default filled in. */
export type Settings = z.output<typeof environment> & {
  /** Names the flags' prefix, and begins the name of whatever has one. */
  readonly environment: string;
};

const environmentName = z.string().regex(/^[a-z][a-z0-9-]{0,19}$/);
const environments = z.record(environmentName, z.unknown());

/** Values from the command line (`-c key='{…}'`) are text. */
const parsed = (given: unknown): unknown => {
  if (typeof given !== 'string') return given;
  try {
    return JSON.parse(given);
  } catch {
    throw new SettingsInvalid(`context "${SETTINGS_KEY}" is not JSON: give an object`);
  }
};

/**
 * Reads one environment's settings from the CDK's context.
 *
 * @param name which; `dev` by default
 * @param context what stands under `SETTINGS_KEY`
 * @throws {SettingsInvalid} naming the environments there are, or every fault of this one.
 */
export const readSettings = (context: unknown, name: unknown = 'dev'): Settings => {
  const known = environments.safeParse(parsed(context));
  if (!known.success)
    throw new SettingsInvalid(
      `context "${SETTINGS_KEY}" (in cdk.json) must name environments, in small letters, digits and hyphens:\n${z.prettifyError(known.error)}`,
    );
  if (typeof name !== 'string' || !Object.hasOwn(known.data, name))
    throw new SettingsInvalid(
      `there is no environment "${String(name)}" in the context "${SETTINGS_KEY}" (in cdk.json): it has ${Object.keys(known.data).join(', ') || 'none'}. Choose with -c environment=…`,
    );
  const result = environment.safeParse(known.data[name]);
  if (!result.success)
    throw new SettingsInvalid(
      `environment "${name}" in the context "${SETTINGS_KEY}" (in cdk.json):\n${z.prettifyError(result.error)}`,
    );
  return { ...result.data, environment: name };
};
