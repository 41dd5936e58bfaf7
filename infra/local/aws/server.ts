import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { ServiceError } from './service-error.ts';

/** Who calls, as far as the request says so. */
export type Caller = { readonly accessKeyId: string };

type Operation = (input: unknown, caller: Caller) => Promise<object> | object;

export type Service = {
  /** The first part of `X-Amz-Target`. */
  readonly target: string;
  readonly jsonVersion: '1.0' | '1.1';
  readonly operations: Readonly<Record<string, Operation>>;
};

export type AwsServer = {
  readonly endpoint: string;
  /** The next `times` calls of the operation fail with this error. */
  failNext(operation: string, errorName: string, times?: number): void;
  close(): Promise<void>;
};

const LOOPBACK = new Set(['127.0.0.1', 'localhost', '[::1]']);
const MAX_BODY_BYTES = 4 * 1024 * 1024;
const SERVER_ERRORS: Readonly<Record<string, number>> = {
  InternalServerError: 500,
  InternalFailure: 500,
  ServiceUnavailable: 503,
};

/**
 * Serves the AWS JSON protocols on 127.0.0.1.
 *
 * Signatures are not checked. What is checked is the Host header: without it, any web page could reach
 * this server through a name of its own that resolves to the loopback address.
 */
export async function serve(services: readonly Service[], port = 0): Promise<AwsServer> {
  const faults = new Map<string, string[]>();
  const server = createServer((request, response) => {
    answer(services, faults, request).then(
      ({ version, body }) => send(response, 200, version, body),
      (error: unknown) => sendError(response, error),
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  const address = server.address();
  const bound = typeof address === 'object' && address ? address.port : port;
  return {
    endpoint: `http://127.0.0.1:${bound}`,
    failNext(operation, errorName, times = 1) {
      if (!services.some((service) => service.operations[operation])) {
        throw new ServiceError('UnknownOperationException', `There is no operation ${operation}.`);
      }
      const queued = faults.get(operation) ?? [];
      queued.push(...Array.from({ length: times }, () => errorName));
      faults.set(operation, queued);
    },
    close() {
      return new Promise((resolve, reject) => {
        server.close((error) => (error ? reject(error) : resolve()));
        server.closeAllConnections();
      });
    },
  };
}

async function answer(
  services: readonly Service[],
  faults: Map<string, string[]>,
  request: IncomingMessage,
): Promise<{ version: string; body: object }> {
  const host = (request.headers.host ?? '').replace(/:\d+$/, '');
  if (!LOOPBACK.has(host)) {
    throw new ServiceError(
      'AccessDeniedException',
      `This server answers on 127.0.0.1 and localhost only, not as "${host}".`,
      403,
    );
  }
  const target = String(request.headers['x-amz-target'] ?? '');
  const [prefix, name] = target.split('.');
  const service = services.find((candidate) => candidate.target === prefix);
  const operation = name ? service?.operations[name] : undefined;
  if (!service || !name || !operation) {
    throw new ServiceError(
      'UnknownOperationException',
      `The local endpoint does not know "${target}". It knows: ` +
        `${services.flatMap((s) => Object.keys(s.operations).map((o) => `${s.target}.${o}`)).join(', ')}.`,
    );
  }
  const fault = faults.get(name)?.shift();
  if (fault) {
    throw new ServiceError(
      fault,
      `${name} fails as a test asked for.`,
      SERVER_ERRORS[fault] ?? 400,
    );
  }
  const body = await operation(await readBody(request), callerOf(request));
  return { version: service.jsonVersion, body };
}

async function readBody(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    const bytes = Buffer.from(chunk);
    size += bytes.length;
    if (size > MAX_BODY_BYTES) {
      throw new ServiceError('RequestEntityTooLargeException', 'The request is too large.', 413);
    }
    chunks.push(bytes);
  }
  const text = Buffer.concat(chunks).toString('utf8');
  try {
    return text === '' ? {} : JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new ServiceError('SerializationException', 'The body is not JSON.');
  }
}

/** The access key stands in the open in a signature; it is what tells operators apart here. */
function callerOf(request: IncomingMessage): Caller {
  const found = /Credential=([^/]+)\//.exec(request.headers.authorization ?? '');
  return { accessKeyId: found?.[1] ?? 'anonymous' };
}

function send(response: ServerResponse, status: number, version: string, body: object): void {
  response.writeHead(status, {
    'content-type': `application/x-amz-json-${version}`,
    'x-amzn-requestid': randomUUID(),
  });
  response.end(JSON.stringify(body));
}

function sendError(response: ServerResponse, error: unknown): void {
  const known =
    error instanceof ServiceError
      ? error
      : new ServiceError(
          'InternalServerError',
          error instanceof Error ? `${error.name}: ${error.message}` : String(error),
          500,
        );
  // The rest of a request that is refused early is not read; the connection cannot be used again.
  response.setHeader('connection', 'close');
  send(response, known.status, '1.1', { __type: known.name, message: known.message });
}
