import { isUtf8 } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { APIGatewayProxyEventV2, APIGatewayProxyEventV2WithJWTAuthorizer } from 'aws-lambda';
import type { JwtContext } from './jwt-authorizer.ts';
import { Refusal } from './refusal.ts';
import type { Route } from './routes.ts';

/** What a function gets: with an authorizer's context on the routes that have one. */
export type RequestEvent = APIGatewayProxyEventV2 | APIGatewayProxyEventV2WithJWTAuthorizer;

/** The two parts of what a request asks for. */
export type RequestTarget = { readonly rawPath: string; readonly rawQueryString: string };

/** What is known of a request by the time it is passed on. */
export type AcceptedRequest = {
  readonly requestId: string;
  readonly request: IncomingMessage;
  readonly target: RequestTarget;
  readonly headers: ReadonlyMap<string, string>;
  readonly route: Route;
  /** Undefined on a route without an authorizer. */
  readonly jwt: JwtContext | undefined;
  readonly body: Buffer;
};

/** They go no further: they are about the connection, or have a field of their own in the event. */
const NOT_FORWARDED = ['connection', 'cookie', 'keep-alive', 'te', 'transfer-encoding', 'upgrade'];
/** What arrives as text. All else is base64: also forms, `+json`, and a body without a type. */
const TEXT = /^(text\/[^;,\s]+|application\/(json|xml|javascript))\s*(;|$)/i;

/**
 * Splits a request's target. An HTTP API decodes the path (and loses what follows an encoded `?` in
 * it), but not the query string.
 *
 * @throws Refusal 400 when it is no path, or cannot be decoded.
 */
export function requestTarget(url: string): RequestTarget {
  const [path = '', ...query] = url.split('?');
  if (!path.startsWith('/')) throw new Refusal(400, 'Bad Request');
  return { rawPath: decodedPath(path), rawQueryString: query.join('?') };
}

/** A request's headers: names in lower case, duplicates joined by commas. */
export function requestHeaders({ rawHeaders }: IncomingMessage): Map<string, string> {
  const pairs: [string, string][] = [];
  for (let at = 0; at < rawHeaders.length; at += 2) {
    pairs.push([(rawHeaders[at] ?? '').toLowerCase(), rawHeaders[at + 1] ?? '']);
  }
  return joinDuplicates(pairs);
}

/** The event of payload format 2.0 that API Gateway makes of a request. */
export function requestEvent(accepted: AcceptedRequest): RequestEvent {
  const { request, target, headers, route, jwt } = accepted;
  const cookies = request.headers.cookie?.split(/;\s*/);
  const query = joinDuplicates(new URLSearchParams(target.rawQueryString));
  const event = {
    version: '2.0',
    routeKey: route.key,
    ...target,
    ...(cookies ? { cookies } : {}),
    headers: Object.fromEntries(forwardedHeaders(accepted)),
    ...(query.size > 0 ? { queryStringParameters: Object.fromEntries(query) } : {}),
    ...(route.pathParameters ? { pathParameters: route.pathParameters } : {}),
    ...eventBody(accepted.body, headers.get('content-type')),
  };
  const requestContext = contextOf(accepted, request);
  return jwt
    ? { ...event, requestContext: { ...requestContext, authorizer: { jwt } } }
    : { ...event, requestContext };
}

function decodedPath(path: string): string {
  try {
    return decodeURIComponent(path).split('?')[0] ?? '';
  } catch {
    throw new Refusal(400, 'Bad Request');
  }
}

function joinDuplicates(pairs: Iterable<[string, string]>): Map<string, string> {
  const joined = new Map<string, string>();
  for (const [name, value] of pairs) {
    const earlier = joined.get(name);
    joined.set(name, earlier === undefined ? value : `${earlier},${value}`);
  }
  return joined;
}

function forwardedHeaders({ request, headers, body }: AcceptedRequest): Map<string, string> {
  const passed = new Map(headers);
  for (const name of NOT_FORWARDED) passed.delete(name);
  const via = headers.get('x-forwarded-for');
  const from = sourceIp(request);
  return passed
    .set('content-length', String(body.length))
    .set('x-amzn-trace-id', headers.get('x-amzn-trace-id') ?? traceId())
    .set('x-forwarded-for', via === undefined ? from : `${via}, ${from}`)
    .set('x-forwarded-port', String(request.socket.localPort))
    .set('x-forwarded-proto', 'http');
}

function eventBody(
  body: Buffer,
  type: string | undefined,
): { body?: string; isBase64Encoded: boolean } {
  if (body.length === 0) return { isBase64Encoded: false };
  // Text that is not UTF-8 stays whole this way.
  return type !== undefined && TEXT.test(type) && isUtf8(body)
    ? { body: body.toString('utf8'), isBase64Encoded: false }
    : { body: body.toString('base64'), isBase64Encoded: true };
}

function contextOf(
  { requestId, target, headers, route }: AcceptedRequest,
  request: IncomingMessage,
): APIGatewayProxyEventV2['requestContext'] {
  const domainName = (headers.get('host') ?? '').replace(/:\d+$/, '');
  const now = new Date();
  return {
    accountId: '000000000000',
    apiId: 'local',
    domainName,
    domainPrefix: domainName.split('.')[0] ?? '',
    http: {
      method: request.method ?? '',
      path: target.rawPath,
      protocol: `HTTP/${request.httpVersion}`,
      sourceIp: sourceIp(request),
      userAgent: headers.get('user-agent') ?? '',
    },
    requestId,
    routeKey: route.key,
    stage: '$default',
    time: accessLogTime(now),
    timeEpoch: now.getTime(),
  };
}

function sourceIp(request: IncomingMessage): string {
  return request.socket.remoteAddress ?? '';
}

function traceId(): string {
  const seconds = Math.floor(Date.now() / 1000).toString(16);
  return `Root=1-${seconds}-${randomBytes(12).toString('hex')}`;
}

/** As in `12/Mar/2020:19:03:58 +0000`. */
function accessLogTime(date: Date): string {
  return date.toUTCString().replace(/^\w+, (\d+) (\w+) (\d+) ([\d:]+) GMT$/, '$1/$2/$3:$4 +0000');
}
