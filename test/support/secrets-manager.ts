import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { z } from 'zod';
import { type AwsServer, serve } from '../../infra/local/aws/server.ts';
import { ServiceError } from '../../infra/local/aws/service-error.ts';

const getInput = z.looseObject({ SecretId: z.string() });

/** Secrets Manager on loopback, as far as reading a secret goes, and a real client of it. */
export interface SecretsManager {
  readonly client: SecretsManagerClient;
  readonly endpoint: string;
  /** What each secret holds; change it to rotate. */
  readonly secrets: Map<string, string>;
  /** How often a secret was read. */
  readonly reads: () => number;
  readonly failNext: AwsServer['failNext'];
  close(): Promise<void>;
}

export const secretsManager = async (): Promise<SecretsManager> => {
  const secrets = new Map<string, string>();
  let reads = 0;
  const server = await serve([
    {
      target: 'secretsmanager',
      jsonVersion: '1.1',
      operations: {
        GetSecretValue: (input) => {
          const { SecretId } = getInput.parse(input);
          const SecretString = secrets.get(SecretId);
          if (SecretString === undefined)
            throw new ServiceError('ResourceNotFoundException', 'there is no such secret');
          reads += 1;
          return { Name: SecretId, SecretString };
        },
      },
    },
  ]);
  const client = new SecretsManagerClient({
    endpoint: server.endpoint,
    region: 'eu-central-1',
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  });
  return {
    client,
    endpoint: server.endpoint,
    secrets,
    reads: () => reads,
    failNext: server.failNext,
    async close() {
      client.destroy();
      await server.close();
    },
  };
};
