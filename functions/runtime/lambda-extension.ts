import { type IncomingMessage, request } from 'node:http';
import { text } from 'node:stream/consumers';
import { UnifiedKitsError } from '@unified-kits/domain';
import { z } from 'zod';

/** Lambda's Extensions API did not answer as documented. */
export class ExtensionFailed extends UnifiedKitsError {
  constructor(message: string, options?: ErrorOptions) {
    super('ExtensionFailed', message, options);
  }
}

const invocation = z.object({
  eventType: z.literal('INVOKE'),
  requestId: z.string(),
  deadlineMs: z.number(),
});

/** An invocation that has begun, in this process's handler as well. */
export interface InvocationStarted {
  readonly requestId: string;
  /** When the function times out, in milliseconds of `Date.now()`. */
  readonly deadline: number;
}

/** Below this it can only be a time left: AWS's own example shows one where it sends a time of day. */
const LEAST_EPOCH_MS = 1e12;

interface Call {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

/**
 * Without any timeout, for the process may be frozen for hours while it waits (which rules out `fetch`), and
 * on a connection of its own each time, which cannot have been closed meanwhile.
 */
const send = (runtimeApi: string, { method, path, headers, body }: Call) =>
  new Promise<IncomingMessage>((resolve, reject) => {
    const url = `http://${runtimeApi}/2020-01-01/extension/${path}`;
    request(url, { method, agent: false, headers }, resolve).on('error', reject).end(body);
  });

const answerOf = async (
  runtimeApi: string,
  call: Call,
): Promise<{ headers: IncomingMessage['headers']; body: string }> => {
  const response = await send(runtimeApi, call);
  const body = await text(response);
  if (response.statusCode !== 200)
    throw new ExtensionFailed(`"${call.path}" was answered with ${response.statusCode}`);
  return { headers: response.headers, body };
};

/**
 * An internal extension of Lambda's: code in the function's own process that is told of every invocation,
 * and keeps the process from being frozen until it asks for the next one.
 *
 * https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html
 */
export class LambdaExtension {
  readonly #runtimeApi: string;
  readonly #id: string;

  private constructor(runtimeApi: string, id: string) {
    this.#runtimeApi = runtimeApi;
    this.#id = id;
  }

  /**
   * Registers while the function initialises: later it is refused.
   *
   * @param runtimeApi host and port, as in `AWS_LAMBDA_RUNTIME_API`
   * @throws {ExtensionFailed}
   */
  static async register(runtimeApi: string, name: string): Promise<LambdaExtension> {
    const { headers } = await answerOf(runtimeApi, {
      method: 'POST',
      path: 'register',
      headers: { 'lambda-extension-name': name, 'content-type': 'application/json' },
      body: JSON.stringify({ events: ['INVOKE'] }),
    });
    const id = headers['lambda-extension-identifier'];
    if (typeof id !== 'string') throw new ExtensionFailed('"register" was answered without an id');
    return new LambdaExtension(runtimeApi, id);
  }

  /**
   * Says that the last invocation is done with, and waits for the next: as long as the process is frozen.
   *
   * @throws {ExtensionFailed}
   */
  async next(): Promise<InvocationStarted> {
    const { body } = await answerOf(this.#runtimeApi, {
      method: 'GET',
      path: 'event/next',
      headers: { 'lambda-extension-identifier': this.#id },
    });
    const { requestId, deadlineMs } = invocation.parse(JSON.parse(body));
    const deadline = deadlineMs < LEAST_EPOCH_MS ? Date.now() + deadlineMs : deadlineMs;
    return { requestId, deadline };
  }
}
