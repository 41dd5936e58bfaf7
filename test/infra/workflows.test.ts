import { existsSync } from 'node:fs';
import * as domain from '@unified-kits/domain';
import validate from 'asl-validator';
import { describe, expect, it } from 'vitest';
import { FlagsUnreadable } from '../../functions/runtime/flag-store.ts';
import { QueuesUnreachable } from '../../functions/runtime/queues.ts';
import { type AslState, placedStates, readMachine } from '../../infra/local/aws/asl-walk.ts';
import { unsupported } from '../../infra/local/aws/supported-asl.ts';
import {
  FUNCTION_PLACEHOLDERS,
  loadWorkflow,
  readWorkflow,
  WORKFLOWS,
} from '../../infra/workflows/load-workflow.ts';

const arnOf = (name: string) => `arn:aws:lambda:eu-west-1:000000000000:function:${name}`;
const folderOf = new Map<unknown, string>(
  Object.keys(FUNCTION_PLACEHOLDERS).map((name) => [arnOf(name), name]),
);

/** As Step Functions' documentation names them. */
const LAMBDA_SERVICE_ERRORS = [
  'Lambda.ServiceException',
  'Lambda.AWSLambdaException',
  'Lambda.SdkClientException',
  'Lambda.TooManyRequestsException',
];
/** Reported by Step Functions, by Lambda's sandbox, and by the handlers' wrapper. */
const TIMEOUTS = ['States.Timeout', 'Sandbox.Timedout', 'TimeoutError'];

interface Handler {
  readonly ErrorEquals: readonly string[];
  readonly Next?: string;
  readonly MaxAttempts?: number;
}
const handlersOf = (state: AslState, field: 'Retry' | 'Catch'): readonly Handler[] =>
  Array.isArray(state[field]) ? (state[field] as Handler[]) : [];

const isReport = ({ Resource }: AslState): boolean => folderOf.get(Resource) === 'reports';

/** The names that errors of ours have when they leave a function. */
const ourErrors = new Set([
  ...Object.values(domain).flatMap((exported) =>
    typeof exported === 'function' && exported.prototype instanceof domain.UnifiedKitsError
      ? [new (exported as new (message: string) => Error)('').name]
      : [],
  ),
  new FlagsUnreadable('').name,
  new QueuesUnreachable('', '').name,
]);

describe.each(WORKFLOWS)('the %s workflow', (workflow) => {
  const definition = loadWorkflow(workflow, arnOf);
  const machine = readMachine(definition);
  const states = [...placedStates(machine)];
  const tasks = states.filter(({ state }) => state.Type === 'Task');

  it('is valid Amazon States Language', () => {
    const result = validate(definition);
    expect(result.errorsText('\n')).toBe('');
    expect(result.isValid).toBe(true);
  });

  it('keeps to what runs the same locally and on AWS, with placeholders and with ARNs', () => {
    expect(unsupported(definition)).toEqual([]);
    expect(unsupported(JSON.parse(readWorkflow(workflow)))).toEqual([]);
  });

  it('says what it is for and ends by itself some day', () => {
    expect(machine.Comment).toMatch(/\w{3}/);
    expect(machine.TimeoutSeconds).toBeGreaterThan(0);
  });

  it('has no placeholder that no function stands for', () => {
    const used = [...readWorkflow(workflow).matchAll(/\$\{(\w+)\}/g)].map(([, name]) => name);
    expect(used.length).toBeGreaterThanOrEqual(tasks.length);
    const known: readonly string[] = Object.values(FUNCTION_PLACEHOLDERS);
    expect(used.filter((name) => !known.includes(name ?? ''))).toEqual([]);
  });

  it.each(tasks.map(({ name, state }) => ({ name, state })))(
    'gives "$name" a function, a time limit, named retries, a catch and a comment',
    async ({ state }) => {
      const folder = folderOf.get(state.Resource);
      expect(folder).toBeDefined();
      const file = new URL(`../../functions/${folder}/handler.ts`, import.meta.url);
      expect(existsSync(file)).toBe(true);
      expect(await import(file.href)).toMatchObject({ handler: expect.any(Function) });
      expect(state.Comment ?? '').toMatch(/\w{3}/);
      // A Lambda ends after 15 minutes at the latest.
      expect(state.TimeoutSeconds).toBeGreaterThan(0);
      expect(state.TimeoutSeconds).toBeLessThanOrEqual(900);
      const retried = handlersOf(state, 'Retry').flatMap(({ ErrorEquals }) => ErrorEquals);
      expect(retried).toEqual(expect.arrayContaining([...LAMBDA_SERVICE_ERRORS, ...TIMEOUTS]));
      const unknown = retried.filter(
        (name) => ![...LAMBDA_SERVICE_ERRORS, ...TIMEOUTS].includes(name) && !ourErrors.has(name),
      );
      expect(unknown).toEqual([]);
      expect(handlersOf(state, 'Catch').flatMap(({ ErrorEquals }) => ErrorEquals)).toContain(
        'States.ALL',
      );
    },
  );

  it('never retries what only a person can mend', () => {
    const retried = new Set(
      tasks.flatMap(({ state }) => handlersOf(state, 'Retry').flatMap((one) => one.ErrorEquals)),
    );
    for (const name of [
      'DuplicateKitNumber',
      'ParityMismatch',
      'ContractBroken',
      'FlipRefused',
      'WorkersBusy',
      'NoGo',
      'States.ALL',
    ])
      expect(retried.has(name), name).toBe(false);
  });

  it('catches the failure of a lane outside the lanes as well', () => {
    const maps = states.filter(({ state }) => state.Type === 'Map');
    expect(maps.length).toBeGreaterThan(0);
    for (const { state } of maps) expect(handlersOf(state, 'Catch')).not.toEqual([]);
  });

  it('ends the same whether its report was written or not', () => {
    const writers = tasks.filter(({ state }) => isReport(state));
    expect(writers.length).toBeGreaterThan(1);
    for (const { name, state } of writers) {
      expect(
        handlersOf(state, 'Catch').map(({ ErrorEquals, Next }) => [...ErrorEquals, Next]),
        name,
      ).toEqual([['States.ALL', state.Next]]);
      // What comes after must find what it would have found.
      expect(state.ResultPath, name).toBeNull();
      expect(state.TimeoutSeconds, name).toBeLessThanOrEqual(120);
    }
  });

  it('leads every caught failure to a Fail state and never to success', () => {
    const outer = new Map(
      states.filter(({ parent }) => parent === undefined).map(({ name, state }) => [name, state]),
    );
    const caught = [...outer.values()].flatMap((state) =>
      isReport(state) ? [] : handlersOf(state, 'Catch'),
    );
    const open = caught.map(({ Next }) => Next ?? '');
    const seen = new Set<string>();
    for (let name = open.pop(); name !== undefined; name = open.pop()) {
      if (seen.has(name)) continue;
      seen.add(name);
      const state = outer.get(name);
      expect(state, name).toBeDefined();
      expect(state?.Type, name).not.toBe('Succeed');
      expect(state?.End, name).not.toBe(true);
      const next = [state?.Next, state?.Default];
      for (const rule of (state?.Choices as { Next: string }[] | undefined) ?? [])
        next.push(rule.Next);
      open.push(...next.filter((one) => typeof one === 'string'));
    }
    expect([...seen].some((name) => outer.get(name)?.Type === 'Fail')).toBe(true);
  });
});

