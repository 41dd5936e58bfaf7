import { setTimeout as sleep } from 'node:timers/promises';
import type { Queues } from '../queues/start-queues.ts';
import {
  type EventSourceMappingDeclaration,
  eventSourceMappings,
} from './event-source-mappings.ts';
import {
  type FunctionOptions,
  type LambdaHandler,
  localFunctions,
  MAX_INVOCATION_BYTES,
} from './functions.ts';
import { lambdaService } from './lambda-service.ts';
import { type ParameterListener, parameterEvents } from './parameter-events.ts';
import { stateParameters } from './parameters.ts';
import { serve } from './server.ts';
import { sfnService } from './sfn-service.ts';
import { ssmService } from './ssm-service.ts';
import { openState } from './state.ts';
import { NO_STATE_FILE, stateFile } from './state-file.ts';
import { stateMachines } from './state-machines.ts';

export type LocalAwsOptions = {
  /**
   * Keeps the parameters here, and what operators change of event source mappings, so that a flag and a
   * pause survive the process. In memory only by default.
   */
  readonly stateFile?: string;
  /** Where event source mappings read; of the same region. Stop them after this. */
  readonly queues?: Queues;
  readonly region?: string;
  /** Twelve digits. */
  readonly accountId?: string;
  /** A free one by default. */
  readonly port?: number;
  /** Factor for the fixed pauses of Wait states and retries; 1, the default, leaves them. */
  readonly waitScale?: number;
  /** Told when a parameter listener fails; by default the process warns. */
  readonly onListenerError?: (error: unknown) => void;
  /** Told when a poll or an invocation of an event source mapping fails; by default the process warns. */
  readonly onMappingError?: (error: Error) => void;
};

export type LocalAws = {
  /** For the SDK clients' `endpoint`. */
  readonly endpoint: string;
  readonly region: string;
  readonly accountId: string;
  /** Any pair is accepted; the access key tells operators apart in `LastModifiedUser`. */
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
  /** The ARN that a function of this name has here. */
  functionArn(name: string): string;
  /**
   * Binds a handler to the ARN that Task states name as their Resource. An earlier one is replaced.
   */
  registerFunction(arn: string, handler: LambdaHandler, options?: FunctionOptions): void;
  /**
   * Makes a state machine known; an earlier one of that name is replaced. Returns its ARN.
   *
   * @throws UnsupportedDefinitionError naming everything that is invalid or would run differently on AWS.
   */
  registerStateMachine(machine: { readonly name: string; readonly definition: unknown }): string;
  /**
   * Lets a queue feed a registered function, as CreateEventSourceMapping does. It begins enabled, disabled
   * or with the batch size that an operator last gave it; else as declared. Returns its UUID.
   *
   * @throws ServiceError `InvalidParameterValueException` for wrong values, an unknown function and a
   * visibility timeout below the function's; `ResourceConflictException` when it exists.
   * @throws QueueDeclarationError for an unknown queue.
   */
  registerEventSourceMapping(mapping: EventSourceMappingDeclaration): Promise<string>;
  /** EventBridge's "Parameter Store Change", one at a time. Returns the function that unsubscribes. */
  onParameterChange(listener: ParameterListener): () => void;
  /** Resolves when all parameter changes so far have been handled by the listeners. */
  parameterChangesHandled(): Promise<void>;
  /**
   * Lets the next calls of an operation (`GetParameter`) fail with an error of this name. The SDK
   * repeats calls that fail with throttling or a 5xx error by itself: give `times` then.
   */
  failNext(operation: string, errorName: string, times?: number): void;
  /**
   * Aborts the executions and ends polling, waits up to `graceMs` (10 s) for functions and listeners under
   * way, and closes the server. No message is lost: what was not done is in its queue. Again is harmless.
   */
  stop(options?: { readonly graceMs?: number }): Promise<void>;
};

/**
 * Starts the part of AWS that the workflows need, on 127.0.0.1 only, for the real SDK clients: the
 * Parameter Store (AWS JSON 1.1), Step Functions (AWS JSON 1.0) and Lambda's event source mappings
 * (REST), whose executions and mappings call functions of this process.
 *
 * @throws LocalStateError when the state file cannot be read.
 */
export async function startLocalAws(options: LocalAwsOptions = {}): Promise<LocalAws> {
  const region = options.region ?? 'eu-west-1';
  const accountId = options.accountId ?? '000000000000';
  const place = { region, accountId };
  const functions = localFunctions(MAX_INVOCATION_BYTES);
  const events = parameterEvents({
    ...place,
    onListenerError: options.onListenerError ?? warnOfListener,
  });
  const state = await openState(
    options.stateFile === undefined ? NO_STATE_FILE : stateFile(options.stateFile),
  );
  const machines = stateMachines({ ...place, functions, waitScale: options.waitScale ?? 1 });
  const mappings = eventSourceMappings({
    queues: options.queues,
    functions,
    state,
    onError: options.onMappingError ?? warn,
  });
  const services = [
    ssmService(stateParameters(state), events, place),
    sfnService(machines),
    lambdaService(mappings, functions, place),
  ];
  const server = await serve(services, options.port);
  let stopping: Promise<void> | undefined;
  return {
    endpoint: server.endpoint,
    region,
    accountId,
    credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
    functionArn: (name) => `arn:aws:lambda:${region}:${accountId}:function:${name}`,
    registerFunction: functions.register,
    registerStateMachine: ({ name, definition }) => machines.register(name, definition),
    registerEventSourceMapping: mappings.register,
    onParameterChange: events.subscribe,
    parameterChangesHandled: events.settled,
    failNext: server.failNext,
    stop({ graceMs = 10_000 } = {}) {
      stopping ??= (async () => {
        await machines.abortAll('The local endpoint stops.');
        const waited = new AbortController();
        // The server stays up meanwhile: a function that finishes its work may still read a flag.
        await Promise.race([
          Promise.all([mappings.stop(), functions.idle(), events.settled()]),
          sleep(graceMs, undefined, { signal: waited.signal }).catch(() => undefined),
        ]);
        waited.abort();
        await server.close();
      })();
      return stopping;
    },
  };
}

function warnOfListener(error: unknown): void {
  const what = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  process.emitWarning(`A parameter listener failed. ${what}`, 'LocalAwsWarning');
}

function warn(error: Error): void {
  process.emitWarning(`${error.name}: ${error.message}`, 'LocalAwsWarning');
}
