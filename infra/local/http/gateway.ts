import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { finished } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { APIGatewayProxyResultV2, Context } from 'aws-lambda';
import { localFunctions } from '../aws/functions.ts';
import { isLoopback } from '../aws/loopback.ts';
import { DEV_AUDIENCE, devIssuer, type TokenGrant } from './dev-issuer.ts';
import {
  type HttpAnswer,
  jsonAnswer,
  refusalAnswer,
  resultAnswer,
  sendAnswer,
} from './http-answer.ts';
import { jwtAuthorizer } from './jwt-authorizer.ts';
import { readBody, tooLong } from './read-body.ts';
import { Refusal } from './refusal.ts';
import { type RequestEvent, requestEvent, requestHeaders, requestTarget } from './request-event.ts';
import { routeOf } from './routes.ts';
import { openSigningKey } from './signing-key.ts';

/** A Lambda handler behind an HTTP API. */
export type HttpApiHandler = (
  event: RequestEvent,
  context: Context,
) => Promise<APIGatewayProxyResultV2>;

export type GatewayOptions = {
  readonly handler: HttpApiHandler;
  /** A free one by default. */
  readonly port?: number;
  /** Keeps the dev issuer's key here, so that tokens survive the process. In memory only by default. */
  readonly issuerKeyFile?: string;
  /** The function's, as configured on AWS; 29 by default, at most 30. */
  readonly timeoutSeconds?: number;
  /** Of a request's body; 10 MiB by default, as on AWS. */
  readonly maxBodyBytes?: number;
  /** Told why the function failed, which clients are not; by default the process warns. */
  readonly onError?: (error: unknown) => void;
};

export type Gateway = {
  readonly url: string;
  /** The `iss` of the tokens that are accepted here. */
  readonly issuer: string;
  /** A token that is accepted here. */
  token(grant: TokenGrant): Promise<string>;
  /**
   * Takes no more requests, waits up to `graceMs` (10 s) for those under way, and closes all
   * connections. Again is harmless.
   */
  stop(options?: { readonly graceMs?: number }): Promise<void>;
};

/** After these API Gateway gives up on a function. */
const MAX_TIMEOUT_SECONDS = 30;
/** API Gateway's quota for the request line and the headers together. */
const MAX_HEADER_BYTES = 10_240;
const MAX_BODY_BYTES = 10 * 1024 * 1024;
/** Lambda's quota for an event, and for a result. */
const MAX_EVENT_BYTES = 6 * 1024 * 1024;
const FUNCTION_ARN = 'arn:aws:lambda:eu-west-1:000000000000:function:phase4-api';

/**
 * Serves a function over HTTP on 127.0.0.1 as an API Gateway HTTP API does: payload format 2.0, a JWT
 * authorizer before `ANY /{proxy+}` and none before `GET /openapi.json`. Tokens come from an issuer of
 * its own, published below `/dev-issuer`.
 *
 * @throws LocalStateError when the key file holds something else.
 * @throws RangeError when API Gateway would not wait as long as `timeoutSeconds`.
 */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const { port = 0, timeoutSeconds = MAX_TIMEOUT_SECONDS - 1 } = options;
  const { maxBodyBytes = MAX_BODY_BYTES, onError = warn } = options;
  if (!(timeoutSeconds > 0 && timeoutSeconds <= MAX_TIMEOUT_SECONDS)) {
    throw new RangeError(
      `timeoutSeconds is ${timeoutSeconds}: give more than 0 and at most ${MAX_TIMEOUT_SECONDS}.`,
    );
  }
  const key = await openSigningKey(options.issuerKeyFile);
  const functions = localFunctions(MAX_EVENT_BYTES);
  functions.register(
    FUNCTION_ARN,
    (event, context) => options.handler(event as RequestEvent, context),
    {
      timeoutSeconds,
    },
  );
  const server = createServer({ maxHeaderSize: MAX_HEADER_BYTES });
  const url = await listen(server, port);
  const issuer = devIssuer(`${url}/dev-issuer`, key);
  const authorize = jwtAuthorizer({ ...issuer, audiences: [DEV_AUDIENCE] });
  const underWay = new Set<Promise<void>>();
  let stopping: Promise<void> | undefined;

  const answerTo = async (request: IncomingMessage, requestId: string): Promise<HttpAnswer> => {
    if (stopping) throw new Refusal(503, 'Service Unavailable', { connection: 'close' });
    if (!isLoopback(request.headers.host)) throw new Refusal(403, 'Forbidden');
    const target = requestTarget(request.url ?? '');
    const method = request.method ?? '';
    const published = issuer.documents.get(`${url}${target.rawPath}`);
    if (published && method === 'GET') return jsonAnswer(200, published);
    const route = routeOf(method, target.rawPath);
    const headers = requestHeaders(request);
    const jwt = route.authorized ? await authorize(headers.get('authorization')) : undefined;
    const body = await readBody(request, maxBodyBytes);
    const event = JSON.stringify(
      requestEvent({ requestId, request, target, headers, route, jwt, body }),
    );
    if (Buffer.byteLength(event) > MAX_EVENT_BYTES) throw tooLong();
    return resultAnswer(JSON.parse(await functions.invoke(FUNCTION_ARN, event)));
  };

  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const requestId = randomBytes(11).toString('base64');
    const answer = await answerTo(request, requestId).catch((error: unknown) => {
      if (error instanceof Refusal) return refusalAnswer(error);
      onError(error);
      return jsonAnswer(500, { message: 'Internal Server Error' });
    });
    sendAnswer(response, requestId, answer);
    // What is left of a refused request: unread, it would keep the connection from its next one.
    request.resume();
    // A client that has gone away is none of the gateway's concern.
    await finished(response).catch(() => undefined);
  };

  server.on('request', (request, response) => {
    const served = serve(request, response).finally(() => underWay.delete(served));
    underWay.add(served);
  });

  const idle = async () => {
    while (underWay.size > 0) await Promise.allSettled(underWay);
    // One that was too slow is answered for, and may still be at work.
    await functions.idle();
  };
  return {
    url,
    issuer: issuer.issuer,
    token: issuer.token,
    stop({ graceMs = 10_000 } = {}) {
      stopping ??= (async () => {
        const closed = once(server, 'close');
        server.close();
        const waited = new AbortController();
        await Promise.race([
          idle(),
          sleep(graceMs, undefined, { signal: waited.signal }).catch(() => undefined),
        ]);
        waited.abort();
        server.closeAllConnections();
        await closed;
      })();
      return stopping;
    },
  };
}

async function listen(server: Server, port: number): Promise<string> {
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  return `http://127.0.0.1:${typeof address === 'object' && address ? address.port : port}`;
}

/** By its name alone: a message may hold what a client sent. */
function warn(error: unknown): void {
  const what = error instanceof Error ? error.name : 'not an error';
  process.emitWarning(`The function behind the API failed: ${what}.`, 'LocalGatewayWarning');
}
