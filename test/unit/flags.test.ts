import {
  FLAG_NAMES,
  FLAG_PARAMETERS,
  type Flags,
  flagsOfStage,
  formatFlag,
  IllegalWish,
  InvalidInput,
  otherStore,
  parseFlag,
  readsFrom,
  STAGES,
  type Stage,
  type StoreFlags,
  wishedStage,
  writesTo,
} from '@unified-kits/domain';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

const BOOLEANS = ['unifiedReads', 'unifiedWrites', 'dualWrite', 'migrationInProgress'] as const;
const wish = (unifiedReads: boolean, unifiedWrites: boolean, dualWrite: boolean): StoreFlags => ({
  unifiedReads,
  unifiedWrites,
  dualWrite,
});

describe('a flag', () => {
  it.each(FLAG_NAMES)('%s is born with a value that it may have', (name) => {
    const { initial } = FLAG_PARAMETERS[name];
    expect(formatFlag(name, parseFlag(name, initial))).toBe(initial);
  });

  it.each(BOOLEANS)('%s is true or false and nothing like it', (name) => {
    expect(parseFlag(name, 'true')).toBe(true);
    expect(parseFlag(name, 'false')).toBe(false);
    for (const text of ['', 'True', ' true', 'true\n', '1', 'yes', 'truefalse'])
      expect(() => parseFlag(name, text)).toThrow(InvalidInput);
  });

  it('shadow-reads is a whole number from 0 to 100', () => {
    for (let percent = 0; percent <= 100; percent += 1)
      expect(parseFlag('shadowReads', String(percent))).toBe(percent);
    for (const text of ['-1', '101', '01', '1.5', '', '1e1', 'true'])
      expect(() => parseFlag('shadowReads', text)).toThrow(InvalidInput);
  });

  it('copy-rows-per-second is a number, 0 for a pause, or unlimited', () => {
    expect(parseFlag('copyRowsPerSecond', 'unlimited')).toBeUndefined();
    fc.assert(
      fc.property(fc.nat({ max: 999_999_999 }), (rate) => {
        expect(parseFlag('copyRowsPerSecond', formatFlag('copyRowsPerSecond', rate))).toBe(rate);
      }),
    );
    for (const text of ['-1', '1.5', '1000000000', '', 'Infinity'])
      expect(() => parseFlag('copyRowsPerSecond', text)).toThrow(InvalidInput);
  });

  it('says in its error which parameter it is and what it must match', () => {
    expect(() => parseFlag('unifiedReads', 'on')).toThrow(
      'flag "unified-reads" is "on"; it must match ^(true|false)$',
    );
  });
});

describe('the wish', () => {
  it.each(STAGES)('for unified writes without unified reads is illegal in stage %s', (stage) => {
    for (const dualWrite of [true, false])
      expect(() => wishedStage(wish(false, true, dualWrite), stage)).toThrow(IllegalWish);
  });

  it.each<[string, StoreFlags, Record<Stage, Stage>]>([
    [
      'for writes on legacy goes no further than the batch has come, and back to mirrored',
      wish(false, false, false),
      {
        legacy: 'legacy',
        copying: 'copying',
        mirrored: 'mirrored',
        'dual-write': 'mirrored',
        unified: 'mirrored',
        closed: 'mirrored',
      },
    ],
    [
      'for unified reads alone moves no stage either',
      wish(true, false, true),
      {
        legacy: 'legacy',
        copying: 'copying',
        mirrored: 'mirrored',
        'dual-write': 'mirrored',
        unified: 'mirrored',
        closed: 'mirrored',
      },
    ],
    [
      'for unified writes with dual-write is dual-write',
      wish(true, true, true),
      {
        legacy: 'dual-write',
        copying: 'dual-write',
        mirrored: 'dual-write',
        'dual-write': 'dual-write',
        unified: 'dual-write',
        closed: 'dual-write',
      },
    ],
    [
      'for unified writes without it is unified, and leaves a closed migration closed',
      wish(true, true, false),
      {
        legacy: 'unified',
        copying: 'unified',
        mirrored: 'unified',
        'dual-write': 'unified',
        unified: 'unified',
        closed: 'closed',
      },
    ],
  ])('%s', (_, flags, expected) => {
    expect(Object.fromEntries(STAGES.map((stage) => [stage, wishedStage(flags, stage)]))).toEqual(
      expected,
    );
  });

  it.each(STAGES)('that is put back by stage %s asks for the stage that holds', (stage) => {
    for (const reads of [true, false])
      expect(wishedStage(flagsOfStage(stage, reads), stage)).toBe(stage);
  });

  it('that is put back keeps the operator`s choice of reads only while both stores are in step on legacy', () => {
    const kept = STAGES.filter(
      (stage) => flagsOfStage(stage, true).unifiedReads !== flagsOfStage(stage, false).unifiedReads,
    );
    expect(kept).toEqual(['mirrored']);
  });
});

describe('the store', () => {
  const parsed = (texts: Partial<Record<keyof Flags, string>>) =>
    Object.fromEntries(
      FLAG_NAMES.map((name) => [
        name,
        parseFlag(name, texts[name] ?? FLAG_PARAMETERS[name].initial),
      ]),
    ) as unknown as Flags;

  it.each([
    [{}, 'legacy', 'legacy'],
    [{ unifiedReads: 'true' }, 'kits', 'legacy'],
    [{ unifiedReads: 'true', unifiedWrites: 'true' }, 'kits', 'kits'],
    [{ dualWrite: 'true', migrationInProgress: 'true' }, 'legacy', 'legacy'],
  ] as const)('with %j is %s for reads and %s for writes', (texts, reads, writes) => {
    expect(readsFrom(parsed(texts))).toBe(reads);
    expect(writesTo(parsed(texts))).toBe(writes);
  });

  it('has one other, and that is where a refused write goes', () => {
    expect(otherStore('legacy')).toBe('kits');
    expect(otherStore('kits')).toBe('legacy');
  });
});
