import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { isLoopback } from './loopback.ts';
import {
  type Call,
  type Caller,
  findCall,
  isOperation,
  type Service,
  WithHeaders,
} from './service.ts';
import { ServiceError } from './service-error.ts';

export type AwsServer = {
  readonly endpoint: string;
  /** The next `times` calls of the operation fail with this error. */
  failNext(operation: string, errorName: string, times?: number): void;
  close(): Promise<void>;
};

const MAX_BODY_BYTES = 4 * 1024 * 1024;
const SERVER_ERRORS: Readonly<Record<string, number>> = {
  InternalServerError: 500,
  InternalFailure: 500,
  ServiceUnavailable: 503,
};

/**
 * Serves AWS' JSON protocols on 127.0.0.1. Signatures are not checked; that the request was meant for
 * this machine is.
 */
export async function serve(services: readonly Service[], port = 0): Promise<AwsServer> {
  const faults = new Map<string, string[]>();
  const server = createServer((request, response) => {
    answer(services, faults, request).then(
      ({ call, result }) => sendResult(response, call, result),
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
      if (!isOperation(services, operation)) {
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
): Promise<{ call: Call; result: object }> {
  const { host } = request.headers;
  if (!isLoopback(host)) {
    throw new ServiceError(
      'AccessDeniedException',
      `This server answers on 127.0.0.1 and localhost only, not as "${host ?? ''}".`,
      403,
    );
  }
  const call = findCall(services, request);
  const fault = faults.get(call.name)?.shift();
  if (fault) {
    throw new ServiceError(
      fault,
      `${call.name} fails as a test asked for.`,
      SERVER_ERRORS[fault] ?? 400,
    );
  }
  const input = { ...(await readBody(request)), ...call.members };
  return { call, result: await call.run(input, callerOf(request)) };
}

async function readBody(request: IncomingMessage): Promise<object> {
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
    const body: unknown = text === '' ? {} : JSON.parse(text);
    if (typeof body === 'object' && body !== null) return body;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw new ServiceError('SerializationException', 'The body is not a JSON object.');
}

/** The access key stands in the open in a signature; it is what tells operators apart here. */
function callerOf(request: IncomingMessage): Caller {
  const found = /Credential=([^/]+)\//.exec(request.headers.authorization ?? '');
  return { accessKeyId: found?.[1] ?? 'anonymous' };
}

function sendResult(response: ServerResponse, call: Call, result: object): void {
  const told = result instanceof WithHeaders ? result : new WithHeaders(result, {});
  for (const [name, value] of Object.entries(told.headers)) response.setHeader(name, value);
  send(response, call.status, call.contentType, told.body);
}

function send(response: ServerResponse, status: number, contentType: string, body: object): void {
  response.writeHead(status, {
    'content-type': contentType,
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
  // The JSON protocols read the error's name from the body, REST from the header.
  response.setHeader('x-amzn-errortype', known.name);
  const body = { __type: known.name, message: known.message };
  send(response, known.status, 'application/x-amz-json-1.1', body);
}
