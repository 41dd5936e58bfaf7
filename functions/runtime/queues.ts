import { LambdaClient } from '@aws-sdk/client-lambda';
import { SQSClient } from '@aws-sdk/client-sqs';
import { InvalidInput } from '@unified-kits/domain';
import { awsClientOptions } from './aws-client.ts';
import type { Environment } from './environment.ts';

const sqsClients = new Map<string, SQSClient>();
const lambdaClients = new Map<string, LambdaClient>();

const known = <Client>(
  clients: Map<string, Client>,
  environment: Environment,
  make: () => Client,
) => {
  const key = JSON.stringify(environment.aws);
  const client = clients.get(key) ?? make();
  clients.set(key, client);
  return client;
};

/** The queues that an environment names, or those the SDK finds by itself. */
export const sqsOf = (environment: Environment): SQSClient =>
  known(sqsClients, environment, () => {
    const { sqsEndpoint } = environment.aws;
    return new SQSClient({
      ...awsClientOptions(environment),
      ...(sqsEndpoint === undefined ? {} : { endpoint: sqsEndpoint }),
      // The SDK would send to the host of a queue's URL, which a local endpoint need not have.
      useQueueUrlAsEndpoint: sqsEndpoint === undefined,
    });
  });

/** Lambda's own API, for its event source mappings. */
export const lambdaOf = (environment: Environment): LambdaClient =>
  known(lambdaClients, environment, () => new LambdaClient(awsClientOptions(environment)));

/** @throws {InvalidInput} naming the variable that is not set. */
export const required = (value: string | undefined, variable: string): string => {
  if (value === undefined) throw new InvalidInput(`environment variable ${variable} is not set`);
  return value;
};
