import {
  DescribeExecutionCommand,
  DescribeStateMachineCommand,
  GetExecutionHistoryCommand,
  type HistoryEvent,
  ListStateMachinesCommand,
  paginateGetExecutionHistory,
  paginateListExecutions,
  SFNClient,
  StartExecutionCommand,
  StopExecutionCommand,
} from '@aws-sdk/client-sfn';
import { afterEach, describe, expect, it } from 'vitest';
import type { LambdaHandler } from '../../infra/local/aws/functions.ts';
import { type LocalAws, type LocalAwsOptions, startLocalAws } from '../../infra/local/aws/start.ts';

const closing: Array<() => Promise<void> | void> = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

type Machine = { aws: LocalAws; sfn: SFNClient; arn: string };

async function machineOf(
  States: Record<string, object>,
  handlers: Record<string, LambdaHandler>,
  options: LocalAwsOptions & { machine?: object } = {},
): Promise<Machine> {
  const aws = await startLocalAws(options);
  const sfn = new SFNClient(aws);
  closing.push(
    () => aws.stop({ graceMs: 500 }),
    () => sfn.destroy(),
  );
  for (const [name, handler] of Object.entries(handlers)) {
    aws.registerFunction(aws.functionArn(name), handler);
  }
  const definition = { StartAt: Object.keys(States)[0], TimeoutSeconds: 60, States };
  const arn = aws.registerStateMachine({
    name: 'cutover',
    definition: { ...definition, ...options.machine },
  });
  return { aws, sfn, arn };
}

const task = (name: string, more: object = { End: true }) => ({
  Type: 'Task',
  Resource: `arn:aws:lambda:eu-west-1:000000000000:function:${name}`,
  TimeoutSeconds: 30,
  ...more,
});

/** A loop needs a way out to be valid; this one is never taken. */
const endless = (back: string) => ({
  Again: {
    Type: 'Choice',
    Choices: [{ Variable: '$.never', IsPresent: true, Next: 'Out' }],
    Default: back,
  },
  Out: { Type: 'Succeed' },
});

async function start({ sfn, arn }: Machine, input: unknown = {}, name?: string): Promise<string> {
  const started = await sfn.send(
    new StartExecutionCommand({ stateMachineArn: arn, name, input: JSON.stringify(input) }),
  );
  return String(started.executionArn);
}

