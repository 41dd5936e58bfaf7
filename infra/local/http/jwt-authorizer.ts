import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTPayload, jwtVerify } from 'jose';
import { Refusal } from './refusal.ts';

/** What API Gateway passes on of a token: `requestContext.authorizer.jwt`. */
export type JwtContext = {
  readonly claims: Record<string, string>;
  /** Null on a route that asks for no scopes, also when the token has some. */
  readonly scopes: string[] | null;
};

export type JwtAuthorizerOptions = {
  readonly issuer: string;
  readonly audiences: readonly string[];
  readonly jwks: JSONWebKeySet;
};

const ALGORITHMS = ['RS256', 'RS384', 'RS512'];
const CLAIM_REFUSALS: ReadonlyMap<string, string> = new Map([
  ['iss', 'issuer does not match'],
  ['nbf', 'the token is not valid yet'],
]);

/**
 * Checks the value of an Authorization header as a JWT authorizer of an HTTP API does: signature by a
 * key that the token names, RSA only; `iss`; `aud`, or `client_id` where there is no `aud`; `exp`,
 * `nbf` and `iat` to the second. The texts for too few segments and for the audience are API Gateway's
 * own; it publishes no others.
 *
 * @throws Refusal 401 with the `www-authenticate` that API Gateway gives.
 */
export function jwtAuthorizer({
  issuer,
  audiences,
  jwks,
}: JwtAuthorizerOptions): (authorization: string | undefined) => Promise<JwtContext> {
  const keys = createLocalJWKSet(jwks);

  return async (authorization) => {
    const token = (authorization ?? '').replace(/^bearer\s+/i, '').trim();
    if (token === '') throw unauthorized();
    if (token.split('.').length !== 3) {
      throw unauthorized('token contains an invalid number of segments');
    }
    const verified = await jwtVerify(token, keys, {
      issuer,
      algorithms: ALGORITHMS,
      requiredClaims: ['exp'],
    }).catch((error: unknown) => {
      throw error instanceof errors.JOSEError ? unauthorized(descriptionOf(error)) : error;
    });
    const { payload, protectedHeader } = verified;
    // With a single key the library does without a name.
    if (protectedHeader.kid === undefined) throw unauthorized('the token names no key');
    if (!isFor(audiences, payload)) throw unauthorized('the token does not have a valid audience');
    if ((payload.iat ?? 0) > Date.now() / 1000) throw unauthorized('the token is not issued yet');
    return { claims: claimTexts(payload), scopes: null };
  };
}

function unauthorized(description?: string): Refusal {
  const challenge =
    description === undefined
      ? 'Bearer'
      : `Bearer scope="" error="invalid_token" error_description="${description}"`;
  return new Refusal(401, 'Unauthorized', { 'www-authenticate': challenge });
}

function descriptionOf(error: errors.JOSEError): string {
  if (error instanceof errors.JWTExpired) return 'the token has expired';
  const known =
    error instanceof errors.JWTClaimValidationFailed ? CLAIM_REFUSALS.get(error.claim) : undefined;
  return known ?? 'the token cannot be verified';
}

function isFor(audiences: readonly string[], { aud, client_id: client }: JWTPayload): boolean {
  const named: unknown[] = aud === undefined ? [client] : [aud].flat();
  return named.some((name) => typeof name === 'string' && audiences.includes(name));
}

/** Every claim as text, whatever it was: that is how they arrive in a payload of format 2.0. */
function claimTexts(payload: JWTPayload): Record<string, string> {
  return Object.fromEntries(
    Object.entries(payload)
      .filter(([, value]) => value !== null)
      .map(([name, value]) => [name, claimText(value)]),
  );
}

function claimText(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(claimText).join(' ')}]`;
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}
