import {
  GetSecretValueCommand,
  type SecretsManagerClient,
  SecretsManagerServiceException,
} from '@aws-sdk/client-secrets-manager';
import { DatabaseUnwell, UnifiedKitsError } from '@unified-kits/domain';
import { z } from 'zod';

/** The secret cannot be used, and trying again will not help: a permission, a key or its content is wrong. */
export class SecretUnusable extends UnifiedKitsError {
  constructor(message: string, options?: ErrorOptions) {
    super('SecretUnusable', message, options);
  }
}

/** Who logs in at the database. */
export interface Login {
  readonly user: string;
  readonly password: string;
}

/** What RDS, and the rotation of Secrets Manager, keep in a database's secret, among other things. */
const content = z.looseObject({ username: z.string().min(1), password: z.string().min(1) });

const THROTTLED = /Throttl|TooManyRequests|RequestLimit/;

const isPassing = (error: unknown): boolean =>
  !(error instanceof SecretsManagerServiceException) ||
  error.$fault === 'server' ||
  THROTTLED.test(error.name);

/** The login that a secret holds, read once and kept until the database refuses it. */
export class DatabaseLogin {
  readonly #client: SecretsManagerClient;
  readonly #secretId: string;
  #known: Login | undefined;

  constructor(client: SecretsManagerClient, secretId: string) {
    this.#client = client;
    this.#secretId = secretId;
  }

  /** What was read last. */
  get known(): Login | undefined {
    return this.#known;
  }

  /**
   * @throws {DatabaseUnwell} when Secrets Manager does not answer: try again.
   * @throws {SecretUnusable} when it refuses, or holds something else.
   */
  async read(): Promise<Login> {
    this.#known ??= await this.#fetch();
    return this.#known;
  }

  /** Reads the secret anew, unless somebody else has since this login was handed out. */
  async readAfter(refused: Login): Promise<Login> {
    if (this.#known === refused) this.#known = undefined;
    return this.read();
  }

  async #fetch(): Promise<Login> {
    const text = await this.#text();
    let parsed: unknown;
    try {
      parsed = JSON.parse(text);
    } catch {
      // The parser's message would quote the secret.
      throw new SecretUnusable(`secret ${this.#secretId} is not JSON: it must be an object`);
    }
    const result = content.safeParse(parsed);
    if (!result.success)
      throw new SecretUnusable(
        `secret ${this.#secretId} must have "username" and "password": ${z.prettifyError(result.error)}`,
      );
    return { user: result.data.username, password: result.data.password };
  }

  async #text(): Promise<string> {
    try {
      const { SecretString } = await this.#client.send(
        new GetSecretValueCommand({ SecretId: this.#secretId }),
      );
      return SecretString ?? '';
    } catch (error) {
      const why = error instanceof Error ? error.name : String(error);
      if (isPassing(error))
        throw new DatabaseUnwell(
          `Secrets Manager did not answer for ${this.#secretId} (${why}): try again`,
          { cause: error },
        );
      throw new SecretUnusable(
        `Secrets Manager refused ${this.#secretId} (${why}): check the name, the function's role and the key`,
        { cause: error },
      );
    }
  }
}
