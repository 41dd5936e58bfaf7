import { IllegalTransition } from './errors.ts';

/** Which store is authoritative, and what keeps the other in step (DESIGN section 4). */
export const STAGES = ['legacy', 'copying', 'mirrored', 'dual-write', 'unified', 'closed'] as const;
export type Stage = (typeof STAGES)[number];
export type Store = 'legacy' | 'kits';

/** What a table's triggers do in a stage. */
export type Duty = 'none' | 'refuse' | 'capture' | 'mirror';

export interface StageDefinition {
  readonly writes: Store;
  readonly legacyTables: Duty;
  readonly kits: Duty;
  /** A mirror failure in `dual-write` and a capture in `unified` are re-synchronised kits → legacy. */
  readonly drains: 'legacy-to-kits' | 'kits-to-legacy' | 'nothing';
}

export const STAGE_DEFINITIONS: Readonly<Record<Stage, StageDefinition>> = {
  legacy: { writes: 'legacy', legacyTables: 'none', kits: 'refuse', drains: 'nothing' },
  copying: { writes: 'legacy', legacyTables: 'capture', kits: 'refuse', drains: 'legacy-to-kits' },
  mirrored: { writes: 'legacy', legacyTables: 'mirror', kits: 'refuse', drains: 'legacy-to-kits' },
  'dual-write': {
    writes: 'kits',
    legacyTables: 'refuse',
    kits: 'mirror',
    drains: 'kits-to-legacy',
  },
  unified: { writes: 'kits', legacyTables: 'refuse', kits: 'capture', drains: 'kits-to-legacy' },
  closed: { writes: 'kits', legacyTables: 'refuse', kits: 'none', drains: 'nothing' },
};

/** The dual-write window is optional, so `mirrored` has two forward neighbours. */
const NEIGHBOURS: Readonly<Record<Stage, readonly Stage[]>> = {
  legacy: ['copying'],
  copying: ['mirrored', 'legacy'],
  mirrored: ['dual-write', 'unified', 'legacy'],
  'dual-write': ['unified', 'mirrored'],
  unified: ['closed', 'dual-write'],
  closed: ['unified'],
};

export const isNeighbour = (from: Stage, to: Stage): boolean => NEIGHBOURS[from].includes(to);

/** @throws {IllegalTransition} naming both stages and what may follow. */
export const assertNeighbour = (from: Stage, to: Stage): void => {
  if (!isNeighbour(from, to))
    throw new IllegalTransition(
      `stage "${to}" cannot follow "${from}": from "${from}" only ${NEIGHBOURS[from].map((stage) => `"${stage}"`).join(' or ')} may follow`,
    );
};

/** The shortest legal way from one stage to another, without the first; empty when they are the same. */
export const stagePath = (from: Stage, to: Stage): readonly Stage[] => {
  const queue: { stage: Stage; path: readonly Stage[] }[] = [{ stage: from, path: [] }];
  const seen = new Set<Stage>([from]);
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
    if (next.stage === to) return next.path;
    for (const stage of NEIGHBOURS[next.stage])
      if (!seen.has(stage)) {
        seen.add(stage);
        queue.push({ stage, path: [...next.path, stage] });
      }
  }
  throw new IllegalTransition(`no way leads from "${from}" to "${to}"`);
};

/** Authority leaves the legacy tables in these flips, and comes back in their reverse. */
export const takesAuthorityFromLegacy = (from: Stage, to: Stage): boolean =>
  STAGE_DEFINITIONS[from].writes === 'legacy' && STAGE_DEFINITIONS[to].writes === 'kits';
export const givesAuthorityToLegacy = (from: Stage, to: Stage): boolean =>
  STAGE_DEFINITIONS[from].writes === 'kits' && STAGE_DEFINITIONS[to].writes === 'legacy';
