import { StateMachine, type StateMachineDefinition } from 'aws-local-stepfunctions';
import { describe, expect, it } from 'vitest';
import { SUPPORTED, unsupported } from '../../infra/local/aws/supported-asl.ts';

const FUNCTION = 'arn:aws:lambda:eu-west-1:000000000000:function:copy';
const task = { Type: 'Task', Resource: FUNCTION, TimeoutSeconds: 60, End: true };

const machine = (state: object, more: object = {}) => ({
  StartAt: 'S',
  States: { S: state },
  ...more,
});
const complaints = (state: object, more: object = {}) => unsupported(machine(state, more));

describe('the check for what the local interpreter does not run as AWS does', () => {
  it('has nothing to say about a workflow that keeps to the subset', () => {
    const definition = {
      Comment: 'Everything the workflows use.',
      StartAt: 'Analyse',
      TimeoutSeconds: 604_800,
      States: {
        Analyse: {
          ...task,
          // biome-ignore lint/suspicious/noTemplateCurlyInString: the placeholder as the ASL file has it
          Resource: '${AnalyseFunctionArn}',
          End: undefined,
          Parameters: {
            'batchId.$': '$.batchId',
            'execution.$': '$$.Execution.Name',
            'lanes.$': 'States.ArrayRange(0, $.lanes, 1)',
            'text.$': "States.Format('batch {} of {}', $.batchId, States.UUID())",
            nested: [{ 'at.$': '$$.Execution.StartTime' }],
          },
          ResultSelector: { 'done.$': '$.done' },
          ResultPath: '$.analysis',
          Retry: [{ ErrorEquals: ['States.Timeout', 'Busy'], IntervalSeconds: 2, BackoffRate: 2 }],
          Catch: [{ ErrorEquals: ['States.ALL'], ResultPath: '$.error', Next: 'Failed' }],
          Next: 'Lanes',
        },
        Lanes: {
          Type: 'Map',
          ItemsPath: '$.lanes',
          MaxConcurrency: 4,
          ItemSelector: { 'lane.$': '$$.Map.Item.Value', 'index.$': '$$.Map.Item.Index' },
          ItemProcessor: {
            ProcessorConfig: { Mode: 'INLINE' },
            StartAt: 'Copy',
            States: { Copy: { ...task, TimeoutSeconds: undefined, TimeoutSecondsPath: '$.t' } },
          },
          ResultPath: null,
          Next: 'More?',
        },
        'More?': {
          Type: 'Choice',
          Choices: [
            {
              And: [
                { Variable: '$.analysis.done', BooleanEquals: true },
                { Not: { Variable: '$.analysis.left', IsPresent: true } },
                { Variable: '$.mode', StringMatches: 'ana*' },
                { Variable: '$.rows', NumericGreaterThanPath: '$.limits[0]' },
              ],
              Next: 'Done',
            },
          ],
          Default: 'Pause',
        },
        Pause: { Type: 'Wait', SecondsPath: '$.pauseSeconds', Next: 'Analyse' },
        Failed: { Type: 'Fail', ErrorPath: '$.error.Error', CausePath: '$.error.Cause' },
        Done: { Type: 'Succeed' },
      },
    };
    expect(unsupported(JSON.parse(JSON.stringify(definition)))).toEqual([]);
  });

  it.each([
    ['JSONata of the machine', {}, { QueryLanguage: 'JSONata' }, /JSONata/],
    ['JSONata of a state', { QueryLanguage: 'JSONata' }, {}, /JSONata/],
    ['variables', { Assign: { a: 1 } }, {}, /Assign/],
    ['heartbeats', { HeartbeatSeconds: 5 }, {}, /HeartbeatSeconds/],
    ['credentials', { Credentials: {} }, {}, /Credentials/],
    ['a task without a timeout', { TimeoutSeconds: undefined }, {}, /60 s/],
    ['an SDK integration', { Resource: 'arn:aws:states:::lambda:invoke' }, {}, /Lambda function/],
    ['a callback', { Resource: 'arn:aws:states:::sqs:sendMessage.waitForTaskToken' }, {}, /Lambda/],
    ['a timeout of months', { TimeoutSeconds: 9_000_000 }, {}, /24 days/],
    ['a machine timeout of months', {}, { TimeoutSeconds: 9_000_000 }, /24 days/],
    ['the whole as ResultPath', { ResultPath: '$' }, {}, /ResultPath/],
    ['it in a Catch', { Catch: [{ ErrorEquals: ['X'], ResultPath: '$', Next: 'S' }] }, {}, /Catch/],
    ['an unknown Retry field', { Retry: [{ ErrorEquals: ['X'], Jitter: 1 }] }, {}, /Jitter/],
    ['a heartbeat error', { Retry: [{ ErrorEquals: ['States.HeartbeatTimeout'] }] }, {}, /Heartb/],
    ['the task token', { Parameters: { 'token.$': '$$.Task.Token' } }, {}, /\$\$\.Task\.Token/],
    [
      'the retry count',
      { Parameters: { a: [{ 'n.$': '$$.State.RetryCount' }] } },
      {},
      /RetryCount/,
    ],
    ['a Map item elsewhere', { Parameters: { 'i.$': '$$.Map.Item.Index' } }, {}, /ItemSelector/],
    ['a wildcard', { InputPath: '$.items[*].id' }, {}, /several/],
    ['a filter', { Parameters: { 'x.$': '$.items[?(@.a==1)]' } }, {}, /several/],
    ['a deep scan', { OutputPath: '$..id' }, {}, /several/],
    ['an unknown function', { Parameters: { 'x.$': 'States.Nothing($.a)' } }, {}, /Nothing/],
    [
      'a nested unknown function',
      { Parameters: { 'x.$': "States.Format('{}', States.JsonToString($.a))" } },
      {},
      /JsonToString/,
    ],
    [
      'parentheses in a text',
      { Parameters: { 'x.$': "States.Format('a) {}', $.b)" } },
      {},
      /parenth/,
    ],
    ['text as a path', { Parameters: { 'x.$': 'plain' } }, {}, /neither/],
  ])('names %s', (_what, state, more, expected) => {
    const found = complaints({ ...task, ...state }, more);
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(expected);
  });

  it.each([
    [
      'a distributed Map',
      { ItemProcessor: { ProcessorConfig: { Mode: 'DISTRIBUTED' } } },
      /DISTRIB/,
    ],
    ['batched items', { ItemBatcher: { MaxItemsPerBatch: 10 } }, /ItemBatcher/],
    ['a tolerated failure', { ToleratedFailurePercentage: 5 }, /Tolerated/],
  ])('names %s', (_what, more, expected) => {
    const { ItemProcessor = {}, ...rest } = more as { ItemProcessor?: object };
    const inner = { StartAt: 'I', States: { I: task }, ...ItemProcessor };
    const found = complaints({ Type: 'Map', ItemProcessor: inner, End: true, ...rest });
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(expected);
  });

  it.each([
    ['a test for false', { Variable: '$.a', IsPresent: false }, /Not/],
    ['times, which are compared as text', { Variable: '$.a', TimestampLessThan: 'x' }, /as text/],
    ['a JSONata condition', { Condition: '{% true %}' }, /Condition/],
    ['a single-character wildcard', { Variable: '$.a', StringMatches: 'a?' }, /asterisk/],
    ['a wildcard deep inside', { Or: [{ Not: { Variable: '$.a[*]', IsNull: true } }] }, /several/],
  ])('names in a choice %s', (_what, rule, expected) => {
    const found = complaints({ Type: 'Choice', Choices: [{ ...rule, Next: 'S' }] });
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(expected);
  });

  it('looks into branches and lanes, and wants every name once', () => {
    const branch = { StartAt: 'S', States: { S: { ...task, InputPath: '$$.Execution.Input' } } };
    const lane = {
      StartAt: 'Deep',
      States: { Deep: { Type: 'Parallel', Branches: [branch], End: true } },
    };
    const found = complaints({ Type: 'Map', ItemProcessor: lane, End: true });
    expect(found).toEqual([
      'State "S": another state has the same name, and functions are bound by name.',
      'State "S", InputPath: inside a Map or Parallel state $$.Execution.Input is not that of the execution.',
    ]);
  });

  it('knows the eight state types', () => {
    expect(Object.keys(SUPPORTED.stateFields).sort()).toEqual([
      'Choice',
      'Fail',
      'Map',
      'Parallel',
      'Pass',
      'Succeed',
      'Task',
      'Wait',
    ]);
    expect(complaints({ Type: 'Loop' })).toEqual(['State "S": the type Loop is not supported.']);
  });
});

