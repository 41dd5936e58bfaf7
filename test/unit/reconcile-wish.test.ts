import {
  flagsOfStage,
  isNeighbour,
  STAGE_DEFINITIONS,
  STAGES,
  type Stage,
  type StoreFlags,
} from '@unified-kits/domain';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { flagsThatHold, judgeWish, type Standing } from '../../functions/runtime/judge-wish.ts';

const wishes = fc.record({
  unifiedReads: fc.boolean(),
  unifiedWrites: fc.boolean(),
  dualWrite: fc.boolean(),
});
const standings = fc.record({
  stage: fc.constantFrom(...STAGES),
  parityExact: fc.boolean(),
  failedKeys: fc.nat({ max: 2 }),
});
const inStep = (stage: Stage): Standing => ({ stage, parityExact: true, failedKeys: 0 });
const wish = (unifiedReads: boolean, unifiedWrites: boolean, dualWrite: boolean): StoreFlags => ({
  unifiedReads,
  unifiedWrites,
  dualWrite,
});

describe('the judgement of a wish', () => {
  it('only ever steps to a neighbour', () => {
    fc.assert(
      fc.property(wishes, standings, (asked, standing) => {
        const verdict = judgeWish(asked, standing);
        if (verdict.kind === 'step') expect(isNeighbour(standing.stage, verdict.to)).toBe(true);
      }),
    );
  });

  it('is at rest with the flags it puts back, so that nothing is put back twice', () => {
    fc.assert(
      fc.property(wishes, standings, (asked, standing) => {
        const verdict = judgeWish(asked, standing);
        if (verdict.kind !== 'put-back') return;
        expect(verdict.flags).not.toEqual(asked);
        expect(judgeWish(verdict.flags, standing)).toEqual({ kind: 'holds' });
      }),
    );
  });

  it('comes to rest whatever is asked, and then reads are on a store that is in step', () => {
    fc.assert(
      fc.property(wishes, standings, (asked, start) => {
        let [flags, standing] = [asked, start];
        for (let steps = 0; steps < 10; steps += 1) {
          const verdict = judgeWish(flags, standing);
          if (verdict.kind === 'holds') {
            const { stage, parityExact, failedKeys } = standing;
            expect(flags.unifiedWrites).toBe(STAGE_DEFINITIONS[stage].writes === 'kits');
            if (flags.unifiedReads && stage === 'mirrored')
              expect({ parityExact, failedKeys }).toEqual({ parityExact: true, failedKeys: 0 });
            if (STAGE_DEFINITIONS[stage].writes === 'kits') expect(flags.unifiedReads).toBe(true);
            return;
          }
          if (verdict.kind === 'put-back') flags = verdict.flags;
          // A flip begins an epoch in which nothing is proved yet, and leaves an empty backlog.
          else standing = { stage: verdict.to, parityExact: false, failedKeys: 0 };
        }
        expect.fail('it never came to rest');
      }),
    );
  });

  it('never moves a stage that a workflow leads', () => {
    fc.assert(
      fc.property(wishes, standings, (asked, standing) => {
        if (!['legacy', 'copying', 'closed'].includes(standing.stage)) return;
        expect(judgeWish(asked, standing).kind).not.toBe('step');
      }),
    );
  });

  it('leaves the flags of every stage as they are while the stores are in step', () => {
    for (const stage of STAGES)
      for (const reads of [true, false]) {
        const flags = flagsOfStage(stage, reads);
        expect(judgeWish(flags, inStep(stage)), stage).toEqual({ kind: 'holds' });
        expect(flagsThatHold(flags, inStep(stage))).toEqual(flags);
      }
  });

  it.each([
    { asked: wish(true, true, true), from: 'mirrored', to: 'dual-write' },
    { asked: wish(true, true, false), from: 'mirrored', to: 'unified' },
    { asked: wish(true, true, false), from: 'dual-write', to: 'unified' },
    { asked: wish(true, true, true), from: 'unified', to: 'dual-write' },
    { asked: wish(false, false, false), from: 'unified', to: 'dual-write' },
    { asked: wish(false, false, true), from: 'dual-write', to: 'mirrored' },
  ] as const)('steps from $from to $to when $asked is wished', ({ asked, from, to }) => {
    expect(judgeWish(asked, inStep(from))).toEqual({ kind: 'step', to });
  });

  it('refuses reads of kits before parity is proved, and before the copy is there', () => {
    for (const stage of ['legacy', 'copying', 'mirrored'] as const)
      expect(
        judgeWish(wish(true, false, false), { stage, parityExact: false, failedKeys: 0 }),
      ).toMatchObject({
        kind: 'put-back',
        flags: wish(false, false, false),
        alarm: false,
      });
  });

  it('raises the alarm for reads that a failed mirror makes stale, before it moves authority', () => {
    for (const writes of [true, false])
      expect(
        judgeWish(wish(true, writes, true), {
          stage: 'mirrored',
          parityExact: true,
          failedKeys: 1,
        }),
      ).toMatchObject({ kind: 'put-back', flags: wish(false, false, false), alarm: true });
  });

  it('says in words why unified writes without unified reads are put back', () => {
    expect(judgeWish(wish(false, true, false), inStep('mirrored'))).toMatchObject({
      kind: 'put-back',
      reason: expect.stringContaining('unified-reads is false'),
    });
  });
});
