import type { Caller, Kit } from '@unified-kits/domain';
import type { HttpResponse } from '../phase4-api/route.ts';
import type { Callers } from './callers.ts';
import { type ContractRequest, claimsOf } from './contract-request.ts';

/** Where a kit's owner finds it under the legacy contract, and the list that it is in. */
export const legacyList = ({ ownerType, practitionerId }: Kit): string =>
  ownerType === 'client' ? '/kits' : `/practitioners/${practitionerId}/kits`;

const headerOf = ({ headers = {} }: HttpResponse, name: string): string | undefined =>
  typeof headers[name] === 'string' ? headers[name] : undefined;

/** A kit that was shown is asked for again by its entity tag: 304 from both. */
const revalidated =
  (request: ContractRequest) =>
  (answer: HttpResponse): ContractRequest | undefined => {
    const etag = headerOf(answer, 'etag');
    return etag === undefined
      ? undefined
      : { ...request, headers: { 'if-none-match': `"another", W/${etag}` } };
  };

/**
 * A kit by both of its ids, for its owner and one stranger, another one each time; and by the ids that are
 * not its ids there.
 *
 * @param turn a number that rises from kit to kit
 */
export function* detailRequests(
  kit: Kit,
  callers: Callers,
  turn: number,
): Generator<ContractRequest> {
  const paths = [`${legacyList(kit)}/${kit.legacyId}`, `/v2/kits/${kit.kitsId}`];
  const owner = callers.ownerOf(kit);
  const get = { method: 'GET', about: kit } as const;
  if (owner !== undefined) {
    const asked = { ...get, caller: 'owner', claims: claimsOf(owner) } as const;
    for (const [place, path] of paths.entries()) {
      const request = { ...asked, path };
      yield place === turn % 2 ? { ...request, next: revalidated(request) } : request;
    }
    const others = [
      `${legacyList(kit)}/${kit.kitsId}`,
      `/v2/kits/${kit.legacyId}`,
      `/v2/kits/${kit.kitsId.toUpperCase()}`,
      `/kits/${kit.legacyId}/`,
    ];
    const path = others[turn % others.length];
    if (path !== undefined) yield { ...asked, path };
  }
  const strangers = callers.strangersTo(kit);
  const stranger = strangers[turn % strangers.length];
  if (stranger === undefined) return;
  const { kind, caller } = stranger;
  const asked = { ...get, caller: kind, claims: claimsOf(caller) } as const;
  for (const path of paths) yield { ...asked, path };
  // Under the stranger's own route the kit is looked up, and is not theirs.
  if (caller.practitionerId !== undefined)
    yield { ...asked, path: `/practitioners/${caller.practitionerId}/kits/${kit.legacyId}` };
}

const LIMITS = [undefined, 1, 3, 10, 100] as const;
/** More would be one owner's kits and nobody else's. */
const MOST_PAGES = 20;

/** A list from its first page to its last. */
const pages = (
  asked: Pick<ContractRequest, 'caller' | 'claims' | 'path'>,
  limit: number | undefined,
  left = MOST_PAGES,
  cursor?: string,
): ContractRequest => ({
  ...asked,
  method: 'GET',
  query: {
    ...(limit === undefined ? {} : { limit: String(limit) }),
    ...(cursor === undefined ? {} : { cursor }),
  },
  next: ({ statusCode, body }) => {
    if (statusCode !== 200 || left === 1) return undefined;
    const { nextCursor } = JSON.parse(body ?? '{}') as { nextCursor?: string | null };
    return nextCursor == null ? undefined : pages(asked, limit, left - 1, nextCursor);
  },
});

/** All lists that a kit is in, for its owner; and the same lists for the strangers. */
export function* listRequests(
  kit: Kit,
  owner: Caller,
  callers: Callers,
  turn: number,
): Generator<ContractRequest> {
  const limitOf = (n: number) => LIMITS[n % LIMITS.length];
  const asked = { caller: 'owner', claims: claimsOf(owner) } as const;
  yield pages({ ...asked, path: legacyList(kit) }, limitOf(turn));
  yield pages({ ...asked, path: '/v2/kits' }, limitOf(turn + 1));
  const strangers = callers.strangersTo(kit);
  const stranger = strangers[turn % strangers.length];
  if (stranger === undefined) return;
  const { kind, caller } = stranger;
  for (const path of [legacyList(kit), '/v2/kits'])
    yield pages({ caller: kind, claims: claimsOf(caller), path }, limitOf(turn), 1);
}
