import { type AslState, nestedMachines, placedStates, readMachine } from './asl-walk.ts';
import { CHOICE_OPERATORS, unsupportedChoices } from './supported-choices.ts';
import { INTRINSIC_FUNCTIONS, unsupportedPath, unsupportedTemplate } from './supported-paths.ts';

/**
 * What of the Amazon States Language the local interpreter (aws-local-stepfunctions 3.0.0) runs as AWS
 * does. What is not listed it ignores in silence or treats differently, which is worse than refusing.
 */
export const SUPPORTED = {
  machineFields: ['Comment', 'StartAt', 'States', 'Version', 'TimeoutSeconds', 'QueryLanguage'],
  nestedMachineFields: ['Comment', 'StartAt', 'States', 'ProcessorConfig', 'QueryLanguage'],
  commonFields: ['Type', 'Comment', 'InputPath', 'OutputPath', 'Next', 'End', 'QueryLanguage'],
  stateFields: {
    Task: [
      'Resource',
      'Parameters',
      'ResultSelector',
      'ResultPath',
      'TimeoutSeconds',
      'TimeoutSecondsPath',
      'Retry',
      'Catch',
    ],
    Map: [
      'Iterator',
      'ItemProcessor',
      'Parameters',
      'ItemSelector',
      'ItemsPath',
      'MaxConcurrency',
      'MaxConcurrencyPath',
      'ResultSelector',
      'ResultPath',
      'Retry',
      'Catch',
    ],
    Parallel: ['Branches', 'Parameters', 'ResultSelector', 'ResultPath', 'Retry', 'Catch'],
    Pass: ['Result', 'Parameters', 'ResultPath'],
    Wait: ['Seconds', 'SecondsPath', 'Timestamp', 'TimestampPath'],
    Choice: ['Choices', 'Default'],
    Succeed: [],
    Fail: ['Error', 'Cause', 'ErrorPath', 'CausePath'],
  },
  retrierFields: [
    'ErrorEquals',
    'IntervalSeconds',
    'MaxAttempts',
    'BackoffRate',
    'MaxDelaySeconds',
    'JitterStrategy',
    'Comment',
  ],
  choiceOperators: CHOICE_OPERATORS,
  intrinsicFunctions: INTRINSIC_FUNCTIONS,
  catcherFields: ['ErrorEquals', 'Next', 'ResultPath', 'Comment'],
  /** The interpreter's timers are 32-bit milliseconds: longer ones fire at once. */
  longestSeconds: 2_147_483,
} as const;

/** A Lambda function by its ARN, or the placeholder that the deployment fills with one. */
const DIRECT_FUNCTION =
  /^(\$\{\w+\}|arn:aws[\w-]*:lambda:[\w-]+:\d{12}:function:[\w-]+(:[\w$-]+)?)$/;

/**
 * Every use of something the local interpreter does not run as AWS would, each as a sentence that
 * names the state. Empty when the definition runs the same in both places.
 */
export function unsupported(definition: unknown): string[] {
  const machine = readMachine(definition);
  const found = unknownFields('The state machine', machine, SUPPORTED.machineFields);
  found.push(...unsupportedLanguage('The state machine', machine));
  found.push(...tooLong('The state machine', 'TimeoutSeconds', machine.TimeoutSeconds));
  const seen = new Set<string>();
  for (const { name, state, machine: within, parent } of placedStates(machine)) {
    if (seen.has(name)) {
      found.push(
        `State "${name}": another state has the same name, and functions are bound by name.`,
      );
    }
    seen.add(name);
    found.push(...unsupportedState(name, state, within, parent !== undefined));
  }
  return found;
}