async function ended({ sfn }: Machine, executionArn: string) {
  for (;;) {
    const found = await sfn.send(new DescribeExecutionCommand({ executionArn }));
    if (found.status !== 'RUNNING') return found;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

async function run(machine: Machine, input: unknown = {}) {
  return ended(machine, await start(machine, input));
}

async function history({ sfn }: Machine, executionArn: string): Promise<HistoryEvent[]> {
  const events: HistoryEvent[] = [];
  const pages = paginateGetExecutionHistory({ client: sfn, pageSize: 3 }, { executionArn });
  for await (const page of pages) events.push(...(page.events ?? []));
  return events;
}

describe('a local execution', () => {
  it('calls the functions that its Task states name, with a Lambda context', async () => {
    const seen: unknown[] = [];
    const machine = await machineOf(
      {
        Plan: task('plan', { ResultPath: '$.plan', Next: 'Loop' }),
        Loop: {
          Type: 'Choice',
          Choices: [{ Variable: '$.plan.done', BooleanEquals: true, Next: 'Done' }],
          Default: 'Plan',
        },
        Done: { Type: 'Succeed', OutputPath: '$.plan' },
      },
      {
        async plan(event, context) {
          seen.push([event, context.functionName, context.getRemainingTimeInMillis() > 890_000]);
          return { done: seen.length === 2, at: new Date(0), nothing: undefined };
        },
      },
    );
    const result = await run(machine, { batch: 7 });
    expect(result.status).toBe('SUCCEEDED');
    // Through JSON, as on AWS: a date becomes a text and an undefined member goes.
    expect(JSON.parse(String(result.output))).toEqual({
      done: true,
      at: '1970-01-01T00:00:00.000Z',
    });
    expect(seen).toEqual([
      [{ batch: 7 }, 'plan', true],
      [{ batch: 7, plan: { done: false, at: '1970-01-01T00:00:00.000Z' } }, 'plan', true],
    ]);
  });

  it('retries by the name of the error a function throws, and catches it with the Lambda cause', async () => {
    class FlipRefusedError extends Error {
      override readonly name = 'FlipRefusedError';
    }
    let calls = 0;
    const machine = await machineOf(
      {
        Flip: task('flip', {
          Retry: [{ ErrorEquals: ['FlipRefusedError'], IntervalSeconds: 600, MaxAttempts: 2 }],
          Catch: [{ ErrorEquals: ['FlipRefusedError'], ResultPath: '$.error', Next: 'Parse' }],
          Next: 'Never',
        }),
        Parse: {
          Type: 'Pass',
          Parameters: {
            'error.$': '$.error.Error',
            'cause.$': 'States.StringToJson($.error.Cause)',
          },
          End: true,
        },
        Never: { Type: 'Fail', Error: 'Never' },
      },
      {
        flip() {
          calls += 1;
          throw new FlipRefusedError('from "copying" to "unified"');
        },
      },
      { waitScale: 0.00001 },
    );
    const result = await run(machine);
    expect(calls).toBe(3);
    expect(JSON.parse(String(result.output))).toEqual({
      error: 'FlipRefusedError',
      cause: {
        errorType: 'FlipRefusedError',
        errorMessage: 'from "copying" to "unified"',
        trace: expect.any(Array),
      },
    });
  });

  it('fails with the error of a Fail state, or of a task nobody catches', async () => {
    const failing = await machineOf(
      { Stop: { Type: 'Fail', Error: 'Blockers', Cause: 'see report' } },
      {},
    );
    expect(await run(failing)).toMatchObject({
      status: 'FAILED',
      error: 'Blockers',
      cause: 'see report',
    });
    const throwing = await machineOf(
      { Work: task('work') },
      { work: () => Promise.reject(new RangeError('too far')) },
    );
    const result = await run(throwing);
    expect(result).toMatchObject({ status: 'FAILED', error: 'RangeError' });
    expect(JSON.parse(String(result.cause))).toMatchObject({ errorMessage: 'too far' });
  });

  it('fails a task whose function is not registered, by the name AWS gives it', async () => {
    const machine = await machineOf({ Work: task('missing') }, {});
    expect(await run(machine)).toMatchObject({
      status: 'FAILED',
      error: 'Lambda.ResourceNotFoundException',
    });
  });

  it('passes 256 KiB between states and not a byte more, which no Catch takes', async () => {
    const machine = await machineOf(
      {
        Work: task('work', {
          Catch: [{ ErrorEquals: ['States.ALL'], Next: 'Caught' }],
          Next: 'Whole',
        }),
        Whole: { Type: 'Pass', Result: 'whole', End: true },
        Caught: { Type: 'Pass', Result: 'caught', End: true },
      },
      { work: (event) => 'x'.repeat((event as { size: number }).size - 2) },
    );
    expect(await run(machine, { size: 262_144 })).toMatchObject({ output: '"whole"' });
    expect(await run(machine, { size: 262_145 })).toMatchObject({
      status: 'FAILED',
      error: 'States.DataLimitExceeded',
    });
  });

  it('times out a task after its TimeoutSeconds and drops what the function answers later', async () => {
    let finish: (() => void) | undefined;
    const machine = await machineOf(
      {
        Slow: task('slow', {
          TimeoutSeconds: 1,
          Catch: [{ ErrorEquals: ['States.Timeout'], ResultPath: '$.error', Next: 'After' }],
          End: true,
        }),
        After: { Type: 'Wait', Seconds: 1, End: true },
      },
      {
        slow: () =>
          new Promise<void>((resolve) => {
            finish = resolve;
          }),
      },
    );
    const arn = await start(machine);
    const result = await ended(machine, arn);
    finish?.();
    expect(JSON.parse(String(result.output))).toMatchObject({ error: { Error: 'States.Timeout' } });
    const types = (await history(machine, arn)).map((event) => event.type);
    expect(types.slice(2, 6)).toEqual([
      'LambdaFunctionScheduled',
      'LambdaFunctionStarted',
      'LambdaFunctionTimedOut',
      'TaskStateExited',
    ]);
  });

  it('times out as a whole after the TimeoutSeconds of the machine', async () => {
    const machine = await machineOf(
      { Rest: { Type: 'Wait', Seconds: 1000, End: true } },
      {},
      { machine: { TimeoutSeconds: 1 } },
    );
    expect(await run(machine)).toMatchObject({ status: 'TIMED_OUT' });
  });

  it('ends a function that outlives its own timeout', async () => {
    const machine = await machineOf({ Work: task('work') }, {});
    machine.aws.registerFunction(machine.aws.functionArn('work'), () => new Promise(() => {}), {
      timeoutSeconds: 0.05,
    });
    expect(await run(machine)).toMatchObject({ status: 'FAILED', error: 'Sandbox.Timedout' });
    // It never ends, so stopping must not wait for it beyond its grace.
    const before = performance.now();
    await machine.aws.stop({ graceMs: 100 });
    expect(performance.now() - before).toBeLessThan(1_500);
  });

  it('shortens the pauses of Wait states', async () => {
    const machine = await machineOf(
      { Monitor: { Type: 'Wait', Seconds: 86_400, End: true } },
      {},
      { waitScale: 1e-6 },
    );
    const { startDate, stopDate } = await run(machine);
    const took = Number(stopDate) - Number(startDate);
    expect(took).toBeGreaterThanOrEqual(80);
    expect(took).toBeLessThan(2_000);
  });
});

describe('the history of a local execution', () => {
  it('has the events of Step Functions, each linked to the one before it', async () => {
    const machine = await machineOf(
      { Plan: task('plan', { Next: 'Rest' }), Rest: { Type: 'Wait', Seconds: 0, End: true } },
      { plan: () => ({ lanes: 2 }) },
    );
    const arn = await start(machine, { batch: 1 });
    await ended(machine, arn);
    const events = await history(machine, arn);
    expect(events.map((event) => [event.id, event.previousEventId, event.type])).toEqual([
      [1, 0, 'ExecutionStarted'],
      [2, 1, 'TaskStateEntered'],
      [3, 2, 'LambdaFunctionScheduled'],
      [4, 3, 'LambdaFunctionStarted'],
      [5, 4, 'LambdaFunctionSucceeded'],
      [6, 5, 'TaskStateExited'],
      [7, 6, 'WaitStateEntered'],
      [8, 7, 'WaitStateExited'],
      [9, 8, 'ExecutionSucceeded'],
    ]);
    expect(events[0]?.executionStartedEventDetails?.input).toBe('{"batch":1}');
    expect(events[2]?.lambdaFunctionScheduledEventDetails).toMatchObject({
      resource: machine.aws.functionArn('plan'),
      input: '{"batch":1}',
      timeoutInSeconds: 30,
    });
    expect(events[5]?.stateExitedEventDetails).toMatchObject({
      name: 'Plan',
      output: '{"lanes":2}',
    });
    const newest = await machine.sfn.send(
      new GetExecutionHistoryCommand({
        executionArn: arn,
        reverseOrder: true,
        maxResults: 1,
        includeExecutionData: false,
      }),
    );
    expect(newest.events?.map((event) => event.type)).toEqual(['ExecutionSucceeded']);
    expect(newest.events?.[0]?.executionSucceededEventDetails?.output).toBeUndefined();
  });

  it('ends an execution that loops without end where Step Functions would', async () => {
    const machine = await machineOf(endless('Again'), {});
    const arn = await start(machine);
    expect(await ended(machine, arn)).toMatchObject({
      status: 'FAILED',
      error: 'States.Runtime',
      cause: expect.stringContaining('25000'),
    });
  });

  it('keeps the lanes of a Map apart and has each one whole before the Map ends', async () => {
    const machine = await machineOf(
      {
        Lanes: {
          Type: 'Map',
          ItemsPath: '$.lanes',
          MaxConcurrency: 3,
          ItemSelector: {
            'lane.$': '$$.Map.Item.Value',
            'execution.$': '$$.Execution.Name',
          },
          ItemProcessor: {
            StartAt: 'Copy',
            States: {
              Copy: task('copy', {
                Retry: [{ ErrorEquals: ['Busy'], IntervalSeconds: 1, MaxAttempts: 1 }],
                Next: 'More',
              }),
              More: {
                Type: 'Choice',
                Choices: [{ Variable: '$.done', BooleanEquals: true, Next: 'LaneDone' }],
                Default: 'Copy',
              },
              LaneDone: { Type: 'Succeed' },
            },
          },
          End: true,
        },
      },
      {
        copy(event) {
          const { lane, turns = 0 } = event as { lane: number; turns?: number };
          if (lane === 2 && turns === 0 && failures.add(lane) && failures.delete(-1)) {
            throw Object.assign(new Error('busy'), { name: 'Busy' });
          }
          return { ...(event as object), turns: turns + 1, done: turns + 1 >= lane };
        },
      },
      { waitScale: 0.01 },
    );
    const failures = new Set([-1]);
    const arn = await start(machine, { lanes: [1, 2, 3] }, 'three-lanes');
    const result = await ended(machine, arn);
    expect(JSON.parse(String(result.output))).toEqual([
      { lane: 1, execution: 'three-lanes', turns: 1, done: true },
      { lane: 2, execution: 'three-lanes', turns: 2, done: true },
      { lane: 3, execution: 'three-lanes', turns: 3, done: true },
    ]);
    const events = await history(machine, arn);
    const byId = new Map(events.map((event) => [event.id, event]));
    const ends = events.filter((event) => event.type === 'MapIterationSucceeded');
    expect(ends).toHaveLength(3);
    for (const end of ends) {
      const chain: string[] = [];
      for (
        let event = byId.get(end.previousEventId ?? 0);
        event && event.type !== 'MapIterationStarted';
        event = byId.get(event.previousEventId ?? 0)
      ) {
        chain.unshift(String(event.type));
      }
      const lane = Number(end.mapIterationSucceededEventDetails?.index) + 1;
      expect(chain.filter((type) => type === 'LambdaFunctionSucceeded')).toHaveLength(lane);
      expect(chain.filter((type) => type === 'LambdaFunctionFailed')).toHaveLength(
        lane === 2 ? 1 : 0,
      );
      expect(chain.at(-1)).toBe('SucceedStateExited');
    }
    expect(events.slice(-3).map((event) => event.type)).toEqual([
      'MapStateSucceeded',
      'MapStateExited',
      'ExecutionSucceeded',
    ]);
  });

  it('has the failed lane, and the error passes to the Catch of the Map', async () => {
    const lanes = {
      StartAt: 'Copy',
      States: { Copy: task('copy') },
    };
    const machine = await machineOf(
      {
        Both: {
          Type: 'Parallel',
          Branches: [
            {
              StartAt: 'Lanes',
              States: { Lanes: { Type: 'Map', ItemProcessor: lanes, End: true } },
            },
          ],
          Catch: [{ ErrorEquals: ['DiskFull'], Next: 'Safe' }],
          End: true,
        },
        Safe: { Type: 'Succeed' },
      },
      {
        copy: (event) =>
          event === 2
            ? Promise.reject(Object.assign(new Error('full'), { name: 'DiskFull' }))
            : event,
      },
    );
    const arn = await start(machine, [1, 2]);
    expect(JSON.parse(String((await ended(machine, arn)).output)).Error).toBe('DiskFull');
    const types = (await history(machine, arn)).map((event) => String(event.type));
    expect(types).toContain('MapIterationFailed');
    expect(types.slice(types.indexOf('ParallelStateFailed'))).toEqual([
      'ParallelStateFailed',
      'ParallelStateExited',
      'SucceedStateEntered',
      'SucceedStateExited',
      'ExecutionSucceeded',
    ]);
  });
});

describe('starting, listing and stopping local executions', () => {
  const forever = { Rest: { Type: 'Wait', Seconds: 1000, End: true } };

  it('answers a repeated start like the first, and refuses the name for anything else', async () => {
    const machine = await machineOf(forever, {});
    const first = await start(machine, { a: 1, b: 2 }, 'batch-1');
    expect(await start(machine, { b: 2, a: 1 }, 'batch-1')).toBe(first);
    await expect(start(machine, { a: 2 }, 'batch-1')).rejects.toMatchObject({
      name: 'ExecutionAlreadyExists',
    });
    await machine.sfn.send(new StopExecutionCommand({ executionArn: first }));
    await expect(start(machine, { a: 1, b: 2 }, 'batch-1')).rejects.toMatchObject({
      name: 'ExecutionAlreadyExists',
    });
    await expect(start(machine, {}, 'a/b')).rejects.toMatchObject({ name: 'InvalidName' });
  });

  it('aborts a running execution with the reason given', async () => {
    let calls = 0;
    const looping = await machineOf(
      { Loop: task('loop', { Next: 'Again' }), ...endless('Loop') },
      {
        async loop() {
          calls += 1;
          await new Promise((resolve) => setTimeout(resolve, 5));
          return {};
        },
      },
    );
    const executionArn = await start(looping);
    await new Promise((resolve) => setTimeout(resolve, 50));
    const { stopDate } = await looping.sfn.send(
      new StopExecutionCommand({ executionArn, error: 'Operator', cause: 'changed my mind' }),
    );
    expect(stopDate).toBeInstanceOf(Date);
    const after = calls;
    expect(after).toBeGreaterThan(1);
    expect(await ended(looping, executionArn)).toMatchObject({
      status: 'ABORTED',
      error: 'Operator',
      cause: 'changed my mind',
    });
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(calls).toBe(after);
    expect((await history(looping, executionArn)).at(-1)).toMatchObject({
      type: 'ExecutionAborted',
      executionAbortedEventDetails: { error: 'Operator', cause: 'changed my mind' },
    });
  });

  it('lists executions newest first, by status, in pages', async () => {
    const machine = await machineOf(forever, {});
    for (const name of ['a', 'b', 'c', 'd', 'e']) await start(machine, {}, name);
    const executionArn = await start(machine, {}, 'stopped');
    await machine.sfn.send(new StopExecutionCommand({ executionArn }));
    const list = async (statusFilter?: 'RUNNING' | 'ABORTED') => {
      const names: string[] = [];
      const pages = paginateListExecutions(
        { client: machine.sfn, pageSize: 2 },
        { stateMachineArn: machine.arn, statusFilter },
      );
      for await (const page of pages) {
        names.push(...(page.executions ?? []).map((one) => String(one.name)));
      }
      return names.join(' ');
    };
    expect(await list()).toBe('stopped e d c b a');
    expect(await list('RUNNING')).toBe('e d c b a');
    expect(await list('ABORTED')).toBe('stopped');
  });

  it('describes its machines and names what does not exist', async () => {
    const machine = await machineOf(forever, {});
    const listed = await machine.sfn.send(new ListStateMachinesCommand({}));
    expect(listed.stateMachines?.map((one) => one.name)).toEqual(['cutover']);
    const described = await machine.sfn.send(
      new DescribeStateMachineCommand({ stateMachineArn: machine.arn }),
    );
    expect(JSON.parse(String(described.definition)).StartAt).toBe('Rest');
    const nowhere = machine.arn.replace('cutover', 'elsewhere');
    await expect(start({ ...machine, arn: nowhere })).rejects.toMatchObject({
      name: 'StateMachineDoesNotExist',
    });
    await expect(
      machine.sfn.send(new DescribeExecutionCommand({ executionArn: 'arn:nothing' })),
    ).rejects.toMatchObject({ name: 'ExecutionDoesNotExist' });
    await expect(
      machine.sfn.send(new StartExecutionCommand({ stateMachineArn: machine.arn, input: '{half' })),
    ).rejects.toMatchObject({ name: 'InvalidExecutionInput' });
  });

  it('waits for functions under way when it stops, and starts nothing new', async () => {
    const done: string[] = [];
    const machine = await machineOf(
      { First: task('first', { Next: 'Second' }), Second: task('second') },
      {
        async first() {
          await new Promise((resolve) => setTimeout(resolve, 200));
          done.push('first');
        },
        second() {
          done.push('second');
        },
      },
    );
    await start(machine);
    await new Promise((resolve) => setTimeout(resolve, 50));
    await machine.aws.stop();
    expect(done).toEqual(['first']);
  });
});
