import { createServer, type IncomingMessage } from 'node:http';
import {
  DeleteMessageCommand,
  GetQueueUrlCommand,
  type MessageAttributeValue,
  ReceiveMessageCommand,
  SendMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { z } from 'zod';

const started = z.object({ SourceArn: z.string(), DestinationArn: z.string() });

interface Task {
  readonly SourceArn: string;
  readonly DestinationArn: string;
  readonly StartedTimestamp: number;
  Status: 'RUNNING' | 'COMPLETED' | 'FAILED';
  ApproximateNumberOfMessagesMoved: number;
  FailureReason?: string;
}

const textOf = async (request: IncomingMessage): Promise<string> => {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks).toString('utf8');
};

/** An SQS endpoint that has message move tasks, in front of one that has none. */
export interface MoveTasks {
  readonly endpoint: string;
  readonly tasks: readonly Task[];
  /** How often somebody has asked for the tasks. */
  listings(): number;
  /** Holds tasks at their beginning until the promise resolves. */
  hold(until: Promise<void>): void;
  /** Lets the next task fail with this reason. */
  failNext(reason: string): void;
  close(): Promise<void>;
}

export const moveTasks = async (upstream: string): Promise<MoveTasks> => {
  const sqs = new SQSClient({
    endpoint: upstream,
    region: 'eu-west-1',
    credentials: { accessKeyId: 'sqs', secretAccessKey: 'sqs' },
    useQueueUrlAsEndpoint: false,
  });
  const tasks: Task[] = [];
  let held: Promise<void> = Promise.resolve();
  let failing: string | undefined;
  let listings = 0;
  const urlOf = async (arn: string) =>
    (await sqs.send(new GetQueueUrlCommand({ QueueName: arn.split(':').at(-1) }))).QueueUrl;

  /** As SQS does: attributes and all, one after the other, until the source is empty. */
  const run = async (task: Task): Promise<void> => {
    await held;
    if (failing !== undefined) {
      Object.assign(task, { Status: 'FAILED', FailureReason: failing });
      failing = undefined;
      return;
    }
    const from = await urlOf(task.SourceArn);
    const to = await urlOf(task.DestinationArn);
    for (;;) {
      const { Messages: [message] = [] } = await sqs.send(
        new ReceiveMessageCommand({ QueueUrl: from, MessageAttributeNames: ['All'] }),
      );
      if (message === undefined) break;
      const attributes: Record<string, MessageAttributeValue> = { ...message.MessageAttributes };
      await sqs.send(
        new SendMessageCommand({
          QueueUrl: to,
          MessageBody: message.Body,
          MessageAttributes: attributes,
        }),
      );
      await sqs.send(
        new DeleteMessageCommand({ QueueUrl: from, ReceiptHandle: message.ReceiptHandle }),
      );
      task.ApproximateNumberOfMessagesMoved += 1;
    }
    task.Status = 'COMPLETED';
  };

  const operations: Record<string, (body: unknown) => object> = {
    StartMessageMoveTask(body) {
      const { SourceArn, DestinationArn } = started.parse(body);
      if (tasks.some(({ Status }) => Status === 'RUNNING'))
        throw new TypeError('a queue has one task at a time');
      const task: Task = {
        SourceArn,
        DestinationArn,
        StartedTimestamp: Date.now(),
        Status: 'RUNNING',
        ApproximateNumberOfMessagesMoved: 0,
      };
      tasks.push(task);
      run(task).catch(() => Object.assign(task, { Status: 'FAILED' }));
      return { TaskHandle: String(tasks.length) };
    },
    ListMessageMoveTasks() {
      listings += 1;
      return { Results: tasks.toReversed() };
    },
  };

  const server = createServer(async (request, response) => {
    const body = await textOf(request);
    const target = String(request.headers['x-amz-target'] ?? '');
    const operation = operations[target.replace('AmazonSQS.', '')];
    if (operation !== undefined) {
      response.writeHead(200, { 'content-type': 'application/x-amz-json-1.0' });
      response.end(JSON.stringify(operation(JSON.parse(body))));
      return;
    }
    const answer = await fetch(upstream, {
      method: 'POST',
      headers: { 'content-type': 'application/x-amz-json-1.0', 'x-amz-target': target },
      body,
    });
    response.writeHead(answer.status, { 'content-type': 'application/x-amz-json-1.0' });
    response.end(await answer.text());
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new TypeError('a port');
  return {
    endpoint: `http://127.0.0.1:${address.port}`,
    tasks,
    listings: () => listings,
    hold(until) {
      held = until;
    },
    failNext(reason) {
      failing = reason;
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => {
        server.close(resolve);
      });
      sqs.destroy();
    },
  };
};
