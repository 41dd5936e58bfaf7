import {
  assertNeighbour,
  givesAuthorityToLegacy,
  IllegalTransition,
  isNeighbour,
  STAGE_DEFINITIONS,
  STAGES,
  type Stage,
  stagePath,
  takesAuthorityFromLegacy,
} from '@unified-kits/domain';
import { describe, expect, it } from 'vitest';

/** Rows: from; columns: to, in the order of STAGES. `>` forward, `<` back, `.` refused. */
const LEGAL: Readonly<Record<Stage, string>> = {
  legacy: '. > . . . .',
  copying: '< . > . . .',
  mirrored: '< . . > > .',
  'dual-write': '. . < . > .',
  unified: '. . . < . >',
  closed: '. . . . < .',
};
const PAIRS = STAGES.flatMap((from) =>
  STAGES.map((to, index) => ({ from, to, legal: LEGAL[from].split(' ')[index] !== '.' })),
);

describe('a stage', () => {
  it('is one of six, so there are 36 pairs to judge', () => {
    expect(PAIRS).toHaveLength(36);
  });

  it.each(PAIRS.filter(({ legal }) => legal))('$to may follow $from', ({ from, to }) => {
    expect(isNeighbour(from, to)).toBe(true);
    expect(() => assertNeighbour(from, to)).not.toThrow();
    expect(stagePath(from, to)).toEqual([to]);
  });

  it.each(PAIRS.filter(({ legal }) => !legal))(
    '$to may not follow $from, and the error names both',
    ({ from, to }) => {
      expect(isNeighbour(from, to)).toBe(false);
      const refused = () => assertNeighbour(from, to);
      expect(refused).toThrow(IllegalTransition);
      expect(refused).toThrow(`stage "${to}" cannot follow "${from}"`);
    },
  );

  it('refuses a flip that skips a stage, and says what may follow', () => {
    expect(() => assertNeighbour('unified', 'mirrored')).toThrow(
      'stage "mirrored" cannot follow "unified": from "unified" only "closed" or "dual-write" may follow',
    );
  });
});

describe('the way between two stages', () => {
  it.each(PAIRS)('from $from to $to takes only legal steps and ends there', ({ from, to }) => {
    const path = stagePath(from, to);
    let at = from;
    for (const next of path) {
      expect(isNeighbour(at, next)).toBe(true);
      at = next;
    }
    expect(at).toBe(to);
    expect(new Set([from, ...path]).size).toBe(path.length + 1);
  });

  it.each<[Stage, Stage, Stage[]]>([
    ['legacy', 'legacy', []],
    ['legacy', 'closed', ['copying', 'mirrored', 'unified', 'closed']],
    ['mirrored', 'unified', ['unified']],
    ['unified', 'mirrored', ['dual-write', 'mirrored']],
    ['closed', 'legacy', ['unified', 'dual-write', 'mirrored', 'legacy']],
    ['copying', 'dual-write', ['mirrored', 'dual-write']],
  ])('from %s to %s is the shortest', (from, to, path) => {
    expect(stagePath(from, to)).toEqual(path);
  });
});

describe('authority', () => {
  it('leaves the legacy tables only from mirrored, and comes back only to it', () => {
    const legal = PAIRS.filter((pair) => pair.legal);
    expect(legal.filter(({ from, to }) => takesAuthorityFromLegacy(from, to))).toEqual([
      { from: 'mirrored', to: 'dual-write', legal: true },
      { from: 'mirrored', to: 'unified', legal: true },
    ]);
    expect(legal.filter(({ from, to }) => givesAuthorityToLegacy(from, to))).toEqual([
      { from: 'dual-write', to: 'mirrored', legal: true },
    ]);
  });

  it('is never in two stores: the one that is not authoritative refuses writes', () => {
    for (const stage of STAGES) {
      const { writes, legacyTables, kits } = STAGE_DEFINITIONS[stage];
      expect(legacyTables === 'refuse').toBe(writes === 'kits');
      expect(kits === 'refuse').toBe(writes === 'legacy');
    }
  });
});
