import { ExecutionError, StateMachine, type StateMachineDefinition } from 'aws-local-stepfunctions';
import { type AslMachine, placedStates } from './asl-walk.ts';
import { FunctionError, type Functions, MAX_PAYLOAD_BYTES, requireSize } from './functions.ts';
import { data, executionHistory, type History, MAX_HISTORY_EVENTS } from './history.ts';
import { scalePauses } from './scaled-definition.ts';

type ExecutionStatus = 'RUNNING' | 'SUCCEEDED' | 'FAILED' | 'TIMED_OUT' | 'ABORTED';

/** How an execution ended. */
type Ending = {
  readonly status: Exclude<ExecutionStatus, 'RUNNING'>;
  readonly output?: string;
  readonly error?: string | undefined;
  readonly cause?: string | undefined;
};

export type Execution = {
  readonly arn: string;
  readonly name: string;
  readonly stateMachineArn: string;
  /** JSON text. */
  readonly input: string;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  readonly stoppedAt: number | undefined;
  readonly status: ExecutionStatus;
  /** JSON text of a succeeded execution. */
  readonly output: string | undefined;
  readonly error: string | undefined;
  readonly cause: string | undefined;
  readonly history: History;
  /** Aborts it. Functions under way run on, as they do on AWS; what they answer is dropped. */
  stop(error: string | undefined, cause: string | undefined): Promise<void>;
};

export type ExecutionRequest = {
  readonly arn: string;
  readonly name: string;
  readonly input: string;
  readonly stateMachine: {
    readonly arn: string;
    readonly name: string;
    readonly definition: AslMachine;
  };
  readonly functions: Functions;
  /** Factor for the fixed pauses of the definition; 1 leaves them. */
  readonly waitScale: number;
  readonly roleArn: string;
};

type JsonValue = Parameters<StateMachine['run']>[0];

/** Starts an execution on the interpreter; it goes on by itself. */
export function startExecution(request: ExecutionRequest): Execution {
  const { stateMachine, input } = request;
  const history = executionHistory(stateMachine.definition);
  history.add('ExecutionStarted', {
    executionStartedEventDetails: {
      input,
      inputDetails: { truncated: false },
      roleArn: request.roleArn,
    },
  });
  const startedAt = Date.now();
  let stopped: { error: string | undefined; cause: string | undefined } | undefined;
  let overflowed = false;

  const scaled = scalePauses(stateMachine.definition, request.waitScale);
  // Validated when it was registered; the scaled pauses are fractions, which the validator refuses.
  const machine = new StateMachine(scaled as unknown as StateMachineDefinition, {
    validationOptions: { noValidate: true },
  });
  const run = machine.run(JSON.parse(input) as JsonValue, {
    overrides: {
      taskResourceLocalHandlers: handlers(request, history, () => stopped !== undefined),
    },
    context: {
      Execution: { Id: request.arn, Name: request.name, RoleArn: request.roleArn },
      StateMachine: { Id: stateMachine.arn, Name: stateMachine.name },
    },
  });

  const follow = async () => {
    for await (const event of run.eventLogs) {
      history.record(event);
      // An endless loop of states ends on AWS at this count, so it ends here.
      if (history.events.length >= MAX_HISTORY_EVENTS && !overflowed) {
        overflowed = true;
        run.abort();
      }
    }
  };
  let ending: Ending | undefined;
  let stoppedAt: number | undefined;
  const finished = Promise.allSettled([run.result, follow()]).then(([result]) => {
    if (stopped) ending = { status: 'ABORTED', ...stopped };
    else if (overflowed) ending = tooManyEvents();
    else if (result.status === 'fulfilled') {
      ending = { status: 'SUCCEEDED', output: JSON.stringify(result.value ?? null) };
    } else ending = failure(result.reason);
    stoppedAt = Date.now();
    addEnding(history, ending);
  });

  return {
    arn: request.arn,
    name: request.name,
    stateMachineArn: stateMachine.arn,
    input,
    startedAt,
    history,
    get stoppedAt() {
      return stoppedAt;
    },
    get status() {
      return ending?.status ?? 'RUNNING';
    },
    get output() {
      return ending?.output;
    },
    get error() {
      return ending?.error;
    },
    get cause() {
      return ending?.cause;
    },
    async stop(error, cause) {
      if (ending) return;
      stopped ??= { error, cause };
      run.abort();
      await finished;
    },
  };
}

