import { DEFAULT_PER_PAGE, MOST_PER_PAGE } from '../request.ts';

interface Described {
  readonly description: string;
  readonly schema: object;
}

const string = { type: 'string' } as const;

/** Headers of responses, by the names they are written under, in lower case. */
export const RESPONSE_HEADERS = {
  etag: {
    description: 'The strong entity tag of this version of the kit (RFC 9110).',
    schema: { type: 'string', pattern: '^"[A-Za-z0-9_-]{22}"$' },
  },
  location: {
    description: 'Where the new kit is.',
    schema: { type: 'string', format: 'uri-reference' },
  },
  'idempotency-replayed': {
    description: 'The answer to an earlier request with the same key, given again.',
    schema: { type: 'string', const: 'true' },
  },
  link: {
    description:
      'RFC 8288. On a page, `rel="next"`; on legacy routes, `rel="successor-version"` names where to go instead.',
    schema: string,
  },
  deprecation: {
    description: 'Since when the route is deprecated (RFC 9745): seconds since 1970 after an @.',
    schema: { type: 'string', pattern: '^@\\d+$' },
  },
  sunset: {
    description: 'From when on the route may be gone (RFC 8594).',
    schema: string,
  },
  'cache-control': {
    description: 'Health data is kept by nobody.',
    schema: string,
  },
  'retry-after': {
    description: 'Seconds after which it is worth another try.',
    schema: { type: 'string', pattern: '^\\d+$' },
  },
  'www-authenticate': { description: 'The scheme of the credentials.', schema: string },
  accept: { description: 'The media type that is taken (RFC 9110, 15.5.16).', schema: string },
  'accept-encoding': { description: 'The content coding that is taken.', schema: string },
} as const satisfies Readonly<Record<string, Described>>;
export type ResponseHeader = keyof typeof RESPONSE_HEADERS;

/** Parameters that more than one operation has. */
export const PARAMETERS = {
  Limit: {
    name: 'limit',
    in: 'query',
    description: 'The most kits of a page.',
    schema: { type: 'integer', minimum: 1, maximum: MOST_PER_PAGE, default: DEFAULT_PER_PAGE },
  },
  Cursor: {
    name: 'cursor',
    in: 'query',
    description: 'The `nextCursor` of the page before, as it is.',
    schema: string,
  },
  IfNoneMatch: {
    name: 'If-None-Match',
    in: 'header',
    description: 'Entity tags that the client has: 304 where one is of the current version.',
    schema: string,
  },
  IfMatch: {
    name: 'If-Match',
    in: 'header',
    description:
      'Changes the kit only if it still is the version with one of these entity tags. A change that the kit shows already is answered as made.',
    schema: string,
  },
  RequiredIfMatch: {
    name: 'If-Match',
    in: 'header',
    required: true,
    description:
      'Changes the kit only if it still is the version with one of these entity tags. A change that the kit shows already is answered as made.',
    schema: string,
  },
  IdempotencyKey: {
    name: 'Idempotency-Key',
    in: 'header',
    description:
      'Makes the request safe to repeat: the same key with the same request gets the first answer again. 1 to 255 visible ASCII characters, in double quotes or without.',
    schema: string,
  },
} as const;
export type SharedParameter = keyof typeof PARAMETERS;
