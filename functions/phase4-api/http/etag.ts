import { createHash } from 'node:crypto';
import { Problem } from './problem.ts';

/** Entity tags that a condition names, quotes included; `*` stands for any. */
export type EntityTags = '*' | readonly string[];

const CHARACTERS = 22;

/** The strong entity tag of a body: 132 bits of its SHA-256. */
export const etagOf = (bodyText: string): string =>
  `"${createHash('sha256').update(bodyText).digest('base64url').slice(0, CHARACTERS)}"`;

/** One element of a list (RFC 9110, 5.6.1), which may be empty, and the comma or the end after it. */
const ELEMENT = /[ \t]*(?:(W\/)?("[\x21\x23-\x7e\x80-\xff]*")[ \t]*)?(,|$)/y;

interface EntityTag {
  readonly weak: boolean;
  readonly tag: string;
}

const malformed = (name: string) =>
  new Problem('invalid-header', {
    detail: `"${name}" is "*" or a list of entity tags in double quotes`,
  });

const parseList = (name: string, header: string): '*' | EntityTag[] => {
  if (header.trim() === '*') return '*';
  const tags: EntityTag[] = [];
  ELEMENT.lastIndex = 0;
  for (let more = true; more; ) {
    const match = ELEMENT.exec(header);
    if (match === null) throw malformed(name);
    const [, weak, tag, separator] = match;
    if (tag !== undefined) tags.push({ weak: weak !== undefined, tag });
    more = separator === ',';
  }
  if (tags.length === 0) throw malformed(name);
  return tags;
};

/**
 * The tags that `If-Match` names. Weak ones are left out, for they never match strongly: an empty list
 * matches nothing.
 *
 * @throws {Problem} `invalid-header`.
 */
export const parseIfMatch = (header: string): EntityTags => {
  const list = parseList('if-match', header);
  return list === '*' ? list : list.filter(({ weak }) => !weak).map(({ tag }) => tag);
};

/**
 * The tags that `If-None-Match` names, weak or strong: it compares weakly.
 *
 * @throws {Problem} `invalid-header`.
 */
export const parseIfNoneMatch = (header: string): EntityTags => {
  const list = parseList('if-none-match', header);
  return list === '*' ? list : list.map(({ tag }) => tag);
};

/** Whether a condition names the tag of what is there. */
export const namesTag = (tags: EntityTags, etag: string): boolean =>
  tags === '*' || tags.includes(etag);