/** One handler per Task state, which invokes the function that the state's Resource names. */
function handlers(
  request: ExecutionRequest,
  history: History,
  isStopped: () => boolean,
): Record<string, (input: JsonValue) => Promise<JsonValue>> {
  const found: Record<string, (input: JsonValue) => Promise<JsonValue>> = {};
  for (const { name, state } of placedStates(request.stateMachine.definition)) {
    if (state.Type !== 'Task') continue;
    const resource = String(state.Resource);
    const timeout = typeof state.TimeoutSeconds === 'number' ? state.TimeoutSeconds : undefined;
    found[name] = async (input) => {
      // The interpreter's events arrive some microtasks after it acted; the state is entered first.
      await new Promise(setImmediate);
      // It tries once more when it is aborted in the pause before a retry.
      if (isStopped()) throw new FunctionError('States.TaskFailed', 'The execution was stopped.');
      const call = history.beginCall(name);
      const payload = JSON.stringify(input ?? null);
      call.add('LambdaFunctionScheduled', {
        lambdaFunctionScheduledEventDetails: {
          resource,
          ...data('input', input),
          ...(timeout === undefined ? {} : { timeoutInSeconds: timeout }),
        },
      });
      call.add('LambdaFunctionStarted', {});
      const current = () => call.isOpen() && !isStopped();
      try {
        requireSize(payload, MAX_PAYLOAD_BYTES, `The input of ${resource}`);
        const output = await request.functions.invoke(resource, payload);
        requireSize(output, MAX_PAYLOAD_BYTES, `The result of ${resource}`);
        if (current()) {
          call.add('LambdaFunctionSucceeded', {
            lambdaFunctionSucceededEventDetails: { output, outputDetails: { truncated: false } },
          });
        }
        return JSON.parse(output) as JsonValue;
      } catch (error) {
        if (current() && error instanceof Error) {
          call.add('LambdaFunctionFailed', {
            lambdaFunctionFailedEventDetails: { error: error.name, cause: error.message },
          });
        }
        throw error;
      }
    };
  }
  return found;
}

function failure(reason: unknown): Ending {
  if (reason instanceof ExecutionError && reason.cause instanceof Error) {
    return { status: 'FAILED', error: reason.cause.name, cause: reason.cause.message };
  }
  if (reason instanceof Error && reason.name === 'ExecutionTimeoutError') {
    return { status: 'TIMED_OUT' };
  }
  const cause = reason instanceof Error ? reason.message : String(reason);
  return { status: 'FAILED', error: 'States.Runtime', cause };
}

function tooManyEvents(): Ending {
  return {
    status: 'FAILED',
    error: 'States.Runtime',
    cause: `The execution reached the maximum number of history events (${MAX_HISTORY_EVENTS}).`,
  };
}

function addEnding(history: History, { status, output, error, cause }: Ending): void {
  const because = {
    ...(error === undefined ? {} : { error }),
    ...(cause === undefined ? {} : { cause }),
  };
  if (status === 'SUCCEEDED') {
    history.add('ExecutionSucceeded', {
      executionSucceededEventDetails: { output, outputDetails: { truncated: false } },
    });
  } else if (status === 'FAILED') {
    history.add('ExecutionFailed', { executionFailedEventDetails: because });
  } else if (status === 'TIMED_OUT') {
    history.add('ExecutionTimedOut', { executionTimedOutEventDetails: because });
  } else {
    history.add('ExecutionAborted', { executionAbortedEventDetails: because });
  }
}
