import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { StateMachine, type StateMachineDefinition } from 'aws-local-stepfunctions';
import { z } from 'zod';
import { type AslMachine, readMachine } from './asl-walk.ts';
import { type Execution, startExecution } from './execution.ts';
import { type Functions, MAX_PAYLOAD_BYTES } from './functions.ts';
import { ServiceError } from './service-error.ts';
import { unsupported } from './supported-asl.ts';

/** The definition is not valid, or uses what the local interpreter does not run as AWS would. */
class UnsupportedDefinitionError extends Error {
  override readonly name = 'UnsupportedDefinitionError';
}

type RegisteredMachine = {
  readonly arn: string;
  readonly name: string;
  readonly definition: AslMachine;
  readonly roleArn: string;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
};

export type StateMachines = {
  /** Makes a machine known under its name, in the place of an earlier one. Returns its ARN. */
  register(name: string, definition: unknown): string;
  all(): readonly RegisteredMachine[];
  get(arn: string): RegisteredMachine;
  start(arn: string, name: string | undefined, input: string | undefined): Execution;
  execution(arn: string): Execution;
  /** Newest first. */
  executions(arn: string): readonly Execution[];
  abortAll(cause: string): Promise<void>;
};

/** The state machines of this process and their executions, which live as long as it does. */
export function stateMachines(options: {
  readonly region: string;
  readonly accountId: string;
  readonly functions: Functions;
  readonly waitScale: number;
}): StateMachines {
  const prefix = `arn:aws:states:${options.region}:${options.accountId}`;
  const machines = new Map<string, RegisteredMachine>();
  const executions = new Map<string, Execution>();

  const get = (arn: string): RegisteredMachine => {
    const found = machines.get(arn);
    if (found) return found;
    throw new ServiceError('StateMachineDoesNotExist', `State Machine Does Not Exist: '${arn}'`);
  };

  return {
    get,
    all: () => [...machines.values()].sort((a, b) => (a.arn < b.arn ? -1 : 1)),
    register(name, definition) {
      const arn = `${prefix}:stateMachine:${name}`;
      machines.set(arn, {
        arn,
        name,
        definition: validated(name, definition),
        roleArn: `arn:aws:iam::${options.accountId}:role/${name}`,
        createdAt: Date.now(),
      });
      return arn;
    },
    start(arn, asked, given) {
      const machine = get(arn);
      const name = asked ?? randomUUID();
      const input = validInput(given ?? '{}');
      const executionArn = `${prefix}:execution:${machine.name}:${name}`;
      const earlier = executions.get(executionArn);
      if (earlier) {
        const same = isDeepStrictEqual(JSON.parse(earlier.input), JSON.parse(input));
        // Starting the same again while it runs is a retried request, and is answered like the first.
        if (same && earlier.status === 'RUNNING') return earlier;
        throw new ServiceError(
          'ExecutionAlreadyExists',
          `Execution Already Exists: '${executionArn}'. Give another name.`,
        );
      }
      const execution = startExecution({
        arn: executionArn,
        name,
        input,
        stateMachine: machine,
        functions: options.functions,
        waitScale: options.waitScale,
        roleArn: machine.roleArn,
      });
      executions.set(executionArn, execution);
      return execution;
    },
    execution(arn) {
      const found = executions.get(arn);
      if (found) return found;
      throw new ServiceError('ExecutionDoesNotExist', `Execution Does Not Exist: '${arn}'`);
    },
    executions: (arn) =>
      [...executions.values()].filter((found) => found.stateMachineArn === arn).reverse(),
    async abortAll(cause) {
      await Promise.all([...executions.values()].map((one) => one.stop('Local.Stopped', cause)));
    },
  };
}

function validated(name: string, definition: unknown): AslMachine {
  let machine: AslMachine;
  try {
    // Its constructor validates the schema, the paths, the ARNs and that every state can be reached.
    new StateMachine(definition as StateMachineDefinition);
    machine = readMachine(definition);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const why = error instanceof z.ZodError ? z.prettifyError(error) : error.message;
    throw new UnsupportedDefinitionError(`The state machine ${name} is not valid: ${why}`);
  }
  const complaints = unsupported(machine);
  if (complaints.length === 0) return machine;
  throw new UnsupportedDefinitionError(
    `The state machine ${name} would not run here as on AWS:\n- ${complaints.join('\n- ')}`,
  );
}

function validInput(input: string): string {
  if (Buffer.byteLength(input) > MAX_PAYLOAD_BYTES) {
    throw new ServiceError(
      'ValidationException',
      `The input has more than ${MAX_PAYLOAD_BYTES} bytes. Pass ids, not rows.`,
    );
  }
  try {
    JSON.parse(input);
    return input;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new ServiceError('InvalidExecutionInput', `The input is not JSON: ${error.message}`);
  }
}
