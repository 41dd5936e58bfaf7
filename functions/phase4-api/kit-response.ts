import type { StoredResponse } from '@unified-kits/data';
import {
  type Contract,
  canonicalJson,
  type Kit,
  kitJson,
  type LegacyIdTypes,
  type Mapping,
  pageJson,
} from '@unified-kits/domain';
import { encodeCursor } from './http/cursor.ts';
import { etagOf, namesTag, parseIfMatch, parseIfNoneMatch } from './http/etag.ts';
import { Problem } from './http/problem.ts';
import type { HttpResponse } from './route.ts';

/** How a contract shows kits. */
export interface View {
  readonly contract: Contract;
  readonly mapping: Mapping;
  readonly idTypes: LegacyIdTypes;
}

/** Health data: nobody between here and the client may keep it. */
const HEADERS = { 'content-type': 'application/json', 'cache-control': 'no-store' } as const;

const jsonOf = (kit: Kit, { contract, mapping, idTypes }: View): string =>
  kitJson(kit, contract, mapping, idTypes);

/** One kit with its entity tag; 304 where the client has this version already. */
export const kitResponse = (
  kit: Kit,
  view: View,
  headers: Readonly<Record<string, string>>,
  ifNoneMatch?: string,
): HttpResponse => {
  const body = jsonOf(kit, view);
  const etag = etagOf(body);
  if (ifNoneMatch !== undefined && namesTag(parseIfNoneMatch(ifNoneMatch), etag))
    return { statusCode: 304, headers: { ...headers, etag, 'cache-control': 'no-store' } };
  return { statusCode: 200, headers: { ...HEADERS, ...headers, etag }, body };
};

/** What is answered, and kept for a repeated request, once a kit has been made. */
export const createdResponse = (
  kit: Kit,
  view: View,
  location: string,
  headers: Readonly<Record<string, string>>,
): StoredResponse => {
  const body = jsonOf(kit, view);
  return { status: 201, headers: { ...HEADERS, ...headers, etag: etagOf(body), location }, body };
};

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null;

/** What a change asks for, value by value, each beside what a kit shows; attributes one by one. */
const besideShown = (change: unknown, shown: unknown): readonly (readonly [unknown, unknown])[] =>
  isObject(change) && isObject(shown)
    ? Object.entries(change).flatMap(([name, value]) =>
        name === 'attributes' ? besideShown(value, shown[name]) : [[value, shown[name]] as const],
      )
    : [[change, shown]];

/** Whether a kit as it is shown has every value of a change that asks for any. */
const isMade = (change: unknown, shown: unknown): boolean => {
  const values = besideShown(change, shown);
  return (
    values.length > 0 &&
    values.every(([wanted, value]) => canonicalJson(wanted) === canonicalJson(value))
  );
};

/**
 * Judges `If-Match`. A change that comes twice, or again after its answer was lost, does not meet its own
 * precondition any more: as RFC 9110, section 13.1.1, allows, it is answered as made.
 *
 * @param change what the request changes, as it came
 * @throws {Problem} `precondition-failed` when a kit is no longer the version that `If-Match` names.
 */
export const matching =
  (ifMatch: string | undefined, view: View, change: unknown) =>
  (kit: Kit): 'made' | undefined => {
    if (ifMatch === undefined) return undefined;
    const shown = jsonOf(kit, view);
    if (namesTag(parseIfMatch(ifMatch), etagOf(shown))) return undefined;
    if (isMade(change, JSON.parse(shown))) return 'made';
    throw new Problem('precondition-failed', {
      detail: 'read the kit again, and send the change with its new entity tag',
    });
  };

/**
 * A page, which was read with one kit more than it shows: that one says that there is another page.
 *
 * @param path of the list; not the request's, which may hold anything that a header must not
 * @param scope what the cursor belongs to: the list and its owner
 * @param keyOf by what the list is ordered
 */
export const pageResponse = (
  found: readonly Kit[],
  view: View,
  {
    limit,
    path,
    scope,
    keyOf,
    headers,
  }: {
    readonly limit: number;
    readonly path: string;
    readonly scope: string;
    readonly keyOf: (kit: Kit) => string;
    readonly headers: Readonly<Record<string, string>>;
  },
): HttpResponse => {
  const shown = found.slice(0, limit);
  const last = found.length > limit ? shown.at(-1) : undefined;
  const nextCursor = last === undefined ? null : encodeCursor({ after: keyOf(last) }, scope);
  const links = [
    ...(nextCursor === null ? [] : [`<${path}?limit=${limit}&cursor=${nextCursor}>; rel="next"`]),
    ...(headers.link === undefined ? [] : [headers.link]),
  ];
  return {
    statusCode: 200,
    headers: {
      ...HEADERS,
      ...headers,
      ...(links.length === 0 ? {} : { link: links.join(', ') }),
    },
    body: pageJson(
      shown.map((kit) => jsonOf(kit, view)),
      nextCursor,
    ),
  };
};
