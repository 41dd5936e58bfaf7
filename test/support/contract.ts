import { type KitsService, kitsService } from '@unified-kits/data';
import type { LegacyIdTypes, Mapping, Store } from '@unified-kits/domain';
import { type Answer, createApi } from '../../functions/phase4-api/api.ts';
import { apiSchemas } from '../../functions/phase4-api/openapi/api-schemas.ts';
import { OPERATIONS } from '../../functions/phase4-api/openapi/operations.ts';
import {
  apiEvent,
  type ContractRequest,
} from '../../functions/phase4-contract-check/contract-request.ts';
import type { TestService } from './kits-service.ts';

export type Answers = ReturnType<typeof createApi>;

/** The API over a service. */
export const apiOver = (service: KitsService, mapping: Mapping): Answers =>
  createApi({
    service,
    mapping,
    deprecation: { deprecatedAt: '2026-12-01', sunsetAt: '2027-12-01' },
    shown: () => {},
  });

/** The API over each store alone, as the contract check has it. */
export const storeApis = ({ db, flags, binding }: TestService): Record<Store, Answers> => {
  const { mapping } = binding;
  const observer = { redirected: () => {}, staleReadAvoided: () => {} };
  const over = (only: Store) =>
    apiOver(kitsService({ db, mapping, flags, observer, only }), mapping);
  return { legacy: over('legacy'), kits: over('kits') };
};

export type Request = Pick<
  ContractRequest,
  'claims' | 'method' | 'path' | 'query' | 'headers' | 'body'
>;

/** What an API answers, without HTTP in between. */
export const ask = (answers: Answers, request: Request): Promise<Answer> =>
  answers(apiEvent(request, 'test'), { awsRequestId: 'test' });

/** Problems that are no operation's: the description tells of them in words. */
const OF_NO_ROUTE = ['/problems/not-found', '/problems/method-not-allowed'];

/**
 * Says in what an answer is not as the API's description has it: its status, its headers, its body. Empty
 * where it is.
 */
export const undescribed = (mapping: Mapping, idTypes: LegacyIdTypes) => {
  const schemas = apiSchemas(mapping, idTypes);
  return (method: string, { route, response }: Answer): string[] => {
    const { statusCode = 200, headers = {}, body = '' } = response;
    if (route === '/openapi.json') return [];
    const mediaType = String(headers['content-type'] ?? '');
    if (route === 'none') {
      const problem = schemas.Problem.safeParse(JSON.parse(body));
      const known = problem.success && OF_NO_ROUTE.includes(problem.data.type);
      return known && mediaType === 'application/problem+json' ? [] : ['a problem of no route'];
    }
    const operation = OPERATIONS.find((one) => one.method === method && one.path === route);
    const described = operation?.responses[statusCode];
    if (described === undefined) return [`status ${statusCode}`];
    const faults = Object.keys(headers)
      .filter((name) => name !== 'content-type')
      .filter((name) => !described.headers.some((known) => known === name))
      .map((name) => `header ${name}`);
    const name = described.bodies[mediaType];
    if (name === undefined)
      return body === '' && Object.keys(described.bodies).length === 0
        ? faults
        : [...faults, `media type ${mediaType}`];
    const parsed = schemas[name].safeParse(JSON.parse(body));
    if (!parsed.success) return [...faults, `${name}: ${parsed.error.message}`];
    const { type } = parsed.data as { type?: unknown };
    const known = described.problems.some((kind) => type === `/problems/${kind}`);
    return name === 'Problem' && !known ? [...faults, `problem ${String(type)}`] : faults;
  };
};
