import { type Caller, canonicalId, type Mapping, type OwnerIdType } from '@unified-kits/domain';
import type { APIGatewayProxyEventV2 } from 'aws-lambda';
import { z } from 'zod';
import { Problem } from './http/problem.ts';

/** The claim that names the practitioner whom a token's bearer is. */
const PRACTITIONER_CLAIM = 'practitioner_id';

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
    const id = typeof value === 'string' ? canonicalId(value, type) : undefined;
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
