import {
  calculateJwkThumbprint,
  exportJWK,
  generateKeyPair,
  type JWK,
  jwtVerify,
  SignJWT,
} from 'jose';
import { z } from 'zod';
import { LocalStateError, NO_STATE_FILE, stateFile } from '../aws/state-file.ts';

/** The only kind of signature that API Gateway's JWT authorizers accept is RSA. */
export const SIGNING_ALGORITHM = 'RS256';

const integer = z.base64url().min(1);
const rsaPrivateKey = z.object({
  kty: z.literal('RSA'),
  n: integer,
  e: integer,
  d: integer,
  p: integer,
  q: integer,
  dp: integer,
  dq: integer,
  qi: integer,
});

/** An RSA key: what signs, and what may be shown to everybody. */
export type SigningKey = { readonly privateJwk: JWK; readonly publicJwk: JWK & { kid: string } };

/**
 * The key kept in the file at `path` (mode 0600); made when there is no such file yet. Without a path
 * it is a new one, kept nowhere.
 *
 * @throws LocalStateError when the file holds something else.
 */
export async function openSigningKey(path?: string): Promise<SigningKey> {
  const file = path === undefined ? NO_STATE_FILE : stateFile(path, "the dev issuer's key");
  const kept = await file.load();
  if (kept !== undefined) return keptKey(kept, path);
  const { privateKey } = await generateKeyPair(SIGNING_ALGORITHM, { extractable: true });
  const made = rsaPrivateKey.parse(await exportJWK(privateKey));
  await file.save(made);
  return signingKey(made);
}

async function keptKey(kept: unknown, path: string | undefined): Promise<SigningKey> {
  try {
    const key = await signingKey(rsaPrivateKey.parse(kept));
    const header = { alg: SIGNING_ALGORITHM };
    const sample = await new SignJWT().setProtectedHeader(header).sign(key.privateJwk);
    await jwtVerify(sample, key.publicJwk);
    return key;
  } catch (cause) {
    throw new LocalStateError(
      `${path} does not hold an RSA key as a private JWK. Remove it to get a new key.`,
      { cause },
    );
  }
}

async function signingKey(privateJwk: z.infer<typeof rsaPrivateKey>): Promise<SigningKey> {
  const { kty, n, e } = privateJwk;
  const kid = await calculateJwkThumbprint({ kty, n, e });
  return { privateJwk, publicJwk: { kty, n, e, kid, alg: SIGNING_ALGORITHM, use: 'sig' } };
}
