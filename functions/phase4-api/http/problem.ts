import { UnifiedKitsError } from '@unified-kits/domain';
import type { APIGatewayProxyStructuredResultV2 } from 'aws-lambda';
import { publicError } from '../../runtime/faults.ts';

interface Kind {
  readonly status: number;
  readonly title: string;
  /** Headers that the status asks for. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** Everything that can be wrong with a request; a kind is also the end of its `type`, `/problems/<kind>`. */
const KINDS = {
  'bad-request': { status: 400, title: 'The request cannot be understood' },
  'malformed-json': { status: 400, title: 'The body is not JSON' },
  'invalid-parameter': { status: 400, title: 'A parameter of the request is not valid' },
  'invalid-header': { status: 400, title: 'A header of the request is not valid' },
  'invalid-cursor': { status: 400, title: 'The cursor is not one of this list' },
  unauthorized: {
    status: 401,
    title: 'The request has no valid credentials',
    headers: { 'www-authenticate': 'Bearer' },
  },
  forbidden: { status: 403, title: 'The credentials do not allow this' },
  'not-found': { status: 404, title: 'There is no such resource' },
  'method-not-allowed': { status: 405, title: 'The resource has no such method' },
  'kit-number-taken': { status: 409, title: 'Another kit has this kit number' },
  'illegal-transition': { status: 409, title: 'The kit cannot go from its status to this one' },
  'idempotency-key-in-use': {
    status: 409,
    title: 'A request with this idempotency key is still under way',
    headers: { 'retry-after': '1' },
  },
  'precondition-failed': { status: 412, title: 'The resource has changed since it was read' },
  'payload-too-large': { status: 413, title: 'The body is too large' },
  'unsupported-media-type': {
    status: 415,
    title: 'The body is not of a supported media type',
    headers: { accept: 'application/json' },
  },
  'invalid-body': { status: 422, title: 'The body is not valid' },
  'idempotency-key-reused': {
    status: 422,
    title: 'This idempotency key was used for another request',
  },
  'precondition-required': { status: 428, title: 'The request must say which version it changes' },
  internal: { status: 500, title: 'The request could not be answered' },
  'not-creatable': { status: 501, title: 'Such a resource cannot be created here' },
  'try-again': {
    status: 503,
    title: 'The service cannot answer at the moment',
    headers: { 'retry-after': '1' },
  },
} as const satisfies Readonly<Record<string, Kind>>;

export type ProblemKind = keyof typeof KINDS;
export const PROBLEM_KINDS = Object.keys(KINDS) as readonly ProblemKind[];

/** What is wrong with one field of a body. */
export interface FieldError {
  /** As `jsonPointer` makes it; empty for the whole body. */
  readonly pointer: string;
  /** Never holds a value of the request. */
  readonly detail: string;
}

/** What a response lists; who gets one thing wrong twenty times need not be told a thousand times. */
export const MOST_ERRORS = 20;

interface ProblemOptions extends ErrorOptions {
  /** What is wrong and what to do about it; never holds a value of the request. */
  readonly detail?: string;
  readonly errors?: readonly FieldError[];
  /** Added to the kind's own; names in lower case. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** An answer that says what is wrong (RFC 9457), thrown where it is noticed. */
export class Problem extends UnifiedKitsError {
  readonly kind: ProblemKind;
  readonly status: number;
  /** A path, relative to the API's own address. */
  readonly type: string;
  readonly title: string;
  readonly detail: string | undefined;
  readonly errors: readonly FieldError[];
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    kind: ProblemKind,
    { detail, errors = [], headers, ...options }: ProblemOptions = {},
  ) {
    const { status, title, headers: ofKind }: Kind = KINDS[kind];
    super('Problem', `${status} ${kind}`, options);
    this.kind = kind;
    this.status = status;
    this.type = `/problems/${kind}`;
    this.title = title;
    this.detail = detail;
    this.errors = errors;
    this.headers = { ...ofKind, ...headers };
  }
}

export const methodNotAllowed = (allowed: readonly string[]): Problem =>
  new Problem('method-not-allowed', { headers: { allow: allowed.join(', ') } });

/** @param afterSeconds when it is worth another try. */
export const tryAgain = (afterSeconds: number, options: ErrorOptions = {}): Problem =>
  new Problem('try-again', { ...options, headers: { 'retry-after': String(afterSeconds) } });

/** Names of errors that pass by themselves. */
const PASSING: ReadonlySet<string> = new Set(['DatabaseUnwell', 'FlagsUnreadable']);

/** The problem that tells of any error: what nobody foresaw is `internal`, and says nothing of itself. */
export const asProblem = (error: unknown): Problem => {
  if (error instanceof Problem) return error;
  const known = publicError(error);
  if (known instanceof UnifiedKitsError && PASSING.has(known.name))
    return tryAgain(1, { cause: known });
  return new Problem('internal', { cause: known });
};

/** @param instance names this occurrence, for support to find it in the logs. */
export const problemResponse = (
  { type, title, status, detail, errors, headers }: Problem,
  instance?: string,
): APIGatewayProxyStructuredResultV2 => ({
  statusCode: status,
  headers: {
    ...headers,
    'content-type': 'application/problem+json',
    'cache-control': 'no-store',
  },
  body: JSON.stringify({
    type,
    title,
    status,
    detail,
    instance,
    errors: errors.length === 0 ? undefined : errors.slice(0, MOST_ERRORS),
  }),
});
