import {
  CreateQueueCommand,
  type QueueAttributeName,
  SetQueueAttributesCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { buildApp } from 'fauxqs';
import { isLoopback } from '../aws/loopback.ts';
import { correctCounts } from './correct-counts.ts';

export type QueueDeclaration = {
  readonly name: string;
  /**
   * How long a received message stays hidden, 0 to 43,200. At least as long as its consumer may run;
   * AWS advises six times that.
   */
  readonly visibilityTimeoutSeconds: number;
  /** Where a message goes that was received `maxReceiveCount` times and never deleted. */
  readonly deadLetter?: { readonly queue: string; readonly maxReceiveCount: number };
};

export type Queues = {
  /** For the SQS client's `endpoint`, or `AWS_ENDPOINT_URL_SQS`. */
  readonly endpoint: string;
  readonly region: string;
  /** @throws QueueDeclarationError when no queue of this name was declared. */
  queueUrl(name: string): string;
  /** @throws QueueDeclarationError when no queue of this name was declared. */
  queueArn(name: string): string;
  /** Closes the server; messages are gone. Again is harmless. */
  stop(): Promise<void>;
};

/** A queue is declared wrongly, or was not declared; the message names it. */
export class QueueDeclarationError extends Error {
  override readonly name = 'QueueDeclarationError';
}

/** The only account the queue server knows. */
const ACCOUNT_ID = '000000000000';

/**
 * Starts SQS on 127.0.0.1, in memory, with the declared queues: messages do not survive the process.
 * Standard queues only. There is no retention period and no StartMessageMoveTask here.
 *
 * @throws QueueDeclarationError naming everything that is wrong with the declarations.
 */
export async function startQueues(
  declarations: readonly QueueDeclaration[],
  options: { readonly region?: string; readonly port?: number } = {},
): Promise<Queues> {
  requireValid(declarations);
  const region = options.region ?? 'eu-west-1';
  // Not `startFauxqs`: that one listens on every interface.
  const app = buildApp({ logger: false, defaultRegion: region });
  app.addHook('onRequest', async (request, reply) => {
    if (isLoopback(request.headers.host)) return;
    await reply.code(403).send({ message: 'This server answers on 127.0.0.1 and localhost only.' });
  });
  correctCounts(app);
  const endpoint = await app.listen({ port: options.port ?? 0, host: '127.0.0.1' });

  const names = new Set(declarations.map(({ name }) => name));
  const declared = (name: string): string => {
    if (names.has(name)) return name;
    throw new QueueDeclarationError(
      `There is no queue "${name}". Declared are: ${[...names].join(', ')}.`,
    );
  };
  // Not the URL that the server makes up: its host, sqs.<region>.localhost, resolves on some systems only.
  const queueUrl = (name: string) => `${endpoint}/${ACCOUNT_ID}/${declared(name)}`;
  const queueArn = (name: string) => `arn:aws:sqs:${region}:${ACCOUNT_ID}:${declared(name)}`;
  let stopping: Promise<void> | undefined;
  const stop = () => {
    stopping ??= app.close();
    return stopping;
  };
  try {
    await create(declarations, { endpoint, region, queueUrl, queueArn });
  } catch (error) {
    await stop();
    throw error;
  }
  return { endpoint, region, queueUrl, queueArn, stop };
}

async function create(
  declarations: readonly QueueDeclaration[],
  { endpoint, region, queueUrl, queueArn }: Omit<Queues, 'stop'>,
): Promise<void> {
  const credentials = { accessKeyId: 'local', secretAccessKey: 'local' };
  const sqs = new SQSClient({ endpoint, region, credentials });
  try {
    for (const { name, visibilityTimeoutSeconds } of declarations) {
      const Attributes: Partial<Record<QueueAttributeName, string>> = {
        VisibilityTimeout: String(visibilityTimeoutSeconds),
      };
      await sqs.send(new CreateQueueCommand({ QueueName: name, Attributes }));
    }
    // After all exist: the server does not check that a dead-letter queue does.
    for (const { name, deadLetter } of declarations) {
      if (!deadLetter) continue;
      const RedrivePolicy = JSON.stringify({
        deadLetterTargetArn: queueArn(deadLetter.queue),
        maxReceiveCount: deadLetter.maxReceiveCount,
      });
      await sqs.send(
        new SetQueueAttributesCommand({ QueueUrl: queueUrl(name), Attributes: { RedrivePolicy } }),
      );
    }
  } finally {
    sqs.destroy();
  }
}

function requireValid(declarations: readonly QueueDeclaration[]): void {
  const names = declarations.map(({ name }) => name);
  const complaints = declarations.flatMap(({ name, visibilityTimeoutSeconds, deadLetter }, at) => [
    ...(/^[\w-]{1,80}$/.test(name) ? [] : [`"${name}" is not a name of a standard queue`]),
    ...(names.indexOf(name) === at ? [] : [`"${name}" is declared twice`]),
    ...(isWhole(visibilityTimeoutSeconds, 0, 43_200)
      ? []
      : [`"${name}": visibilityTimeoutSeconds is a whole number from 0 to 43200`]),
    ...(deadLetter === undefined || (deadLetter.queue !== name && names.includes(deadLetter.queue))
      ? []
      : [`"${name}": its dead-letter queue "${deadLetter.queue}" is not another declared queue`]),
    ...(deadLetter === undefined || isWhole(deadLetter.maxReceiveCount, 1, 1000)
      ? []
      : [`"${name}": maxReceiveCount is a whole number from 1 to 1000`]),
  ]);
  if (complaints.length === 0) return;
  throw new QueueDeclarationError(`Queues are declared wrongly:\n- ${complaints.join('\n- ')}`);
}

function isWhole(value: number, least: number, most: number): boolean {
  return Number.isInteger(value) && value >= least && value <= most;
}
