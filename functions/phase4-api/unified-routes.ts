import {
  canonicalId,
  changeBody,
  createBody,
  type Kit,
  KitRefused,
  ownerFor,
  SOURCES,
  type Source,
  valuesOf,
  wishedStatus,
} from '@unified-kits/domain';
import type { APIGatewayProxyEventV2 } from 'aws-lambda';
import { z } from 'zod';
import { callerOf } from './caller.ts';
import { invalidBody } from './http/invalid-body.ts';
import { jsonPointer } from './http/json-pointer.ts';
import { parseBody } from './http/parse-body.ts';
import { Problem } from './http/problem.ts';
import { createdResponse, kitResponse, matching, pageResponse, type View } from './kit-response.ts';
import { bodyOf, idempotencyOf, idParameter, pageOf } from './request.ts';
import type { Api, HttpResponse, Route } from './route.ts';

const PATH = '/v2/kits';
const NO_HEADERS = {} as const;

/** The routes that stay: one kind of id, one vocabulary, and all that a caller owns in one list. */
export const unifiedRoutes = ({ service, mapping, shown }: Api): readonly Route[] => {
  const creation = z.discriminatedUnion('ownerType', [
    createBody(mapping, 'kit', 'v2') as z.ZodObject<{ ownerType: z.ZodLiteral<'client'> }>,
    createBody(mapping, 'practitioner_kits', 'v2') as z.ZodObject<{
      ownerType: z.ZodLiteral<'practitioner'>;
    }>,
  ]);
  const attributes = new Set(
    SOURCES.flatMap((source) => Object.keys(mapping.sources[source].api.attributes)),
  );
  const changes = {
    kit: changeBody(mapping, 'kit', 'v2'),
    practitioner_kits: changeBody(mapping, 'practitioner_kits', 'v2'),
  };
  /** Attributes stand apart in this contract, and so does what is wrong with them. */
  const pointed = (error: unknown): never => {
    if (!(error instanceof KitRefused) || !attributes.has(error.field)) throw error;
    const pointer = jsonPointer(['attributes', error.field]);
    throw new Problem('invalid-body', { errors: [{ pointer, detail: error.message }] });
  };
  const view = async (): Promise<View> => ({
    contract: 'v2',
    mapping,
    idTypes: await service.idTypes(),
  });
  const reference = (event: APIGatewayProxyEventV2) => {
    const kitsId = canonicalId(idParameter(event, 'kitsId'), 'uuid');
    if (kitsId === undefined) throw new Problem('not-found');
    return { kitsId };
  };
  const showAll = (kits: readonly Kit[]) => {
    for (const source of SOURCES) {
      const ids = kits.filter((kit) => kit.source === source).map(({ legacyId }) => legacyId);
      if (ids.length > 0) shown(source, ids);
    }
  };

  const list = async (event: APIGatewayProxyEventV2): Promise<HttpResponse> => {
    const caller = callerOf(event, mapping);
    const scope = `${PATH} ${caller.userId} ${caller.practitionerId ?? ''}`;
    const { limit, after } = pageOf(event, scope);
    const found = await service.listAll(caller, { after, limit: limit + 1 });
    const response = pageResponse(found, await view(), {
      limit,
      path: PATH,
      scope,
      keyOf: ({ kitsId }) => kitsId,
      headers: NO_HEADERS,
    });
    showAll(found);
    return response;
  };

  const read = async (event: APIGatewayProxyEventV2): Promise<HttpResponse> => {
    const kit = await service.find(callerOf(event, mapping), reference(event));
    const response = kitResponse(kit, await view(), NO_HEADERS, event.headers['if-none-match']);
    showAll([kit]);
    return response;
  };

  const create = async (event: APIGatewayProxyEventV2): Promise<HttpResponse> => {
    const caller = callerOf(event, mapping);
    const body = bodyOf(event, creation);
    const owner = ownerFor(caller, body.ownerType);
    const source: Source = body.ownerType === 'client' ? 'kit' : 'practitioner_kits';
    const seen = await view();
    const {
      status,
      headers,
      body: text,
      replayed,
    } = await service
      .create({
        owner,
        values: valuesOf(mapping, source, 'v2', body),
        idempotency: idempotencyOf(event, `${PATH} ${owner.ownerType} ${owner.id}`, body),
        respond: (kit) => createdResponse(kit, seen, `${PATH}/${kit.kitsId}`, NO_HEADERS),
      })
      .catch(pointed);
    return {
      statusCode: status,
      headers: { ...headers, ...(replayed ? { 'idempotency-replayed': 'true' } : {}) },
      body: text,
    };
  };

  const update = async (event: APIGatewayProxyEventV2): Promise<HttpResponse> => {
    const caller = callerOf(event, mapping);
    const ifMatch = event.headers['if-match'];
    if (ifMatch === undefined)
      throw new Problem('precondition-required', {
        detail: 'send "if-match" with the entity tag of the version that you change',
      });
    const body = parseBody(event);
    const seen = await view();
    // Which fields a kit has depends on its source, which is known once the kit is.
    const bodyFor = ({ source }: Kit) => {
      const parsed = changes[source].safeParse(body);
      if (!parsed.success) throw invalidBody(parsed.error);
      return parsed.data;
    };
    const kit = await service
      .change({
        reference: reference(event),
        caller,
        precondition: (found) => matching(ifMatch, seen, bodyFor(found))(found),
        valuesFor: (found) => valuesOf(mapping, found.source, 'v2', bodyFor(found)),
        statusFor: (found) => wishedStatus(mapping, found.source, 'v2', bodyFor(found)),
      })
      .catch(pointed);
    return kitResponse(kit, seen, NO_HEADERS);
  };

  return [
    { method: 'GET', path: PATH, answer: list },
    { method: 'POST', path: PATH, answer: create },
    { method: 'GET', path: `${PATH}/{kitsId}`, answer: read },
    { method: 'PATCH', path: `${PATH}/{kitsId}`, answer: update },
  ];
};
