import type { Binding } from '@unified-kits/data';
import type { Stage, StoreFlags } from '@unified-kits/domain';
import type { ApiRig } from './api.ts';
import { installed } from './legacy.ts';
import { migrateTo, parity } from './migration.ts';
import { eventually, stageOf } from './system.ts';

/** The stages in which clients are served, apart from those that differ for them in nothing. */
export const API_STAGES = ['legacy', 'mirrored', 'dual-write', 'unified'] as const;
export type ApiStage = (typeof API_STAGES)[number] | 'copying';

const FLAGS: Readonly<Partial<Record<Stage, StoreFlags>>> = {
  mirrored: { unifiedReads: true, unifiedWrites: false, dualWrite: false },
  'dual-write': { unifiedReads: true, unifiedWrites: true, dualWrite: true },
  unified: { unifiedReads: true, unifiedWrites: true, dualWrite: false },
};

/** Sets the flags of a stage, as an operator does, and waits until they hold. */
export const flagTo = async (rig: ApiRig, stage: 'mirrored' | 'dual-write' | 'unified') => {
  const wished = FLAGS[stage] ?? {};
  await rig.system.flags.write(wished);
  await eventually(
    () => stageOf(rig),
    (now) => now === stage,
  );
  await eventually(
    () => rig.system.flags.read(),
    (flags) =>
      Object.entries(wished).every(([name, value]) => flags[name as keyof StoreFlags] === value),
  );
};

/** Phase 1, and the way from `legacy` to a stage: the copy by the engine, the rest by the flags. In `mirrored`, reads are on `kits`. */
export const bringTo = async (rig: ApiRig, stage: ApiStage): Promise<Binding> => {
  const { legacy } = rig;
  const binding = await installed(legacy);
  if (stage === 'legacy') return binding;
  await migrateTo(legacy.db, binding, stage === 'copying' ? 'copying' : 'mirrored');
  if (stage === 'copying') return binding;
  await parity(legacy.db, binding);
  await flagTo(rig, stage);
  return binding;
};
