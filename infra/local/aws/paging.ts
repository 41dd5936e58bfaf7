import { ServiceError } from './service-error.ts';

export type Page<T> = { readonly items: readonly T[]; readonly nextToken: string | undefined };

/**
 * A page of `items`, which are in the order of their keys. The token names the last item given and not
 * a position, so what comes or goes between two calls shifts nothing.
 *
 * @param after whether `key` lies behind `last` in that order.
 * @throws ServiceError with `tokenError` as its name for a token that was not given out here.
 */
export function page<T>(
  items: readonly T[],
  key: (item: T) => string,
  after: (key: string, last: string) => boolean,
  request: {
    readonly limit: number;
    readonly token: string | undefined;
    readonly tokenError: string;
  },
): Page<T> {
  const last = request.token === undefined ? undefined : decode(request.token, request.tokenError);
  const rest = last === undefined ? items : items.filter((item) => after(key(item), last));
  const given = rest.slice(0, request.limit);
  const end = given.at(-1);
  return {
    items: given,
    nextToken: end !== undefined && rest.length > given.length ? encode(key(end)) : undefined,
  };
}

const MARK = 'after:';

function encode(key: string): string {
  return Buffer.from(MARK + key).toString('base64url');
}

function decode(token: string, errorName: string): string {
  const text = Buffer.from(token, 'base64url').toString('utf8');
  if (text.startsWith(MARK)) return text.slice(MARK.length);
  throw new ServiceError(errorName, 'The token is not valid. Start again without one.');
}
