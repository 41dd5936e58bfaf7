import {
  addTallies,
  describeFinding,
  FINDING_CODES,
  FINDING_KINDS,
  MOST_KEYS,
  SEVERITIES,
  type Tally,
  toFindings,
  verdict,
} from '@unified-kits/domain';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

const tally = (code: Tally['code'], more: Partial<Tally> = {}): Tally => ({
  code,
  source: 'kit',
  count: 1,
  keys: ['1'],
  ...more,
});
const anyTally = fc.record({
  code: fc.constantFrom(...FINDING_CODES),
  source: fc.constantFrom('kit' as const, 'practitioner_kits' as const, 'both' as const),
  column: fc.option(fc.constantFrom('a', 'b'), { nil: undefined }),
  count: fc.nat(1000),
  keys: fc.array(fc.string(), { maxLength: 30 }),
});

describe('findings', () => {
  it.each(FINDING_CODES)('say of %s what it is and what to do, in a sentence', (code) => {
    const { severity, title, advice } = FINDING_KINDS[code];
    expect(SEVERITIES).toContain(severity);
    expect(title).toMatch(/\S/);
    expect(advice).toMatch(/^[A-Z].*\.$/s);
  });

  it('are NO-GO with any blocker, and GO with what blocks only the stage unified', () => {
    const go = FINDING_CODES.filter((code) => FINDING_KINDS[code].severity !== 'blocker');
    expect(verdict(toFindings(go.map((code) => tally(code))))).toBe('GO');
    for (const code of FINDING_CODES.filter((one) => !go.includes(one)))
      expect(verdict(toFindings([tally(code)]))).toBe('NO-GO');
    expect(verdict([])).toBe('GO');
  });

  it('put blockers first', () => {
    const codes = toFindings([
      tally('LEGACY_ATTRIBUTES'),
      tally('REFERENCED_BY'),
      tally('GENERATED_COLUMN'),
      tally('KIT_NUMBER_MISSING'),
    ]).map(({ code }) => code);
    expect(codes).toEqual([
      'KIT_NUMBER_MISSING',
      'REFERENCED_BY',
      'LEGACY_ATTRIBUTES',
      'GENERATED_COLUMN',
    ]);
  });

  it('of the same kind, source and column are one, however the table was cut', () => {
    fc.assert(
      fc.property(fc.array(anyTally), fc.nat(), (tallies, cut) => {
        const at = tallies.length === 0 ? 0 : cut % tallies.length;
        const whole = addTallies([], tallies);
        const parts = addTallies(addTallies([], tallies.slice(0, at)), tallies.slice(at));
        expect(parts).toEqual(whole);
        const sum = (list: readonly Tally[]) => list.reduce((n, { count }) => n + count, 0);
        expect(sum(whole)).toBe(sum(tallies));
        for (const { keys } of whole) expect(keys.length).toBeLessThanOrEqual(MOST_KEYS);
      }),
    );
  });

  it('come in an order that does not depend on when each was seen', () => {
    fc.assert(
      fc.property(fc.array(anyTally), (tallies) => {
        const order = (list: readonly Tally[]) =>
          toFindings(list).map(({ code, source, column, count }) => [code, source, column, count]);
        expect(order([...tallies].reverse())).toEqual(order(tallies));
      }),
    );
  });

  it('were not seen where none were counted, and keep the keys that were seen first', () => {
    expect(toFindings([tally('UNMAPPED_VALUE', { count: 0 })])).toEqual([]);
    const keys = (from: number, count: number) =>
      Array.from({ length: count }, (_, index) => String(from + index));
    const some = tally('UNMAPPED_VALUE', { count: 15, keys: keys(0, 15) });
    const more = tally('UNMAPPED_VALUE', { count: 30, keys: keys(15, 30) });
    expect(addTallies([some], [more])).toEqual([{ ...some, count: 45, keys: keys(0, MOST_KEYS) }]);
    expect(addTallies([], [more])).toEqual([{ ...more, keys: keys(15, MOST_KEYS) }]);
  });

  it('of one severity come as the codes are listed, then by source, the whole table before a column', () => {
    const blockers = FINDING_CODES.filter((code) => FINDING_KINDS[code].severity === 'blocker');
    expect(
      toFindings(blockers.toReversed().map((code) => tally(code))).map(({ code }) => code),
    ).toEqual(blockers);
    const places = [
      { source: 'kit' },
      { source: 'kit', column: 'a' },
      { source: 'kit', column: 'b' },
      { source: 'practitioner_kits' },
    ] as const;
    const seen = places.toReversed().map((place) => tally('UNMAPPED_VALUE', place));
    expect(toFindings(seen)).toEqual(places.map((place) => expect.objectContaining(place)));
    expect(toFindings(seen)[0]).not.toHaveProperty('column');
  });

  it.each<[Partial<Tally>, string]>([
    [{ count: 2, keys: ['1', '2'] }, 'ID_MISSING in kit: 2 (1, 2)'],
    [{ count: 3, keys: ['1', '2'] }, 'ID_MISSING in kit: 3 (1, 2, …)'],
    [{ count: 3, keys: [] }, 'ID_MISSING in kit: 3'],
  ])('of %j are told as they are', (seen, line) => {
    expect(toFindings([tally('ID_MISSING', seen)]).map(describeFinding)).toEqual([line]);
  });

  it('are told in one line that says how many there are beyond the keys it names', () => {
    const [found] = toFindings([tally('UNMAPPED_VALUE', { column: 'status', count: 3 })]);
    expect(found && describeFinding(found)).toBe(
      'UNMAPPED_VALUE in kit, column "status": 3 (1, …)',
    );
  });
});
