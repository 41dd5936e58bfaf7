import { type ServerResponse, validateHeaderName, validateHeaderValue } from 'node:http';
import { z } from 'zod';
import type { Refusal } from './refusal.ts';

/** What a client gets. */
export type HttpAnswer = {
  readonly status: number;
  /** By names in lower case. */
  readonly headers: Readonly<Record<string, string | string[]>>;
  readonly body: Buffer;
};

const structuredResult = z
  .object({
    statusCode: z.int().min(200).max(599),
    headers: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).nullish(),
    cookies: z.array(z.string()).nullish(),
    body: z.string().nullish(),
    isBase64Encoded: z.boolean().nullish(),
  })
  .refine(
    ({ body, isBase64Encoded }) => !isBase64Encoded || z.base64().safeParse(body ?? '').success,
    { path: ['body'], error: 'is not base64' },
  );

/** The gateway's own business, whatever a function says. */
const OWN_HEADERS = new Set([
  'connection',
  'content-length',
  'keep-alive',
  'transfer-encoding',
  'upgrade',
]);
/** These never have a body, and so no length of one. */
const BODILESS = new Set([204, 304]);

/** A document of the gateway's own. */
export function jsonAnswer(
  status: number,
  body: object,
  headers: Readonly<Record<string, string>> = {},
): HttpAnswer {
  return {
    status,
    headers: { 'content-type': 'application/json', ...headers },
    body: Buffer.from(JSON.stringify(body)),
  };
}

/** A refusal in API Gateway's words. */
export function refusalAnswer({ status, message, headers }: Refusal): HttpAnswer {
  return jsonAnswer(status, { message }, headers);
}

/**
 * The answer that a function's result stands for. As in payload format 2.0, a result without a
 * `statusCode` is itself the body of a 200.
 *
 * @param result JSON, as functions return it
 * @throws z.ZodError or TypeError when it has a `statusCode` but is no response.
 */
export function resultAnswer(result: unknown): HttpAnswer {
  if (typeof result !== 'object' || result === null || !('statusCode' in result)) {
    const text = typeof result === 'string' ? result : JSON.stringify(result);
    return {
      status: 200,
      headers: { 'content-type': 'application/json' },
      body: Buffer.from(text),
    };
  }
  const { statusCode, headers, cookies, body, isBase64Encoded } = structuredResult.parse(result);
  const given: [string, string | string[]][] = Object.entries(headers ?? {})
    .map(([name, value]): [string, string] => [name.toLowerCase(), String(value)])
    .filter(([name]) => !OWN_HEADERS.has(name));
  if (cookies?.length) given.push(['set-cookie', cookies]);
  for (const [name, value] of given) {
    validateHeaderName(name);
    for (const one of [value].flat()) validateHeaderValue(name, one);
  }
  return {
    status: statusCode,
    headers: { 'content-type': 'text/plain; charset=utf-8', ...Object.fromEntries(given) },
    body: Buffer.from(body ?? '', isBase64Encoded ? 'base64' : 'utf8'),
  };
}

/** Sends an answer under the request's id. */
export function sendAnswer(response: ServerResponse, requestId: string, answer: HttpAnswer): void {
  const { status, headers, body } = answer;
  const length = BODILESS.has(status) ? {} : { 'content-length': body.length };
  response.writeHead(status, { ...headers, ...length, 'apigw-requestid': requestId });
  response.end(body);
}
