import { LambdaClient } from '@aws-sdk/client-lambda';
import { SQSClient } from '@aws-sdk/client-sqs';
import { InvalidInput, UnifiedKitsError } from '@unified-kits/domain';
import { awsClientOptions } from './aws-client.ts';
import type { Environment } from './environment.ts';

/** SQS or Lambda did not do what it was asked; the message names the operation and AWS's reason, no content. */
export class QueuesUnreachable extends UnifiedKitsError {
  /** The name of AWS's error. */
  readonly reason: string;

  constructor(operation: string, reason: string, options?: ErrorOptions) {
    super(
      'QueuesUnreachable',
      `${operation} was not done (${reason}): try again; if it stays so, look at the function's permissions and variables`,
      options,
    );
    this.reason = reason;
  }
}

/** Whether AWS gave one of these reasons. */
export const hasReason = (error: unknown, ...reasons: readonly string[]): boolean =>
  error instanceof QueuesUnreachable && reasons.includes(error.reason);

type Handler<Input, Output> = (input: Input) => Promise<Output>;

/** Of a client: its errors, the network's among them, are told apart from the database's by their name. */
const nameErrors =
  <Input, Output>(
    next: Handler<Input, Output>,
    { commandName = 'a call of AWS' }: { readonly commandName?: string },
  ): Handler<Input, Output> =>
  async (input) => {
    try {
      return await next(input);
    } catch (error) {
      const reason = error instanceof Error ? error.name : String(error);
      throw new QueuesUnreachable(commandName.replace(/Command$/, ''), reason, { cause: error });
    }
  };
const FIRST = { step: 'initialize', priority: 'high', name: 'nameErrors' } as const;

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

/** The queues that an environment names, or those the SDK finds by itself. Its errors are `QueuesUnreachable`. */
export const sqsOf = (environment: Environment): SQSClient =>
  known(sqsClients, environment, () => {
    const { sqsEndpoint } = environment.aws;
    const client = new SQSClient({
      ...awsClientOptions(environment),
      ...(sqsEndpoint === undefined ? {} : { endpoint: sqsEndpoint }),
      // The SDK would send to the host of a queue's URL, which a local endpoint need not have.
      useQueueUrlAsEndpoint: sqsEndpoint === undefined,
    });
    client.middlewareStack.add(nameErrors, FIRST);
    return client;
  });

/** Lambda's own API, for its event source mappings. Its errors are `QueuesUnreachable`. */
export const lambdaOf = (environment: Environment): LambdaClient =>
  known(lambdaClients, environment, () => {
    const client = new LambdaClient(awsClientOptions(environment));
    client.middlewareStack.add(nameErrors, FIRST);
    return client;
  });

/** @throws {InvalidInput} naming the variable that is not set. */
export const required = (value: string | undefined, variable: string): string => {
  if (value === undefined) throw new InvalidInput(`environment variable ${variable} is not set`);
  return value;
};
