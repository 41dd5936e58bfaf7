import { setTimeout as sleep } from 'node:timers/promises';
import { type FunctionOptions, type LambdaHandler, localFunctions } from './functions.ts';
import { type ParameterListener, parameterEvents } from './parameter-events.ts';
import { openParameters } from './parameters.ts';
import { serve } from './server.ts';
import { sfnService } from './sfn-service.ts';
import { ssmService } from './ssm-service.ts';
import { NO_STATE_FILE, stateFile } from './state-file.ts';
import { stateMachines } from './state-machines.ts';

export type LocalAwsOptions = {
  /** Keeps the parameters here, so that flags survive the process. In memory only by default. */
  readonly stateFile?: string;
  readonly region?: string;
  /** Twelve digits. */
  readonly accountId?: string;
  /** A free one by default. */
  readonly port?: number;
  /** Factor for the fixed pauses of Wait states and retries; 1, the default, leaves them. */
  readonly waitScale?: number;
  /** Told when a parameter listener fails; by default the process warns. */
  readonly onListenerError?: (error: unknown) => void;
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
   * Aborts the executions, waits up to `graceMs` (10 s) for functions and listeners under way, and
   * closes the server. Again is harmless.
   */
  stop(options?: { readonly graceMs?: number }): Promise<void>;
};

/**
 * Starts the part of AWS that the workflows need, on 127.0.0.1 only, for the real SDK clients: the
 * Parameter Store (AWS JSON 1.1) and Step Functions (AWS JSON 1.0), whose executions call functions
 * of this process.
 *
 * @throws LocalStateError when the state file cannot be read.
 */
export async function startLocalAws(options: LocalAwsOptions = {}): Promise<LocalAws> {
  const region = options.region ?? 'eu-west-1';
  const accountId = options.accountId ?? '000000000000';
  const place = { region, accountId };
  const functions = localFunctions();
  const events = parameterEvents({ ...place, onListenerError: options.onListenerError ?? warn });
  const parameters = await openParameters(
    options.stateFile === undefined ? NO_STATE_FILE : stateFile(options.stateFile),
  );
  const machines = stateMachines({ ...place, functions, waitScale: options.waitScale ?? 1 });
  const services = [ssmService(parameters, events, place), sfnService(machines)];
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
    onParameterChange: events.subscribe,
    parameterChangesHandled: events.settled,
    failNext: server.failNext,
    stop({ graceMs = 10_000 } = {}) {
      stopping ??= (async () => {
        await machines.abortAll('The local endpoint stops.');
        const waited = new AbortController();
        // The server stays up meanwhile: a function that finishes its work may still read a flag.
        await Promise.race([
          Promise.all([functions.idle(), events.settled()]),
          sleep(graceMs, undefined, { signal: waited.signal }).catch(() => undefined),
        ]);
        waited.abort();
        await server.close();
      })();
      return stopping;
    },
  };
}

function warn(error: unknown): void {
  const what = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  process.emitWarning(`A parameter listener failed. ${what}`, 'LocalAwsWarning');
}
