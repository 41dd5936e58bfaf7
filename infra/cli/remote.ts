import type { ExecutionStatus } from '@aws-sdk/client-sfn';
import type { FlagStore } from '../../functions/runtime/flag-store.ts';
import type { Workflow } from '../workflows/load-workflow.ts';
import { RemoteError } from './errors.ts';
import type { Place } from './place/place.ts';

/** The functions that operators call from here. */
export type OperatedFunction = 'operations' | 'phase0-analysis' | 'phase5-queues' | 'reports';

/** An execution of a workflow as Step Functions tells of it. */
export interface Execution {
  readonly arn: string;
  readonly workflow: Workflow;
  readonly status: ExecutionStatus;
  readonly startedAt: string;
  /** The state that it is in, or was in last. */
  readonly state: string;
}

/** How an execution ended, or that it is still running. */
export interface Outcome {
  readonly status: ExecutionStatus;
  /** Parsed; undefined unless it succeeded. */
  readonly output: unknown;
  readonly error: string | undefined;
  readonly cause: string | undefined;
}

/** A system as its operator reaches it: the functions, the workflows and the flags, never the database. */
export interface Remote {
  readonly place: Place;
  /**
   * Calls a function and returns what it answers.
   *
   * @throws {RemoteError} by the name of the function's own error.
   */
  invoke<Answer>(name: OperatedFunction, event: Readonly<Record<string, unknown>>): Promise<Answer>;
  /** Starts an execution; returns its ARN. */
  start(workflow: Workflow, input: Readonly<Record<string, unknown>>): Promise<string>;
  outcomeOf(executionArn: string): Promise<Outcome>;
  /** The executions that are running now. */
  running(): Promise<Execution[]>;
  flags(): Promise<FlagStore>;
  close(): void;
}

/** Longer than a function may take, in milliseconds. */
const LONGEST_CALL_MS = 910_000;

const textOf = (value: unknown, field: string): string | undefined =>
  typeof value === 'object' && value !== null && field in value
    ? String((value as Record<string, unknown>)[field])
    : undefined;

/** The error that a function ended with, by its own name. */
const functionError = (payload: unknown): RemoteError =>
  new RemoteError(
    textOf(payload, 'errorType') ?? 'FunctionError',
    textOf(payload, 'errorMessage') ?? 'the function failed and did not say why: look at its log',
  );

/** The message of an execution's cause, which is that of a function or a sentence of the workflow's. */
export const causeOf = (cause: string | undefined): string => {
  if (cause === undefined) return 'no cause was given: look at the execution in Step Functions';
  try {
    return textOf(JSON.parse(cause), 'errorMessage') ?? cause;
  } catch (error) {
    if (error instanceof SyntaxError) return cause;
    throw error;
  }
};

const lambdaOf = async ({ client }: Place) => {
  const { InvokeCommand, LambdaClient } = await import('@aws-sdk/client-lambda');
  const lambda = new LambdaClient({
    ...client,
    maxAttempts: 2,
    requestHandler: { requestTimeout: LONGEST_CALL_MS },
  });
  return {
    async invoke(name: string, event: object): Promise<unknown> {
      const { Payload, FunctionError } = await lambda.send(
        new InvokeCommand({ FunctionName: name, Payload: JSON.stringify(event) }),
      );
      const answer: unknown = JSON.parse(Buffer.from(Payload ?? []).toString() || 'null');
      if (FunctionError !== undefined) throw functionError(answer);
      return answer;
    },
    close: () => lambda.destroy(),
  };
};

const sfnOf = async ({ client, stateMachineArns }: Place) => {
  const sdk = await import('@aws-sdk/client-sfn');
  const sfn = new sdk.SFNClient({ ...client, maxAttempts: 3 });

  const stateOf = async (executionArn: string): Promise<string> => {
    const { events = [] } = await sfn.send(
      new sdk.GetExecutionHistoryCommand({
        executionArn,
        reverseOrder: true,
        maxResults: 25,
        includeExecutionData: false,
      }),
    );
    const entered = events.find(
      ({ stateEnteredEventDetails }) => stateEnteredEventDetails?.name !== undefined,
    );
    return entered?.stateEnteredEventDetails?.name ?? 'starting';
  };

  const runningOf = async (workflow: Workflow): Promise<Execution[]> => {
    const { executions = [] } = await sfn.send(
      new sdk.ListExecutionsCommand({
        stateMachineArn: stateMachineArns[workflow],
        statusFilter: 'RUNNING',
        maxResults: 10,
      }),
    );
    return Promise.all(
      executions.map(async ({ executionArn = '', status = 'RUNNING', startDate }) => ({
        arn: executionArn,
        workflow,
        status,
        startedAt: (startDate ?? new Date()).toISOString(),
        state: await stateOf(executionArn),
      })),
    );
  };

  return {
    async start(workflow: Workflow, input: object): Promise<string> {
      const { executionArn } = await sfn.send(
        new sdk.StartExecutionCommand({
          stateMachineArn: stateMachineArns[workflow],
          input: JSON.stringify(input),
        }),
      );
      if (executionArn === undefined) throw new TypeError('StartExecution answers with an ARN');
      return executionArn;
    },
    async outcomeOf(executionArn: string): Promise<Outcome> {
      const {
        status = 'RUNNING',
        output,
        error,
        cause,
      } = await sfn.send(new sdk.DescribeExecutionCommand({ executionArn }));
      return {
        status,
        output: output === undefined ? undefined : JSON.parse(output),
        error,
        cause,
      };
    },
    running: async () => [...(await runningOf('cutover')), ...(await runningOf('rollback'))],
    close: () => sfn.destroy(),
  };
};

const flagsOf = async ({ client, environment }: Place) => {
  const { SSMClient } = await import('@aws-sdk/client-ssm');
  const { FlagStore: Store } = await import('../../functions/runtime/flag-store.ts');
  const ssm = new SSMClient({ ...client, maxAttempts: 3 });
  return { store: new Store(ssm, environment), close: () => ssm.destroy() };
};

/** Makes a client when it is first used: a command that needs one loads only that one. */
const lazily = <Client extends { close(): void }>(make: () => Promise<Client>) => {
  let made: Promise<Client> | undefined;
  return {
    get: () => {
      made ??= make();
      return made;
    },
    close: () => {
      made?.then((client) => client.close()).catch(() => undefined);
    },
  };
};

/** A system at a place. */
export const remoteAt = (place: Place): Remote => {
  const lambda = lazily(() => lambdaOf(place));
  const sfn = lazily(() => sfnOf(place));
  const ssm = lazily(() => flagsOf(place));
  return {
    place,
    invoke: async <Answer>(name: OperatedFunction, event: object) =>
      (await (
        await lambda.get()
      ).invoke(`unified-kits-${place.environment}-${name}`, event)) as Answer,
    start: async (workflow, input) => (await sfn.get()).start(workflow, input),
    outcomeOf: async (executionArn) => (await sfn.get()).outcomeOf(executionArn),
    running: async () => (await sfn.get()).running(),
    flags: async () => (await ssm.get()).store,
    close() {
      lambda.close();
      sfn.close();
      ssm.close();
    },
  };
};