/**
 * Each of these is a difference from AWS that the check is there for. One that fails here was mended
 * in a new version of the interpreter: take it off the list.
 */
describe('the interpreter, where it differs', () => {
  const run = (definition: object, input: unknown = {}, handler = (given: unknown) => given) => {
    const interpreter = new StateMachine(definition as StateMachineDefinition, {
      validationOptions: { noValidate: true },
    });
    const overrides = { taskResourceLocalHandlers: { S: handler } };
    type Options = Parameters<StateMachine['run']>[1];
    return interpreter.run(input as never, { overrides } as Options).result;
  };

  it('takes the ResultPath "$" for the name of a field', async () => {
    expect(await run(machine({ ...task, ResultPath: '$' }), { a: 1 }, () => ({ b: 2 }))).toEqual({
      a: 1,
      $: { b: 2 },
    });
  });

  it('never matches a test for false', async () => {
    const States = {
      S: {
        Type: 'Choice',
        Choices: [{ Variable: '$.a', IsPresent: false, Next: 'Absent' }],
        Default: 'Other',
      },
      Absent: { Type: 'Pass', Result: 'absent', End: true },
      Other: { Type: 'Pass', Result: 'other', End: true },
    };
    expect(await run({ StartAt: 'S', States })).toBe('other');
  });

  it('drops the backslashes of a text made by a function', async () => {
    const Parameters = { 'x.$': 'States.JsonToString($.a)' };
    const found = await run(machine({ Type: 'Pass', Parameters, End: true }), { a: { b: 'c"d' } });
    expect(found).toEqual({ x: '{"b":"c"d"}' });
  });

  it('fails on a wildcard that matches nothing', async () => {
    const state = { Type: 'Pass', InputPath: '$.items[*]', End: true };
    await expect(run(machine(state), { items: [] })).rejects.toThrow(/does not point to a value/);
  });

  it('ends an execution at once whose timeout is months', async () => {
    const slow = machine({ Type: 'Wait', Seconds: 1, End: true }, { TimeoutSeconds: 3_000_000 });
    await expect(run(slow)).rejects.toThrow(/timed out/);
  });
});
