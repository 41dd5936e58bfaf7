import { PROBLEM_KINDS, Problem, type ProblemKind } from '../http/problem.ts';
import type { SchemaName } from './api-schemas.ts';
import type { ResponseHeader, SharedParameter } from './headers.ts';

/** A parameter of the path and the text that it is. */
export interface PathParameter {
  readonly name: 'id' | 'kitsId' | 'practitionerId';
  readonly description: string;
}

/** A response that an operation gives. */
export interface OperationResponse {
  readonly description: string;
  readonly headers: readonly ResponseHeader[];
  /** By media type; empty where there is no body. */
  readonly bodies: Readonly<Record<string, SchemaName>>;
  /** The problems that it tells of. */
  readonly problems: readonly ProblemKind[];
}

/** One route, with everything that may be asked and answered there. */
export interface Operation {
  readonly id: string;
  readonly method: 'GET' | 'POST' | 'PATCH';
  readonly path: string;
  readonly tag: 'legacy' | 'kits';
  readonly summary: string;
  readonly deprecated: boolean;
  readonly pathParameters: readonly PathParameter[];
  readonly parameters: readonly SharedParameter[];
  readonly body: SchemaName | undefined;
  /** By status. */
  readonly responses: Readonly<Record<number, OperationResponse>>;
}

const JSON_TYPE = 'application/json';
const PROBLEM_TYPE = 'application/problem+json';

/** Statuses that the gateway gives by itself as well. */
const OF_GATEWAY: ReadonlySet<number> = new Set([401, 500, 503]);

const ANYWHERE: readonly ProblemKind[] = ['unauthorized', 'forbidden', 'internal', 'try-again'];
const BODY_FAULTS: readonly ProblemKind[] = [
  'malformed-json',
  'unsupported-media-type',
  'payload-too-large',
  'invalid-body',
  'invalid-header',
];

/** Headers that a problem may have: those of its kind, and what is wrong with this body's media type. */
const headersOf = (kinds: readonly ProblemKind[]): ResponseHeader[] => {
  const names = kinds.flatMap((kind) => Object.keys(new Problem(kind).headers)) as ResponseHeader[];
  if (kinds.includes('unsupported-media-type')) names.push('accept-encoding');
  return ['cache-control', ...new Set(names)];
};

/** The problems of an operation by their status, in the order of the statuses. */
const problemResponses = (kinds: readonly ProblemKind[]): Record<number, OperationResponse> => {
  const ordered = PROBLEM_KINDS.filter((kind) => kinds.includes(kind));
  const byStatus = Map.groupBy(ordered, (kind) => new Problem(kind).status);
  return Object.fromEntries(
    [...byStatus].map(([status, problems]) => [
      status,
      {
        description: problems.map((kind) => `${new Problem(kind).title}.`).join(' '),
        headers: headersOf(problems),
        bodies: {
          [PROBLEM_TYPE]: 'Problem',
          ...(OF_GATEWAY.has(status) && { [JSON_TYPE]: 'GatewayRefusal' }),
        },
        problems,
      },
    ]),
  );
};

const success = (
  description: string,
  body: SchemaName | undefined,
  headers: readonly ResponseHeader[],
): OperationResponse => ({
  description,
  headers: ['cache-control', ...headers],
  bodies: body === undefined ? {} : { [JSON_TYPE]: body },
  problems: [],
});

/** What the three sets of routes differ in. */
interface Resource {
  /** Ends the operations' ids. */
  readonly name: string;
  readonly path: string;
  readonly tag: Operation['tag'];
  /** Summary of the list. */
  readonly all: string;
  readonly deprecated: boolean;
  /** Of the path of the list, and of one kit in it. */
  readonly owner: readonly PathParameter[];
  readonly key: PathParameter;
  readonly kit: SchemaName;
  readonly page: SchemaName;
  readonly birth: SchemaName;
  readonly change: SchemaName;
  /** Whether nobody is met who is not there: another practitioner. */
  readonly ownerMayBeUnknown: { readonly list: boolean; readonly create: boolean };
}