function unsupportedState(
  name: string,
  state: AslState,
  within: string,
  nested: boolean,
): string[] {
  const where = `State "${name}"`;
  const fields: Readonly<Record<string, readonly string[]>> = SUPPORTED.stateFields;
  const own = fields[state.Type];
  if (!own) return [`${where}: the type ${state.Type} is not supported.`];
  const found = unknownFields(where, state, [...SUPPORTED.commonFields, ...own]);
  found.push(...unsupportedLanguage(where, state));
  for (const field of ['InputPath', 'OutputPath', 'ItemsPath', 'MaxConcurrencyPath']) {
    found.push(...unsupportedPath(`${where}, ${field}`, state[field], { nested }));
  }
  for (const field of [
    'TimeoutSecondsPath',
    'SecondsPath',
    'TimestampPath',
    'ErrorPath',
    'CausePath',
  ]) {
    found.push(...unsupportedPath(`${where}, ${field}`, state[field], { nested }));
  }
  for (const field of ['Parameters', 'ItemSelector', 'ResultSelector']) {
    const mapItem = state.Type === 'Map' && field !== 'ResultSelector';
    found.push(...unsupportedTemplate(`${where}, ${field}`, state[field], { nested, mapItem }));
  }
  found.push(...wholeResultPath(where, state.ResultPath));
  found.push(...tooLong(where, 'TimeoutSeconds', state.TimeoutSeconds));
  found.push(...tooLong(where, 'Seconds', state.Seconds));
  found.push(...unsupportedHandling(where, state));
  if (state.Type === 'Task') found.push(...unsupportedTask(where, state));
  if (state.Type === 'Pass' && 'Result' in state && !state.Result) {
    found.push(`${where}: the Result ${JSON.stringify(state.Result)} is ignored.`);
  }
  if (state.Type === 'Choice') found.push(...unsupportedChoices(where, state.Choices, nested));
  for (const inner of nestedMachines(name, within, state)) {
    found.push(...unsupportedMachine(where, inner.machine));
  }
  return found;
}

function unsupportedTask(where: string, state: AslState): string[] {
  const found: string[] = [];
  if (typeof state.Resource !== 'string' || !DIRECT_FUNCTION.test(state.Resource)) {
    found.push(`${where}: the Resource is not the ARN of a Lambda function.`);
  }
  if (state.TimeoutSeconds === undefined && state.TimeoutSecondsPath === undefined) {
    found.push(`${where}: without TimeoutSeconds it ends after 60 s here and never on AWS.`);
  }
  return found;
}

function unsupportedMachine(where: string, machine: Record<string, unknown>): string[] {
  const found = unknownFields(`${where}, inner machine`, machine, SUPPORTED.nestedMachineFields);
  found.push(...unsupportedLanguage(`${where}, inner machine`, machine));
  const config = machine.ProcessorConfig;
  const mode =
    typeof config === 'object' && config !== null && 'Mode' in config ? config.Mode : 'INLINE';
  if (mode !== 'INLINE') found.push(`${where}: a Map of mode ${String(mode)} is not supported.`);
  return found;
}

function unsupportedHandling(where: string, state: AslState): string[] {
  const found: string[] = [];
  for (const retrier of objects(state.Retry)) {
    found.push(...unknownFields(`${where}, Retry`, retrier, SUPPORTED.retrierFields));
    found.push(...tooLong(`${where}, Retry`, 'MaxDelaySeconds', retrier.MaxDelaySeconds));
  }
  for (const catcher of objects(state.Catch)) {
    found.push(...unknownFields(`${where}, Catch`, catcher, SUPPORTED.catcherFields));
    found.push(...wholeResultPath(`${where}, Catch`, catcher.ResultPath));
  }
  for (const handler of [...objects(state.Retry), ...objects(state.Catch)]) {
    const errors = Array.isArray(handler.ErrorEquals) ? handler.ErrorEquals : [];
    if (errors.includes('States.HeartbeatTimeout')) {
      found.push(`${where}: there are no heartbeats, so States.HeartbeatTimeout is never raised.`);
    }
  }
  return found;
}

function unknownFields(
  where: string,
  object: Record<string, unknown>,
  known: readonly string[],
): string[] {
  return Object.keys(object)
    .filter((field) => !known.includes(field))
    .map((field) => `${where}: the field ${field} is not supported.`);
}

function unsupportedLanguage(where: string, object: Record<string, unknown>): string[] {
  const language = object.QueryLanguage ?? 'JSONPath';
  return language === 'JSONPath' ? [] : [`${where}: ${String(language)} is not supported.`];
}

/** The interpreter takes "$" for a field of that name instead of the whole. */
function wholeResultPath(where: string, path: unknown): string[] {
  return path === '$' ? [`${where}: leave the ResultPath "$" out, which means the same.`] : [];
}

function tooLong(where: string, field: string, value: unknown): string[] {
  if (typeof value !== 'number' || value <= SUPPORTED.longestSeconds) return [];
  return [`${where}: ${field} above ${SUPPORTED.longestSeconds} (24 days) ends at once.`];
}

function objects(value: unknown): Record<string, unknown>[] {
  return Array.isArray(value)
    ? value.filter(
        (item): item is Record<string, unknown> => typeof item === 'object' && item !== null,
      )
    : [];
}
