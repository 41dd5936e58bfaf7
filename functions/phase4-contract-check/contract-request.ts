import type { NotedBy } from '@unified-kits/data';
import type { Caller } from '@unified-kits/domain';
import type { APIGatewayProxyEventV2 } from 'aws-lambda';
import type { HttpResponse } from '../phase4-api/route.ts';

/** Who asks, as seen from the kit that is asked for. */
export type CallerKind =
  | 'owner'
  | 'another client'
  | 'another practitioner'
  | 'practitioner without the claim'
  | 'owner of nothing'
  | 'nobody';

/** What a token says of its bearer. */
export type Claims = Readonly<Record<string, string>>;

/** A request that both stores are to answer alike. */
export interface ContractRequest {
  readonly caller: CallerKind;
  /** Undefined: without a token. */
  readonly claims?: Claims | undefined;
  readonly method: string;
  /** Decoded, as API Gateway hands it on. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  /** Names in lower case. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** The kit that it is about. */
  readonly about?: NotedBy;
  /** What to ask once both have given this answer. */
  readonly next?: (answer: HttpResponse) => ContractRequest | undefined;
}

export const claimsOf = ({ userId, practitionerId }: Caller): Claims => ({
  sub: userId,
  ...(practitionerId === undefined ? {} : { practitioner_id: practitionerId }),
});

/**
 * The event that API Gateway makes of a request, payload format 2.0. A new one for each handler: the router
 * writes the path's parameters into it.
 */
export const apiEvent = (
  {
    claims,
    method,
    path,
    query = {},
    headers = {},
    body,
  }: Pick<ContractRequest, 'claims' | 'method' | 'path' | 'query' | 'headers' | 'body'>,
  requestId: string,
): APIGatewayProxyEventV2 => {
  const requestContext = {
    accountId: '000000000000',
    apiId: 'contract-check',
    domainName: 'contract-check.invalid',
    domainPrefix: 'contract-check',
    http: {
      method,
      path,
      protocol: 'HTTP/1.1',
      sourceIp: '192.0.2.1',
      userAgent: 'contract-check',
    },
    requestId,
    routeKey: 'ANY /{proxy+}',
    stage: '$default',
    time: '01/Jan/2026:00:00:00 +0000',
    timeEpoch: 1_767_225_600_000,
    ...(claims === undefined ? {} : { authorizer: { jwt: { claims, scopes: null } } }),
  };
  return {
    version: '2.0',
    routeKey: requestContext.routeKey,
    rawPath: path,
    rawQueryString: new URLSearchParams(query).toString(),
    headers: { ...headers },
    ...(Object.keys(query).length === 0 ? {} : { queryStringParameters: { ...query } }),
    requestContext,
    ...(body === undefined ? {} : { body }),
    isBase64Encoded: false,
  };
};
