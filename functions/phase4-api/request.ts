import type { APIGatewayProxyEventV2 } from 'aws-lambda';
import { z } from 'zod';
import { decodeCursor } from './http/cursor.ts';
import { parseIdempotencyKey, requestFingerprint } from './http/idempotency-key.ts';
import { invalidBody } from './http/invalid-body.ts';
import { parseBody } from './http/parse-body.ts';
import { Problem } from './http/problem.ts';

/** Kits of a page, at most and by default. */
export const MOST_PER_PAGE = 100;
export const DEFAULT_PER_PAGE = 50;
/** Longer than any id; nothing is looked up for more. */
const MOST_ID_CHARACTERS = 255;

const limit = z
  .string()
  .regex(/^[1-9]\d{0,2}$/)
  .transform(Number)
  .pipe(z.int().max(MOST_PER_PAGE));

/**
 * Which page is asked for. Other query parameters are left alone: legacy clients may send some.
 *
 * @param scope as the cursor was made with
 * @throws {Problem} `invalid-parameter`, `invalid-cursor`
 */
export const pageOf = (
  { queryStringParameters: query = {} }: APIGatewayProxyEventV2,
  scope: string,
): { readonly limit: number; readonly after: string | undefined } => {
  const asked = limit.default(DEFAULT_PER_PAGE).safeParse(query.limit);
  if (!asked.success)
    throw new Problem('invalid-parameter', {
      detail: `"limit" is a whole number from 1 to ${MOST_PER_PAGE}`,
    });
  const { cursor } = query;
  return {
    limit: asked.data,
    after: cursor === undefined ? undefined : decodeCursor(cursor, scope).after,
  };
};

/** @throws {Problem} `not-found` for what no id can be. */
export const idParameter = ({ pathParameters }: APIGatewayProxyEventV2, name: string): string => {
  const id = pathParameters?.[name] ?? '';
  if (id === '' || id.length > MOST_ID_CHARACTERS || id.includes('\0'))
    throw new Problem('not-found');
  return id;
};

/** @throws {Problem} with a pointer to each field that is wrong. */
export const bodyOf = <Schema extends z.ZodType>(
  event: APIGatewayProxyEventV2,
  schema: Schema,
): z.output<Schema> => {
  const parsed = schema.safeParse(parseBody(event));
  if (!parsed.success) throw invalidBody(parsed.error);
  return parsed.data;
};

/**
 * What makes a repeated request known, where the client asks for it.
 *
 * @param scope whose key it is
 * @throws {Problem} `invalid-header`
 */
export const idempotencyOf = (event: APIGatewayProxyEventV2, scope: string, body: unknown) => {
  const header = event.headers['idempotency-key'];
  if (header === undefined) return undefined;
  const { method, path } = event.requestContext.http;
  return {
    scope,
    key: parseIdempotencyKey(header),
    fingerprint: requestFingerprint({ method, path, body }),
  };
};
