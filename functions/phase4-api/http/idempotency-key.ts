import { digest } from '@unified-kits/domain';
import { Problem } from './problem.ts';

const VISIBLE = /^[\x21-\x7e]{1,255}$/;
const QUOTED = /^"((?:[^"\\]|\\["\\])*)"$/;

/**
 * The key that `Idempotency-Key` names. The draft standard makes it a structured field's string, in double
 * quotes; most clients send it bare. Both are the same key.
 *
 * @throws {Problem} `invalid-header` unless it is 1 to 255 visible ASCII characters.
 */
export const parseIdempotencyKey = (header: string): string => {
  const given = header.trim();
  const [, quoted] = QUOTED.exec(given) ?? [];
  const key = given.startsWith('"') ? quoted?.replaceAll(/\\(.)/g, '$1') : given;
  if (key === undefined || !VISIBLE.test(key))
    throw new Problem('invalid-header', {
      detail:
        '"idempotency-key" has 1 to 255 visible ASCII characters, in double quotes or without',
    });
  return key;
};

/** What tells a repeated request from another one under the same key. */
export interface Fingerprinted {
  readonly method: string;
  /** The path as requested: the same body for another kit is another request. */
  readonly path: string;
  /** As `parseBody` gives it. */
  readonly body: unknown;
}

/** SHA-256 in hex of a request's method, path and body; the order of the body's fields does not matter. */
export const requestFingerprint = ({ method, path, body }: Fingerprinted): string =>
  digest([method, path, body]);
