import { jsonPointer } from './json-pointer.ts';
import { type FieldError, MOST_ERRORS } from './problem.ts';

/**
 * Whether a text, JSON or not, opens more than so many objects and arrays inside one another. Without
 * recursion, and before anything that might recurse sees the text.
 */
export const nestsDeeperThan = (most: number, text: string): boolean => {
  let depth = 0;
  let inString = false;
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at];
    if (inString) {
      if (character === '\\') at += 1;
      else if (character === '"') inString = false;
    } else if (character === '"') inString = true;
    else if (character === '{' || character === '[') {
      depth += 1;
      if (depth > most) return true;
    } else if (character === '}' || character === ']') depth -= 1;
  }
  return false;
};

/** An object or an array that is open where the walk stands. */
interface Open {
  /** The names seen so far; undefined in an array. */
  readonly names: Set<string> | undefined;
  /** Name or index of the member at hand. */
  member: string | number;
  awaitsName: boolean;
}

/** Strings, numbers and what opens, closes and parts; only on valid JSON does every string end. */
const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.eE+-]*|[{}[\],]/g;

/**
 * `jsonb` writes a number in full, so a short `1e131071` would come back as 131,072 digits, and refuses one
 * with too many decimals.
 */
const MOST_LITERAL = 1_000;
const MOST_EXPONENT = 400;

const faultsOfString = (text: string): string[] => {
  const faults: string[] = [];
  if (text.includes('\0')) faults.push('holds U+0000, which the database cannot store');
  if (!text.isWellFormed()) faults.push('holds half a surrogate pair, which is no character');
  return faults;
};

const faultsOfNumber = (literal: string): string[] => {
  const [, exponent = '0'] = /e(.*)$/i.exec(literal) ?? [];
  return literal.length > MOST_LITERAL || Math.abs(Number(exponent)) > MOST_EXPONENT
    ? ['is a number out of range']
    : [];
};

const faultsOfName = (name: string, { names }: Open): string[] => {
  const faults = faultsOfString(name);
  if (names?.has(name)) faults.push('is given twice');
  // Not dangerous to JSON.parse, but to whatever copies the value with `=`.
  if (name === '__proto__') faults.push('is not a name that a field may have');
  return faults;
};

/**
 * What a valid JSON text holds that `JSON.parse` lets pass and no body may: names given twice, characters
 * that Postgres cannot store, numbers beyond reason.
 */
export const faultsOfJson = (text: string): FieldError[] => {
  const open: Open[] = [];
  const found: FieldError[] = [];
  const note = (faults: readonly string[]) => {
    for (const detail of faults)
      found.push({ pointer: jsonPointer(open.map(({ member }) => member)), detail });
  };
  for (const [token] of text.matchAll(TOKEN)) {
    if (found.length >= MOST_ERRORS) break;
    const inner = open.at(-1);
    if (token === '{') open.push({ names: new Set(), member: '', awaitsName: true });
    else if (token === '[') open.push({ names: undefined, member: 0, awaitsName: false });
    else if (token === '}' || token === ']') open.pop();
    else if (token === ',') {
      if (typeof inner?.member === 'number') inner.member += 1;
      else if (inner !== undefined) inner.awaitsName = true;
    } else if (!token.startsWith('"')) note(faultsOfNumber(token));
    else {
      const string = String(JSON.parse(token));
      if (!inner?.awaitsName) note(faultsOfString(string));
      else {
        inner.member = string;
        inner.awaitsName = false;
        note(faultsOfName(string, inner));
        inner.names?.add(string);
      }
    }
  }
  return found;
};
