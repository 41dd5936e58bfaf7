import { createHash } from 'node:crypto';
import { InvalidInput } from '@unified-kits/domain';
import { Problem } from './problem.ts';

/** Where the next page begins. */
export interface Position {
  /** The last row of the page before, as its list orders them. */
  readonly after: string;
}

/** The first byte; another layout gets another number. */
const VERSION = 1;
const CHECK_BYTES = 12;
/** Of the longest id there may be, 255 characters of up to four bytes. */
const MOST_BYTES = 1_020;
const MOST_CHARACTERS = Math.ceil(((1 + CHECK_BYTES + MOST_BYTES) * 4) / 3);

const checkOf = (scope: string, content: Buffer): Buffer =>
  createHash('sha256')
    .update(JSON.stringify([VERSION, scope]))
    .update(content)
    .digest()
    .subarray(0, CHECK_BYTES);

const pack = (content: Buffer, scope: string): string =>
  Buffer.concat([Buffer.of(VERSION), checkOf(scope, content), content]).toString('base64url');

/**
 * An opaque cursor: version, check and position in base64url. The check finds a damaged cursor, and one of
 * another list. It keeps nobody out, for anybody can compute it: whose rows a page shows is up to its query.
 *
 * @param scope names the list: its route and whose rows it shows.
 * @throws {InvalidInput} when the position is longer than 1,020 bytes.
 */
export const encodeCursor = ({ after }: Position, scope: string): string => {
  const content = Buffer.from(after);
  if (content.length > MOST_BYTES)
    throw new InvalidInput(`a cursor's position has at most ${MOST_BYTES} bytes`);
  return pack(content, scope);
};

export const invalidCursor = (): Problem =>
  new Problem('invalid-cursor', {
    detail: 'follow "next" of a page of this list as it is, or begin again without a cursor',
  });

/** @throws {Problem} `invalid-cursor` unless `encodeCursor` made exactly this text for this scope. */
export const decodeCursor = (text: string, scope: string): Position => {
  const content = Buffer.from(text.slice(0, MOST_CHARACTERS), 'base64url').subarray(
    1 + CHECK_BYTES,
  );
  if (pack(content, scope) !== text) throw invalidCursor();
  return { after: content.toString() };
};
