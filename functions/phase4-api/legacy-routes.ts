import {
  type Caller,
  canonicalId,
  changeBody,
  createBody,
  type Kit,
  type Owner,
  ownerFor,
  type Source,
  valuesOf,
  wishedStatus,
} from '@unified-kits/domain';
import type { APIGatewayProxyEventV2 } from 'aws-lambda';
import { callerOf } from './caller.ts';
import { deprecationHeaders } from './deprecation.ts';
import { Problem } from './http/problem.ts';
import { createdResponse, kitResponse, matching, pageResponse, type View } from './kit-response.ts';
import { bodyOf, idempotencyOf, idParameter, pageOf } from './request.ts';
import type { Api, HttpResponse, Route } from './route.ts';

/**
 * The routes that were there before: their own ids and their own words, in every stage and from either
 * store, with the ownership added and their end announced.
 */
export const legacyRoutes = (api: Api): readonly Route[] => [
  ...routesOf(api, 'kit', '/kits', (_event, caller) => ownerFor(caller, 'client')),
  ...routesOf(api, 'practitioner_kits', '/practitioners/{practitionerId}/kits', (event, caller) => {
    const { practitionerIdType } = api.mapping.target;
    const id = canonicalId(idParameter(event, 'practitionerId'), practitionerIdType);
    if (id === undefined) throw new Problem('not-found');
    return ownerFor(caller, 'practitioner', id);
  }),
];

type OwnerOf = (event: APIGatewayProxyEventV2, caller: Caller) => Owner;

const routesOf = (api: Api, source: Source, path: string, ownerOf: OwnerOf): Route[] => {
  const { service, mapping, deprecation, shown } = api;
  const creation = createBody(mapping, source, 'legacy');
  const change = changeBody(mapping, source, 'legacy');
  const announced = (successor = '/v2/kits') => deprecationHeaders(deprecation, successor);
  const announcedFor = (kit: Kit) => announced(`/v2/kits/${kit.kitsId}`);
  /** The list of an owner's kits, as it stands in a header. */
  const at = ({ id }: Owner) => path.replace('{practitionerId}', encodeURIComponent(id));
  const view = async (): Promise<View> => ({
    contract: 'legacy',
    mapping,
    idTypes: await service.idTypes(),
  });
  const asked = (event: APIGatewayProxyEventV2) => {
    const caller = callerOf(event, mapping);
    return { caller, owner: ownerOf(event, caller) };
  };
  const reference = (event: APIGatewayProxyEventV2) => ({
    source,
    legacyId: idParameter(event, 'id'),
  });

  const list = async (event: APIGatewayProxyEventV2): Promise<HttpResponse> => {
    const { owner } = asked(event);
    const scope = `${path} ${owner.id}`;
    const { limit, after } = pageOf(event, scope);
    const found = await service.list(owner, { after, limit: limit + 1 });
    const response = pageResponse(found, await view(), {
      limit,
      path: at(owner),
      scope,
      keyOf: ({ legacyId }) => legacyId,
      headers: announced(),
    });
    shown(
      source,
      found.map(({ legacyId }) => legacyId),
    );
    return response;
  };

  const read = async (event: APIGatewayProxyEventV2): Promise<HttpResponse> => {
    const { caller } = asked(event);
    const kit = await service.find(caller, reference(event));
    const response = kitResponse(
      kit,
      await view(),
      announcedFor(kit),
      event.headers['if-none-match'],
    );
    shown(source, [kit.legacyId]);
    return response;
  };

  const create = async (event: APIGatewayProxyEventV2): Promise<HttpResponse> => {
    const { owner } = asked(event);
    const body = bodyOf(event, creation);
    const seen = await view();
    const {
      status,
      headers,
      body: text,
      replayed,
    } = await service.create({
      owner,
      values: valuesOf(mapping, source, 'legacy', body),
      idempotency: idempotencyOf(event, `${path} ${owner.id}`, body),
      respond: (kit) =>
        createdResponse(
          kit,
          seen,
          `${at(owner)}/${encodeURIComponent(kit.legacyId)}`,
          announcedFor(kit),
        ),
    });
    return {
      statusCode: status,
      headers: { ...headers, ...(replayed ? { 'idempotency-replayed': 'true' } : {}) },
      body: text,
    };
  };

  const update = async (event: APIGatewayProxyEventV2): Promise<HttpResponse> => {
    const { caller } = asked(event);
    const body = bodyOf(event, change);
    const seen = await view();
    const kit = await service.change({
      reference: reference(event),
      caller,
      valuesFor: () => valuesOf(mapping, source, 'legacy', body),
      statusFor: () => wishedStatus(mapping, source, 'legacy', body),
      precondition: matching(event.headers['if-match'], seen, body),
    });
    return kitResponse(kit, seen, announcedFor(kit));
  };

  return [
    { method: 'GET', path, answer: list },
    { method: 'POST', path, answer: create },
    { method: 'GET', path: `${path}/{id}`, answer: read },
    { method: 'PATCH', path: `${path}/{id}`, answer: update },
  ];
};