/** Names of states that can be reached from one, by every way but through those that are closed. */
const reachable = (
  workflow: 'cutover' | 'rollback',
  from: string,
  closed: readonly string[] = [],
): ReadonlySet<string> => {
  const { States } = readMachine(loadWorkflow(workflow, arnOf));
  const seen = new Set<string>();
  const open = [from];
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    if (seen.has(name) || closed.includes(name)) continue;
    seen.add(name);
    const state = States[name];
    if (state === undefined) throw new TypeError(`no state "${name}"`);
    const rules = [...((state.Choices as { Next: string }[] | undefined) ?? [])];
    const next = [state.Next, state.Default, ...rules.map(({ Next }) => Next)];
    next.push(...handlersOf(state, 'Catch').map(({ Next }) => Next));
    open.push(...next.filter((one) => typeof one === 'string'));
  }
  return seen;
};

describe("the workers' pause", () => {
  it('comes before a migration can begin, and before a rollback takes a step', () => {
    expect(reachable('cutover', 'Accept the input', ['Pause the workers'])).not.toContain(
      'Begin the batch',
    );
    expect(reachable('rollback', 'Find the batch', ['Pause the workers'])).not.toContain(
      'Step back',
    );
  });

  it('ends on every way out', () => {
    const resumes = ['Resume the workers', 'Let the workers go on'];
    expect(
      [...reachable('cutover', 'Pause the workers', resumes)].filter((name) =>
        ['Done', 'Stopped before the switch', 'Stopped after the switch'].includes(name),
      ),
    ).toEqual([]);
    expect(
      [...reachable('rollback', 'Pause the workers', resumes)].filter((name) =>
        ['Rolled back', 'Workers left paused'].includes(name),
      ),
    ).toEqual([]);
  });

  it('is none of the analysis alone', () => {
    const { States } = readMachine(loadWorkflow('cutover', arnOf));
    const rules = (States['Is the analysis done?']?.Choices ?? []) as Record<string, unknown>[];
    const alone = rules.findIndex(({ StringEquals }) => StringEquals === 'analyse');
    const further = rules.findIndex(({ Next }) => Next === 'Install the schema');
    expect(rules[alone]?.Next).toBe('Write the report of the analysis');
    expect(alone).toBeLessThan(further);
    expect([...reachable('cutover', 'Write the report of the analysis')].sort()).toEqual([
      'NoGo',
      'Report the analysis',
      'What was asked for?',
      'Write the report of the analysis',
    ]);
  });
});

it("keeps the cutover to the operator's checklist, in its order", () => {
  const order = [
    'Install the schema',
    'Begin the batch',
    'Copy',
    'Compare',
    'Check the contract',
    'Switch the reads',
    'Switch the writes',
    'Begin to watch',
    'Close the migration',
  ];
  const names = Object.keys(readMachine(loadWorkflow('cutover', arnOf)).States);
  expect(names.filter((name) => order.includes(name))).toEqual(order);
});
