import type { IncomingMessage } from 'node:http';
import { ServiceError } from './service-error.ts';

/** Who calls, as far as the request says so. */
export type Caller = { readonly accessKeyId: string };

type Operation = (input: unknown, caller: Caller) => Promise<object> | object;

/** A service of the AWS JSON protocols: a header names the operation. */
export type JsonService = {
  /** The first part of `X-Amz-Target`. */
  readonly target: string;
  readonly jsonVersion: '1.0' | '1.1';
  readonly operations: Readonly<Record<string, Operation>>;
};

/** A service of the AWS REST protocol with JSON bodies: method and path say which operation is meant. */
export type RestService = { readonly routes: readonly RestRoute[] };

/** A result that says something in headers, too. */
export class WithHeaders {
  readonly body: object;
  readonly headers: Readonly<Record<string, string>>;

  constructor(body: object, headers: Readonly<Record<string, string>>) {
    this.body = body;
    this.headers = headers;
  }
}

type RestRoute = {
  /** The operation's. */
  readonly name: string;
  readonly method: 'GET' | 'POST' | 'PUT';
  /** Matches the whole path. Its named groups become members of the input, as the query's do. */
  readonly path: RegExp;
  /** Members of the input that stand in headers, by the header's name. */
  readonly headers?: Readonly<Record<string, string>>;
  /** HTTP status of success. */
  readonly status: number;
  readonly run: Operation;
};

export type Service = JsonService | RestService;

/** The operation that a request asks for. */
export type Call = {
  readonly name: string;
  readonly run: Operation;
  /** Members of the input that do not stand in the body. */
  readonly members: Readonly<Record<string, string>>;
  /** Of a successful answer. */
  readonly status: number;
  readonly contentType: string;
};

/** @throws ServiceError `UnknownOperationException` naming the operations there are. */
export function findCall(services: readonly Service[], request: IncomingMessage): Call {
  const target = request.headers['x-amz-target'];
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost');
  for (const service of services) {
    const call =
      'target' in service
        ? jsonCall(service, String(target ?? ''))
        : restCall(service, request, pathname, searchParams);
    if (call) return call;
  }
  throw new ServiceError(
    'UnknownOperationException',
    `The local endpoint does not know "${target ?? `${request.method} ${pathname}`}". ` +
      `It knows: ${services.flatMap(operations).join(', ')}.`,
  );
}

/** Whether one of the services has an operation of this name. */
export function isOperation(services: readonly Service[], name: string): boolean {
  return services.some((service) =>
    'target' in service
      ? Object.hasOwn(service.operations, name)
      : service.routes.some((route) => route.name === name),
  );
}

function jsonCall(service: JsonService, target: string): Call | undefined {
  const [prefix, name = ''] = target.split('.');
  if (prefix !== service.target || !Object.hasOwn(service.operations, name)) return undefined;
  const run = service.operations[name];
  const contentType = `application/x-amz-json-${service.jsonVersion}`;
  return run && { name, run, members: {}, status: 200, contentType };
}

function restCall(
  service: RestService,
  { method, headers }: IncomingMessage,
  pathname: string,
  query: URLSearchParams,
): Call | undefined {
  for (const route of service.routes) {
    const found = route.method === method ? route.path.exec(pathname) : null;
    if (!found) continue;
    const { name, run, status } = route;
    const inHeaders = Object.entries(route.headers ?? {}).flatMap(([header, member]) => {
      const value = headers[header];
      return value === undefined ? [] : [[member, String(value)]];
    });
    const members = {
      ...Object.fromEntries(query),
      ...Object.fromEntries(inHeaders),
      ...found.groups,
    };
    return { name, run, members, status, contentType: 'application/json' };
  }
  return undefined;
}

function operations(service: Service): string[] {
  return 'target' in service
    ? Object.keys(service.operations).map((name) => `${service.target}.${name}`)
    : service.routes.map(({ name }) => name);
}
