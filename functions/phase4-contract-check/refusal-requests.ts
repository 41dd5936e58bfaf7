import type { Kit } from '@unified-kits/domain';
import type { Callers } from './callers.ts';
import { type Claims, type ContractRequest, claimsOf } from './contract-request.ts';
import { legacyList } from './kit-requests.ts';

const JSON_BODY = { 'content-type': 'application/json' } as const;

/** What no body may be, whatever it is for. */
const FAULTY_BODIES: readonly Pick<ContractRequest, 'headers' | 'body'>[] = [
  {},
  ...[
    '',
    '{',
    '{"kitNumber":"A"',
    '{"kitNumber":"A","kitNumber":"B"}',
    '{"metadata":"\\u0000"}',
    '{"metadata":"\\ud800"}',
    '{"metadata":{"n":1e9999}}',
    '{"__proto__":{}}',
    `${'['.repeat(40)}${']'.repeat(40)}`,
    JSON.stringify({ kitNumber: 'A'.repeat(70_000) }),
  ].map((body) => ({ headers: JSON_BODY, body })),
  { headers: { 'content-type': 'text/plain' }, body: '{}' },
  { headers: { 'content-type': 'application/json; charset=latin1' }, body: '{}' },
  { headers: { ...JSON_BODY, 'content-encoding': 'gzip' }, body: '{}' },
];

/** JSON that a route's own schema refuses. */
const MISFITS: readonly string[] = [
  'null',
  '[]',
  '7',
  '{"no such field":1}',
  '{"kitNumber":7}',
  '{"kitNumber":""," ":1}',
  '{"kitNumber":" A","kitType":"","metadata":[]}',
  '{"status":"no such status"}',
];

const NO_IDS = [
  'x',
  '0',
  '-1',
  '007',
  '99999999999999999999',
  '1.5',
  'é',
  '\0',
  '00000000-0000-0000-0000-000000000000',
  'y'.repeat(300),
];

const CURSORS = ['', 'x', '*', 'AQ', 'z'.repeat(900)];
const LIMITS = ['', '0', '-1', '101', '1.5', ' 7', 'all'];
const CONDITIONS = ['', 'x', '"a', '"a" "b"', '*, "a"'];

const UNKNOWN: readonly (readonly [string, string])[] = [
  ['GET', '/'],
  ['GET', '/kit'],
  ['GET', '/v3/kits'],
  ['GET', '/kits/1/2'],
  ['GET', '/practitioners'],
  ['GET', '/practitioners/x/kits'],
  ['PUT', '/kits'],
  ['DELETE', '/kits/1'],
  ['DELETE', '/v2/kits'],
  ['POST', '/openapi.json'],
];

/** Claims that name nobody who could own a kit. */
const CLAIMS: readonly (Claims | undefined)[] = [
  undefined,
  {},
  { sub: '' },
  { sub: '\0' },
  { sub: 'x'.repeat(300) },
];

/** Nothing here may get as far as a write: a service of one store alone refuses that by failing. */
function* refusedWrites(list: string, asked: Pick<ContractRequest, 'caller' | 'claims'>) {
  const unified = list === '/v2/kits';
  const one = `${list}/1`;
  for (const faulty of FAULTY_BODIES) {
    yield { ...asked, ...faulty, method: 'POST', path: list };
    yield {
      ...asked,
      ...faulty,
      method: 'PATCH',
      path: one,
      headers: { ...faulty.headers, ...(unified && { 'if-match': '*' }) },
    };
  }
  for (const body of MISFITS) {
    yield { ...asked, method: 'POST', path: list, headers: JSON_BODY, body };
    // The unified route knows which fields a kit has once it has found the kit, on its way to write.
    if (!unified) yield { ...asked, method: 'PATCH', path: one, headers: JSON_BODY, body };
  }
  if (unified) yield { ...asked, method: 'PATCH', path: one, headers: JSON_BODY, body: '{}' };
  for (const key of ['', ' ', 'ü', '"unfinished', 'k'.repeat(300)])
    yield {
      ...asked,
      method: 'POST',
      path: list,
      headers: { ...JSON_BODY, 'idempotency-key': key },
      body: JSON.stringify({ kitNumber: 'A', ...(unified && { ownerType: 'client' }) }),
    };
}

/** What every list and kit of a contract refuses, asked by the owner of one kit. */
function* refusedUnder(list: string, asked: Pick<ContractRequest, 'caller' | 'claims'>) {
  const get = { ...asked, method: 'GET' };
  for (const limit of LIMITS) yield { ...get, path: list, query: { limit } };
  for (const cursor of CURSORS) yield { ...get, path: list, query: { cursor } };
  for (const id of NO_IDS) yield { ...get, path: `${list}/${id}` };
  yield* refusedWrites(list, asked);
}

/**
 * Requests that are refused, or find nothing, for reasons that have nothing to do with where kits are kept;
 * and those that only look as if they had not.
 */
export function* refusalRequests(
  kits: readonly Kit[],
  callers: Callers,
): Generator<ContractRequest> {
  const nobodys = { caller: 'owner of nothing', claims: claimsOf(callers.nobodys) } as const;
  for (const [method, path] of UNKNOWN) yield { ...nobodys, method, path };
  yield { caller: 'nobody', method: 'GET', path: '/openapi.json' };
  for (const claims of CLAIMS)
    for (const path of ['/kits', '/v2/kits'])
      yield { caller: 'nobody', claims, method: 'GET', path };
  yield* refusedUnder('/kits', nobodys);
  yield* refusedUnder('/v2/kits', nobodys);
  yield {
    ...nobodys,
    method: 'POST',
    path: '/v2/kits',
    headers: JSON_BODY,
    body: JSON.stringify({ ownerType: 'practitioner', kitNumber: 'A' }),
  };
  for (const ownerType of ['client', 'practitioner'] as const) {
    const kit = kits.find((one) => one.ownerType === ownerType && callers.ownerOf(one));
    const owner = kit === undefined ? undefined : callers.ownerOf(kit);
    if (kit === undefined || owner === undefined) continue;
    const asked = { caller: 'owner', claims: claimsOf(owner) } as const;
    yield* refusedUnder(legacyList(kit), asked);
    for (const condition of CONDITIONS)
      for (const path of [`${legacyList(kit)}/${kit.legacyId}`, `/v2/kits/${kit.kitsId}`])
        yield {
          ...asked,
          method: 'GET',
          path,
          headers: { 'if-none-match': condition },
          about: kit,
        };
    for (const { kind, caller } of callers.strangersTo(kit))
      yield {
        caller: kind,
        claims: claimsOf(caller),
        method: 'POST',
        path: legacyList(kit).replace(/^\/kits$/, `/practitioners/${owner.userId}/kits`),
        headers: JSON_BODY,
        body: JSON.stringify({ kitNumber: 'A' }),
      };
  }
}
