import type { FunctionName } from './function-calls.ts';

/** What can happen to the system. */
export const FAULT_KINDS = [
  'kill phases',
  'kill service',
  'kill both',
  'terminate backends',
  'interrupt',
  'crash postgres',
  'cut',
  'delay',
  'freeze',
  'lose commits',
  'hold rows',
  'lock tables',
  'duplicate number',
  'flag',
  'unreadable flags',
  'deaf',
  'twice',
  'lost answers',
  'clock',
  'out of order',
  'second cutover',
  'rollback',
  'abort',
  'change owner',
] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

/** When a fault comes: at a time, or so long after a function began its work. */
export type Moment =
  | { readonly atMs: number }
  | { readonly during: string; readonly afterMs: number };

export interface PlannedFault {
  readonly kind: FaultKind;
  readonly when: Moment;
  /** Between 0 and 1: how much, how long, which. */
  readonly size: number;
  readonly choice: number;
}

/** Steps of the workflows in whose middle faults come, as `function action`. */
export const STEPS = [
  'phase6-validation rehearse',
  'phase2-migration begin',
  'phase2-migration copy',
  'phase2-migration finish',
  'phase2-migration drain',
  'phase2-migration mirror',
  'phase6-validation compare',
  'phase3-services switch',
  'phase5-queues pause',
  'phase7-cleanup close',
  'rollback begin',
  'rollback reverse',
  'rollback repair',
  'rollback delete',
  'rollback prove',
] as const satisfies readonly `${FunctionName} ${string}`[];

/** Statements in whose transactions there is most to interrupt, by a part of their text. */
export const STATEMENTS = [
  // The copy: after a chunk was written.
  'update migration.chunk set cursor',
  // The drain: keys taken, rows locked, before they are read.
  'migration."sync_',
  // The flip: before the triggers are switched, and after.
  ' disable trigger uk_',
  'update migration.stage set stage',
  // The comparison, and what it notes.
  'update migration.parity_range',
  'insert into migration.parity_mismatch',
  // The rollback.
  'delete from "public"."kits"',
  'update migration.batch set ended_at',
  // The service: after the change, before it is told.
  'insert into kits_service.kit_event',
  'insert into kits_service.handled_job',
  'insert into kits_service.idempotency_key',
  'update kits_service.kit_event set sent_at',
] as const;

/** Likelier the more there is to find with it. */
const WEIGHTS: Readonly<Record<FaultKind, number>> = {
  'kill phases': 5,
  'kill service': 3,
  'kill both': 2,
  'terminate backends': 4,
  interrupt: 14,
  'crash postgres': 2,
  cut: 3,
  delay: 2,
  freeze: 2,
  'lose commits': 4,
  'hold rows': 4,
  'lock tables': 2,
  'duplicate number': 2,
  flag: 4,
  'unreadable flags': 2,
  deaf: 1,
  twice: 3,
  'lost answers': 3,
  clock: 2,
  'out of order': 4,
  'second cutover': 2,
  rollback: 2,
  abort: 2,
  'change owner': 3,
};

const pickKind = (random: () => number, possible: readonly FaultKind[]): FaultKind => {
  const total = possible.reduce((sum, kind) => sum + WEIGHTS[kind], 0);
  let left = random() * total;
  for (const kind of possible) {
    left -= WEIGHTS[kind];
    if (left < 0) return kind;
  }
  return 'cut';
};

/** Draws the faults of a run: most in the middle of a step, the others at any time. */
export const planFaults = (
  random: () => number,
  { count, withinMs, canCrash }: { count: number; withinMs: number; canCrash: boolean },
): readonly PlannedFault[] => {
  const possible = FAULT_KINDS.filter((kind) => canCrash || kind !== 'crash postgres');
  return Array.from({ length: count }, () => ({
    kind: pickKind(random, possible),
    when:
      random() < 0.65
        ? {
            during: STEPS[Math.floor(random() * STEPS.length)] ?? STEPS[0],
            afterMs: Math.floor(random() ** 2 * 150),
          }
        : { atMs: Math.floor(random() * withinMs) },
    size: random(),
    choice: random(),
  }));
};
