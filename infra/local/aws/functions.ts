import { randomUUID } from 'node:crypto';
import type { Context } from 'aws-lambda';

/** A Lambda handler as the functions export it. */
export type LambdaHandler = (event: unknown, context: Context) => unknown;

export type FunctionOptions = {
  /** As configured on AWS; what `getRemainingTimeInMillis()` counts down from. 900 by default. */
  readonly timeoutSeconds?: number;
  readonly memoryMb?: number;
};

export type Functions = {
  register(arn: string, handler: LambdaHandler, options?: FunctionOptions): void;
  /** The timeout of a registered function; undefined when there is none under this ARN. */
  timeoutSeconds(arn: string): number | undefined;
  /** Invokes with a JSON text and answers a JSON text, as Lambda does. */
  invoke(arn: string, payload: string): Promise<string>;
  /** Resolves when no invocation is under way. */
  idle(): Promise<void>;
};

/**
 * A failed invocation as Step Functions sees it: the name is what ErrorEquals matches, the message (the
 * Cause) is a JSON text with `errorType`, `errorMessage` and `trace`.
 */
export class FunctionError extends Error {
  override readonly name: string;
  /** The message alone, for a person. */
  readonly errorMessage: string;

  constructor(errorType: string, errorMessage: string, trace: readonly string[] = []) {
    super(JSON.stringify({ errorType, errorMessage, trace }));
    this.name = errorType;
    this.errorMessage = errorMessage;
  }

  override toString(): string {
    return `${this.name}: ${this.errorMessage}`;
  }
}

/** What is passed is too large. As on AWS no Retry and no Catch takes it. */
class DataLimitExceededError extends Error {
  override readonly name = 'States.DataLimitExceeded';
  // The interpreter asks these two of every error.
  readonly isRetryable = false;
  readonly isCatchable = false;
}

/** Step Functions' limit for inputs and results, in bytes of UTF-8. */
export const MAX_PAYLOAD_BYTES = 262_144;

/** Lambda's own limit for what one invocation takes and answers, in bytes of UTF-8. */
export const MAX_INVOCATION_BYTES = 6 * 1024 * 1024;

const DEFAULT_TIMEOUT_SECONDS = 900;

/**
 * The functions of this process, under their ARNs. What goes in and what comes out may have
 * `maxPayloadBytes`, of UTF-8: by default what Step Functions passes.
 */
export function localFunctions(maxPayloadBytes = MAX_PAYLOAD_BYTES): Functions {
  const registered = new Map<string, { handler: LambdaHandler; options: FunctionOptions }>();
  const running = new Set<Promise<unknown>>();
  return {
    register(arn, handler, options = {}) {
      registered.set(arn, { handler, options });
    },
    timeoutSeconds(arn) {
      const found = registered.get(arn);
      return found && timeoutOf(found.options);
    },
    async invoke(arn, payload) {
      requireSize(payload, maxPayloadBytes, `The input of ${arn}`);
      const found = registered.get(arn);
      if (!found) {
        throw new FunctionError(
          'Lambda.ResourceNotFoundException',
          `Function not found: ${arn}. It must be registered before it is called.`,
        );
      }
      const timeoutMs = timeoutOf(found.options) * 1000;
      const event: unknown = JSON.parse(payload);
      const context = lambdaContext(arn, timeoutMs, found.options.memoryMb ?? 512);
      // In an async function of its own, so that a handler that throws at once fails like any other.
      const work = (async () => found.handler(event, context))();
      running.add(work);
      const done = () => running.delete(work);
      work.then(done, done);
      const result = JSON.stringify((await withinTimeout(work, timeoutMs)) ?? null);
      requireSize(result, maxPayloadBytes, `The result of ${arn}`);
      return result;
    },
    async idle() {
      while (running.size > 0) await Promise.allSettled(running);
    },
  };
}

function timeoutOf(options: FunctionOptions): number {
  return options.timeoutSeconds ?? DEFAULT_TIMEOUT_SECONDS;
}

async function withinTimeout(work: Promise<unknown>, timeoutMs: number): Promise<unknown> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(
      () => reject(new FunctionError('Sandbox.Timedout', `Task timed out after ${timeoutMs} ms`)),
      timeoutMs,
    );
  });
  try {
    return await Promise.race([work, late]);
  } catch (error) {
    if (error instanceof FunctionError) throw error;
    if (!(error instanceof Error)) throw new FunctionError('Error', String(error));
    const trace = (error.stack ?? '').split('\n').map((line) => line.trim());
    throw new FunctionError(error.name, error.message, trace);
  } finally {
    clearTimeout(timer);
  }
}

/** @throws DataLimitExceededError naming `what`. */
export function requireSize(payload: string, maxBytes: number, what: string): void {
  const bytes = Buffer.byteLength(payload);
  if (bytes <= maxBytes) return;
  throw new DataLimitExceededError(`${what} has ${bytes} bytes; at most ${maxBytes} are passed.`);
}

function lambdaContext(arn: string, timeoutMs: number, memoryMb: number): Context {
  const functionName = arn.split(':')[6] ?? arn;
  const deadline = performance.now() + timeoutMs;
  const removed = () => {
    throw new Error('Return a promise: context.done, fail and succeed are gone from Node.js 24.');
  };
  return {
    callbackWaitsForEmptyEventLoop: true,
    functionName,
    functionVersion: '$LATEST',
    invokedFunctionArn: arn,
    memoryLimitInMB: String(memoryMb),
    awsRequestId: randomUUID(),
    logGroupName: `/aws/lambda/${functionName}`,
    logStreamName: 'local',
    getRemainingTimeInMillis: () => Math.max(0, Math.round(deadline - performance.now())),
    done: removed,
    fail: removed,
    succeed: removed,
  };
}
