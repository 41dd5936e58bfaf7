import { Refusal } from './refusal.ts';

/** A route of the API, and what it found in the path. */
export type Route = {
  /** As API Gateway writes it: a method and a path template. */
  readonly key: string;
  /** Whether its requests need a token. */
  readonly authorized: boolean;
  readonly pathParameters?: Readonly<Record<string, string>>;
};

const ANY_METHOD = new Set(['DELETE', 'GET', 'HEAD', 'OPTIONS', 'PATCH', 'POST', 'PUT']);

/**
 * The most specific route that serves a request. A greedy parameter takes one segment at least, so
 * nothing serves `/`.
 *
 * @throws Refusal 404 when none does.
 */
export function routeOf(method: string, path: string): Route {
  if (method === 'GET' && path === '/openapi.json') {
    return { key: 'GET /openapi.json', authorized: false };
  }
  if (!ANY_METHOD.has(method) || path === '/') throw new Refusal(404, 'Not Found');
  return { key: 'ANY /{proxy+}', authorized: true, pathParameters: { proxy: path.slice(1) } };
}
