import type { Caller, Mapping, OwnerIdType } from '@unified-kits/domain';
import type { APIGatewayProxyEventV2 } from 'aws-lambda';
import { z } from 'zod';
import { Problem } from './http/problem.ts';

/** The claim that names the practitioner whom a token's bearer is. */
const PRACTITIONER_CLAIM = 'practitioner_id';
const MOST_CHARACTERS = 255;
const UUID = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i;
const WHOLE = /^(?:0|[1-9]\d{0,18})$/;
const LARGEST = { integer: 2n ** 31n - 1n, bigint: 2n ** 63n - 1n } as const;

/**
 * An owner's id as the database writes it, or undefined for a text that no such id can be: it would end a
 * query with an error, where the answer is that nobody has this id.
 */
export const canonicalOwnerId = (text: string, type: OwnerIdType): string | undefined => {
  if (text.length === 0 || text.length > MOST_CHARACTERS || text.includes('\0')) return undefined;
  switch (type) {
    case 'uuid':
      return UUID.test(text) ? text.toLowerCase() : undefined;
    case 'integer':
    case 'bigint':
      return WHOLE.test(text) && BigInt(text) <= LARGEST[type] ? text : undefined;
    case 'text':
      return text;
  }
};

/** What API Gateway hands on of a token that its authorizer has accepted. */
const authorized = z.object({
  requestContext: z.object({
    authorizer: z.object({ jwt: z.object({ claims: z.record(z.string(), z.unknown()) }) }),
  }),
});

/**
 * Who asks, by the claims of the token.
 *
 * @throws {Problem} `unauthorized` without claims, `forbidden` for claims that name nobody who can own kits.
 */
export const callerOf = (event: APIGatewayProxyEventV2, mapping: Mapping): Caller => {
  const found = authorized.safeParse(event);
  if (!found.success) throw new Problem('unauthorized');
  const { claims } = found.data.requestContext.authorizer.jwt;
  const claimed = (name: string, type: OwnerIdType): string | undefined => {
    const value = claims[name];
    if (value === undefined) return undefined;
    const id = typeof value === 'string' ? canonicalOwnerId(value, type) : undefined;
    if (id === undefined)
      throw new Problem('forbidden', {
        detail: `the token's claim "${name}" is not the id of an owner of kits`,
      });
    return id;
  };
  const { userIdType, practitionerIdType } = mapping.target;
  const userId = claimed('sub', userIdType);
  if (userId === undefined)
    throw new Problem('forbidden', { detail: 'the token has no claim "sub", so it names nobody' });
  return { userId, practitionerId: claimed(PRACTITIONER_CLAIM, practitionerIdType) };
};
