import {
  GetParameterCommand,
  GetParametersCommand,
  ParameterAlreadyExists,
  PutParameterCommand,
  SSMClient,
  SSMServiceException,
} from '@aws-sdk/client-ssm';
import {
  FLAG_NAMES,
  FLAG_PARAMETERS,
  type FlagName,
  type Flags,
  formatFlag,
  parseFlag,
  UnifiedKitsError,
} from '@unified-kits/domain';
import { awsClientOptions } from './aws-client.ts';
import type { Environment } from './environment.ts';

/** The flags cannot be read or written; the message names the parameters. */
export class FlagsUnreadable extends UnifiedKitsError {
  constructor(message: string, options?: ErrorOptions) {
    super('FlagsUnreadable', message, options);
  }
}

/** How long services may act on flags they have read, in milliseconds (DESIGN section 5). */
const MOST_AGE_MS = 5_000;

/**
 * The order in which changed flags are written: each write is an event of its own, so what stands between
 * two of them must be a legal wish and no other than the one meant. Unified writes come last on the way
 * there (with `dual-write` already saying which stage) and first on the way back.
 */
const writeOrder = (changes: Partial<Flags>): FlagName[] => {
  const first: FlagName[] = changes.unifiedWrites === false ? ['unifiedWrites'] : [];
  const last: FlagName[] = changes.unifiedWrites === true ? ['unifiedWrites'] : [];
  const others = FLAG_NAMES.filter((name) => name in changes && name !== 'unifiedWrites');
  return [...first, ...others, ...last];
};

/** The feature flags and the guard, as parameters under `/unified-kits/<environment>/`. */
export class FlagStore {
  readonly #ssm: SSMClient;
  readonly #prefix: string;
  readonly #now: () => number;
  #cached: { readonly flags: Flags; readonly at: number } | undefined;

  constructor(ssm: SSMClient, environment: string, now: () => number = Date.now) {
    this.#ssm = ssm;
    this.#prefix = `/unified-kits/${environment}/`;
    this.#now = now;
  }

  #name(flag: FlagName): string {
    return this.#prefix + FLAG_PARAMETERS[flag].parameter;
  }

  /** Creates the parameters that are missing, each with its value at birth; overwrites none. */
  async ensure(): Promise<readonly FlagName[]> {
    const created: FlagName[] = [];
    for (const flag of FLAG_NAMES)
      try {
        await this.#ssm.send(
          new PutParameterCommand({
            Name: this.#name(flag),
            Value: FLAG_PARAMETERS[flag].initial,
            Type: 'String',
            AllowedPattern: FLAG_PARAMETERS[flag].allowedPattern,
            Overwrite: false,
          }),
        );
        created.push(flag);
      } catch (error) {
        if (!(error instanceof ParameterAlreadyExists)) throw this.#unreadable(error, [flag]);
      }
    return created;
  }

  /**
   * Reads all flags, uncached. A missing one has its value at birth, but a missing guard counts as on.
   *
   * @throws {FlagsUnreadable} when the Parameter Store does not answer.
   * @throws {InvalidInput} when a value is not one the flag may have.
   */
  async read(): Promise<Flags> {
    const texts = new Map<string, string>();
    try {
      const answer = await this.#ssm.send(
        new GetParametersCommand({ Names: FLAG_NAMES.map((flag) => this.#name(flag)) }),
      );
      for (const { Name, Value } of answer.Parameters ?? [])
        if (Name !== undefined && Value !== undefined) texts.set(Name, Value);
    } catch (error) {
      throw this.#unreadable(error, FLAG_NAMES);
    }
    const value = <Name extends FlagName>(flag: Name): Flags[Name] =>
      parseFlag(
        flag,
        texts.get(this.#name(flag)) ??
          (flag === 'migrationInProgress' ? 'true' : FLAG_PARAMETERS[flag].initial),
      );
    const flags: Flags = {
      unifiedReads: value('unifiedReads'),
      unifiedWrites: value('unifiedWrites'),
      dualWrite: value('dualWrite'),
      migrationInProgress: value('migrationInProgress'),
      shadowReads: value('shadowReads'),
      copyRowsPerSecond: value('copyRowsPerSecond'),
    };
    this.#cached = { flags, at: this.#now() };
    return flags;
  }

  /** The flags as they were at most 5 s ago: for services, and between two chunks of the copy. */
  async cached(): Promise<Flags> {
    const known = this.#cached;
    return known !== undefined && this.#now() - known.at < MOST_AGE_MS ? known.flags : this.read();
  }

  /** The guard, uncached. One that cannot be read, or makes no sense, counts as on. */
  async guard(): Promise<boolean> {
    try {
      const { Parameter } = await this.#ssm.send(
        new GetParameterCommand({ Name: this.#name('migrationInProgress') }),
      );
      return Parameter?.Value !== 'false';
    } catch (error) {
      // The SDK's errors all end here: those of the service, and those of the way to it.
      if (error instanceof Error) return true;
      throw error;
    }
  }

  /**
   * Writes the flags that differ from what is there.
   *
   * @returns the names of those written, in order.
   * @throws {FlagsUnreadable} when the Parameter Store does not answer.
   */
  async write(changes: Partial<Flags>): Promise<readonly FlagName[]> {
    const now = await this.read();
    const written: FlagName[] = [];
    for (const flag of writeOrder(changes)) {
      const value = changes[flag];
      if (!(flag in changes) || value === now[flag]) continue;
      try {
        await this.#ssm.send(
          new PutParameterCommand({
            Name: this.#name(flag),
            Value: formatFlag(flag, value as Flags[typeof flag]),
            Type: 'String',
            AllowedPattern: FLAG_PARAMETERS[flag].allowedPattern,
            Overwrite: true,
          }),
        );
      } catch (error) {
        throw this.#unreadable(error, [flag]);
      }
      written.push(flag);
    }
    this.#cached = undefined;
    return written;
  }

  /** Whether a changed parameter is one of these flags. */
  owns(parameterName: string): boolean {
    return parameterName.startsWith(this.#prefix);
  }

  #unreadable(error: unknown, flags: readonly FlagName[]): FlagsUnreadable {
    const why =
      error instanceof SSMServiceException || error instanceof Error ? error.name : String(error);
    return new FlagsUnreadable(
      `the Parameter Store did not answer for ${flags.map((flag) => this.#name(flag)).join(', ')}: ${why}. Nothing was switched; try again.`,
      { cause: error },
    );
  }
}

const clients = new Map<string, SSMClient>();

/** The Parameter Store that an environment names, or the one the SDK finds by itself. */
const parameterStore = (environment: Environment): SSMClient => {
  const key = JSON.stringify(environment.aws);
  const known = clients.get(key);
  if (known !== undefined) return known;
  const client = new SSMClient(awsClientOptions(environment));
  clients.set(key, client);
  return client;
};

/**
 * A store for each environment and login, so that what it caches lives as long as the process. By login,
 * because in a local process a phase that reads the flags would freshen what the services have cached,
 * which on AWS it cannot.
 */
const stores = new Map<string, FlagStore>();

export const flagStoreOf = (environment: Environment): FlagStore => {
  const key = JSON.stringify([environment.aws, environment.name, environment.databaseUrl]);
  const known = stores.get(key);
  if (known !== undefined) return known;
  const store = new FlagStore(parameterStore(environment), environment.name);
  stores.set(key, store);
  return store;
};
