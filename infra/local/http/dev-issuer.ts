import { randomUUID } from 'node:crypto';
import { type JSONWebKeySet, SignJWT } from 'jose';
import { SIGNING_ALGORITHM, type SigningKey } from './signing-key.ts';

/** Whom the dev issuer's tokens are for. */
export const DEV_AUDIENCE = 'unified-kits';

/** What a token says of its bearer. */
export type TokenGrant = {
  readonly userId: string;
  readonly practitionerId?: string;
  /** 3600 by default; below zero the token has expired already. */
  readonly expiresInSeconds?: number;
  /** Separated by spaces. */
  readonly scope?: string;
};

export type DevIssuer = {
  /** The `iss` of its tokens. */
  readonly issuer: string;
  readonly jwks: JSONWebKeySet;
  /** What it publishes, by URL. */
  readonly documents: ReadonlyMap<string, object>;
  /** A signed token. */
  token(grant: TokenGrant): Promise<string>;
};

/**
 * Stands in for an organisation's identity provider on one machine. `issuer` is the URL it has; its
 * discovery document is found below that, as OpenID Connect says.
 */
export function devIssuer(issuer: string, key: SigningKey): DevIssuer {
  const jwks = { keys: [key.publicJwk] };
  const jwksUrl = `${issuer}/.well-known/jwks.json`;
  const discovery = {
    issuer,
    jwks_uri: jwksUrl,
    id_token_signing_alg_values_supported: [SIGNING_ALGORITHM],
    subject_types_supported: ['public'],
  };
  return {
    issuer,
    jwks,
    documents: new Map<string, object>([
      [`${issuer}/.well-known/openid-configuration`, discovery],
      [jwksUrl, jwks],
    ]),
    token({ userId, practitionerId, expiresInSeconds = 3600, scope }) {
      const now = Math.floor(Date.now() / 1000);
      return new SignJWT({
        ...(practitionerId === undefined ? {} : { practitioner_id: practitionerId }),
        ...(scope === undefined ? {} : { scope }),
      })
        .setProtectedHeader({ alg: SIGNING_ALGORITHM, kid: key.publicJwk.kid, typ: 'JWT' })
        .setIssuer(issuer)
        .setAudience(DEV_AUDIENCE)
        .setSubject(userId)
        .setIssuedAt(now)
        .setNotBefore(now)
        .setExpirationTime(now + expiresInSeconds)
        .setJti(randomUUID())
        .sign(key.privateJwk);
    },
  };
}
