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

  it('are told in one line that says how many there are beyond the keys it names', () => {
    const [found] = toFindings([tally('UNMAPPED_VALUE', { column: 'status', count: 3 })]);
    expect(found && describeFinding(found)).toBe(
      'UNMAPPED_VALUE in kit, column "status": 3 (1, …)',
    );
  });
});
