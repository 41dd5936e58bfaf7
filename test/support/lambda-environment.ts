import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createInterface } from 'node:readline';
import { json } from 'node:stream/consumers';

const FIXTURES = new URL('../fixtures/', import.meta.url).pathname;
const RUNTIME = `${FIXTURES}lambda-runtime.ts`;
const HANDLER = `${FIXTURES}after-response-handler.ts`;
const EXTENSION_ID = 'extension-1';

export interface LambdaEnvironment {
  /**
   * What the process did, in order: `registers`, `runtime asks`, `extension asks`, `answers`, `fails`, and
   * of each work `begins <name>` and `ends <name>`.
   */
  readonly happened: readonly string[];
  /** What the process wrote. */
  readonly log: readonly Record<string, unknown>[];
  /** Resolves with the exit code when the process ends by itself. */
  readonly exited: Promise<number>;
  /** Resolves when something has happened so many times. */
  seen(what: string, times?: number): Promise<void>;
  /** Invokes once the runtime and the extension have asked; resolves with the answer, or the error. */
  invoke(event: unknown, timeoutMs?: number): Promise<unknown>;
  /** Lets the works of this name go on; until then they wait. */
  letEnd(name: string): void;
  close(): Promise<void>;
}

export interface LambdaOptions {
  /** Whether the Extensions API refuses to register, or to wait for events. */
  readonly extension?: 'not-registered' | 'not-served';
}

const reply = (response: ServerResponse, status: number, body: unknown = {}, headers = {}) =>
  response
    .writeHead(status, { 'content-type': 'application/json', ...headers })
    .end(JSON.stringify(body));

/** One value for each name, made when first asked for. */
const byName = <Value>(make: () => Value) => {
  const made = new Map<string, Value>();
  return (name: string): Value => {
    const value = made.get(name) ?? make();
    made.set(name, value);
    return value;
  };
};

/** An execution environment of Lambda's: a process with the function, and the two APIs that it speaks to. */
export const lambdaEnvironment = async ({
  extension,
}: LambdaOptions = {}): Promise<LambdaEnvironment> => {
  const happened: string[] = [];
  const watchers: { what: string; times: number; resolve: () => void }[] = [];
  const times = (what: string) => happened.filter((one) => one === what).length;
  const note = (what: string) => {
    happened.push(what);
    for (const watcher of watchers) if (times(watcher.what) >= watcher.times) watcher.resolve();
  };
  const seen = (what: string, wanted = 1): Promise<void> => {
    const { promise, resolve } = Promise.withResolvers<void>();
    watchers.push({ what, times: wanted, resolve });
    if (times(what) >= wanted) resolve();
    return promise;
  };

  const gate = byName(() => Promise.withResolvers<void>());
  const answer = byName(() => Promise.withResolvers<unknown>());
  let runtimeWaits: ServerResponse | undefined;
  let extensionWaits: ServerResponse | undefined;

  const register = async (request: IncomingMessage, response: ServerResponse) => {
    const { events } = (await json(request)) as { events: string[] };
    // As Lambda does: nothing after the initialisation, and no SHUTDOWN for an extension in the process.
    const refused =
      extension === 'not-registered' ||
      happened.includes('runtime asks') ||
      request.headers['lambda-extension-name'] === undefined ||
      events.join() !== 'INVOKE';
    if (refused) return reply(response, 403);
    note('registers');
    return reply(response, 200, {}, { 'lambda-extension-identifier': EXTENSION_ID });
  };

  const serve = async (request: IncomingMessage, response: ServerResponse) => {
    const path = request.url ?? '';
    const [, first, name = ''] = path.split('/');
    if (path === '/2020-01-01/extension/register') return register(request, response);
    if (path === '/2020-01-01/extension/event/next') {
      if (request.headers['lambda-extension-identifier'] !== EXTENSION_ID)
        return reply(response, 403);
      if (extension === 'not-served') return reply(response, 500);
      extensionWaits = response;
      return note('extension asks');
    }
    if (path === '/2018-06-01/runtime/invocation/next') {
      runtimeWaits = response;
      return note('runtime asks');
    }
    const [, id, outcome] = /invocation\/([^/]+)\/(response|error)$/.exec(path) ?? [];
    if (id !== undefined) {
      answer(id).resolve(await json(request));
      note(outcome === 'response' ? 'answers' : 'fails');
      return reply(response, 202);
    }
    note(`${first} ${name}`);
    if (first === 'begins') await gate(name).promise;
    return reply(response, 200);
  };

  const server = createServer((request, response) => {
    serve(request, response).catch(() => reply(response, 500));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  const child = spawn(process.execPath, [RUNTIME, HANDLER], {
    env: { ...process.env, AWS_LAMBDA_RUNTIME_API: `127.0.0.1:${port}` },
    stdio: ['ignore', 'pipe', extension === undefined ? 'inherit' : 'ignore'],
  });
  const exited = once(child, 'exit').then(([code]) => Number(code));
  const log: Record<string, unknown>[] = [];
  createInterface(child.stdout).on('line', (line) => log.push(JSON.parse(line)));

  let invocations = 0;
  return {
    happened,
    log,
    exited,
    seen,
    async invoke(event, timeoutMs = 30_000) {
      invocations += 1;
      await seen('runtime asks', invocations);
      if (happened.includes('registers')) await seen('extension asks', invocations);
      const requestId = `request-${invocations}`;
      const deadlineMs = Date.now() + timeoutMs;
      if (extensionWaits !== undefined)
        reply(extensionWaits, 200, { eventType: 'INVOKE', deadlineMs, requestId });
      if (runtimeWaits !== undefined)
        reply(runtimeWaits, 200, event, { 'lambda-runtime-aws-request-id': requestId });
      return answer(requestId).promise;
    },
    letEnd: (name) => gate(name).resolve(),
    async close() {
      child.kill('SIGKILL');
      await exited;
      server.closeAllConnections();
      server.close();
    },
  };
};
