import * as domain from '@unified-kits/domain';
import { describe, expect, it } from 'vitest';

type Constructor = new (...parts: string[]) => Error;
const isError = (one: unknown): one is Constructor =>
  typeof one === 'function' && one.prototype instanceof domain.UnifiedKitsError;
const NAMED = Object.entries(domain).flatMap(([name, one]) =>
  isError(one) ? [[name, one] as const] : [],
);

describe('an error', () => {
  it('is one of many that are told apart', () => {
    expect(NAMED.length).toBeGreaterThan(30);
  });

  it.each(NAMED)(
    '%s has that name, which Step Functions matches, and says what it was told',
    (name, Kind) => {
      const error = new Kind('what is wrong', 'what is wrong');
      expect(String(error)).toBe(`${name}: what is wrong`);
    },
  );
});