const operationsOf = (resource: Resource): readonly Operation[] => {
  const { name, path, tag, all, deprecated, owner, key, kit, page, birth, change } = resource;
  const announced: readonly ResponseHeader[] = deprecated ? ['deprecation', 'sunset', 'link'] : [];
  const common = { tag, deprecated };
  const onKit = { path: `${path}/{${key.name}}`, pathParameters: [...owner, key] };
  const unknownOwner = (where: 'list' | 'create'): readonly ProblemKind[] =>
    resource.ownerMayBeUnknown[where] ? ['not-found'] : [];
  return [
    {
      ...common,
      id: `list${name}s`,
      method: 'GET',
      path,
      summary: `${all}, a page at a time.`,
      pathParameters: owner,
      parameters: ['Limit', 'Cursor'],
      body: undefined,
      responses: {
        200: success('A page of kits.', page, ['link', ...announced.filter((h) => h !== 'link')]),
        ...problemResponses([
          ...ANYWHERE,
          ...unknownOwner('list'),
          'invalid-parameter',
          'invalid-cursor',
        ]),
      },
    },
    {
      ...common,
      id: `create${name}`,
      method: 'POST',
      path,
      summary: 'Makes a kit.',
      pathParameters: owner,
      parameters: ['IdempotencyKey'],
      body: birth,
      responses: {
        201: success('The kit that was made.', kit, [
          'etag',
          'location',
          'idempotency-replayed',
          ...announced,
        ]),
        ...problemResponses([
          ...ANYWHERE,
          ...BODY_FAULTS,
          ...unknownOwner('create'),
          'kit-number-taken',
          'idempotency-key-in-use',
          'idempotency-key-reused',
          'not-creatable',
        ]),
      },
    },
    {
      ...common,
      ...onKit,
      id: `read${name}`,
      method: 'GET',
      summary: 'One kit.',
      parameters: ['IfNoneMatch'],
      body: undefined,
      responses: {
        200: success('The kit.', kit, ['etag', ...announced]),
        304: success('The client has this version already.', undefined, ['etag', ...announced]),
        ...problemResponses([...ANYWHERE, 'not-found', 'invalid-header']),
      },
    },
    {
      ...common,
      ...onKit,
      id: `change${name}`,
      method: 'PATCH',
      summary: 'Changes a kit: what is absent stays as it is.',
      parameters: [deprecated ? 'IfMatch' : 'RequiredIfMatch'],
      body: change,
      responses: {
        200: success('The kit as it is now.', kit, ['etag', ...announced]),
        ...problemResponses([
          ...ANYWHERE,
          ...BODY_FAULTS,
          'not-found',
          'illegal-transition',
          'precondition-failed',
          'not-creatable',
          ...(deprecated ? [] : (['precondition-required'] as const)),
        ]),
      },
    },
  ];
};

const LEGACY_KEY: PathParameter = {
  name: 'id',
  description: 'The id that the kit has always had.',
};

/** Every operation of the kits, in the order of the description. */
export const OPERATIONS: readonly Operation[] = [
  ...operationsOf({
    name: 'LegacyClientKit',
    path: '/kits',
    tag: 'legacy',
    all: "The caller's own kits as a client",
    deprecated: true,
    owner: [],
    key: LEGACY_KEY,
    kit: 'LegacyClientKit',
    page: 'LegacyClientKitPage',
    birth: 'NewLegacyClientKit',
    change: 'LegacyClientKitChange',
    ownerMayBeUnknown: { list: false, create: false },
  }),
  ...operationsOf({
    name: 'LegacyPractitionerKit',
    path: '/practitioners/{practitionerId}/kits',
    tag: 'legacy',
    all: "The practitioner's kits",
    deprecated: true,
    owner: [
      {
        name: 'practitionerId',
        description: 'The practitioner whom the token names, nobody else.',
      },
    ],
    key: LEGACY_KEY,
    kit: 'LegacyPractitionerKit',
    page: 'LegacyPractitionerKitPage',
    birth: 'NewLegacyPractitionerKit',
    change: 'LegacyPractitionerKitChange',
    ownerMayBeUnknown: { list: true, create: true },
  }),
  ...operationsOf({
    name: 'Kit',
    path: '/v2/kits',
    tag: 'kits',
    all: 'All kits that the caller owns, as a client and as a practitioner',
    deprecated: false,
    owner: [],
    key: { name: 'kitsId', description: 'The id of the kit in this contract.' },
    kit: 'Kit',
    page: 'KitPage',
    birth: 'NewKit',
    change: 'KitChange',
    ownerMayBeUnknown: { list: false, create: true },
  }),
];
