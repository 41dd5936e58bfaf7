import type { Kit } from '@unified-kits/domain';
import type { Callers } from './callers.ts';
import type { ContractRequest } from './contract-request.ts';
import { detailRequests, legacyList, listRequests } from './kit-requests.ts';
import { refusalRequests } from './refusal-requests.ts';

export const REQUEST_KINDS = ['refusals', 'details', 'lists'] as const;
export type RequestKind = (typeof REQUEST_KINDS)[number];

/** Owners of each kind whose lists are read; a list shows many kits. */
const MOST_LISTS = 40;

/**
 * All requests of a check, the few that are about no kit first, then kit by kit: whatever the time is enough
 * for, it is a sample of everything.
 */
export function* contractRequests(
  kits: readonly Kit[],
  callers: Callers,
  kinds: readonly RequestKind[],
): Generator<ContractRequest> {
  if (kinds.includes('refusals')) yield* refusalRequests(kits, callers);
  const listed = { client: new Set<string>(), practitioner: new Set<string>() };
  const turns = { client: 0, practitioner: 0 };
  for (const kit of kits) {
    const turn = turns[kit.ownerType];
    turns[kit.ownerType] += 1;
    if (kinds.includes('details')) yield* detailRequests(kit, callers, turn);
    const owner = callers.ownerOf(kit);
    if (!kinds.includes('lists') || owner === undefined) continue;
    const lists = listed[kit.ownerType];
    const path = `${legacyList(kit)} ${owner.userId}`;
    if (lists.has(path) || lists.size >= MOST_LISTS) continue;
    lists.add(path);
    yield* listRequests(kit, owner, callers, turn);
  }
}
