import type { FunctionName } from './function-calls.ts';

/** What can happen to the system. */
export const FAULT_KINDS = [
  'kill phases',
  'kill service',
  'kill both',
  'terminate backends',
  'interrupt',
  'crash postgres',
  'disk full',
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
  /** Parts of statements that are passing then. */
  readonly statements: readonly string[];
  /** Between 0 and 1: how much, how long, which. */
  readonly size: number;
  readonly choice: number;
}

const COPY = ['insert into "public"."kits"', 'update migration.chunk set cursor'];
const DRAIN = ['migration."sync_'];
const FLIP = [' disable trigger uk_', 'update migration.stage set stage', ...DRAIN];
const SERVICE = [
  'insert into kits_service.kit_event',
  'insert into kits_service.handled_job',
  'insert into kits_service.idempotency_key',
  'update kits_service.kit_event set sent_at',
];

/**
 * Steps of the workflows in whose middle faults come, as `function action`, with parts of the statements in
 * whose transactions there is most to interrupt.
 */
export const STEPS: Readonly<Record<`${FunctionName} ${string}`, readonly string[]>> = {
  'phase6-validation rehearse': COPY,
  'phase2-migration begin': FLIP,
  'phase2-migration copy': COPY,
  'phase2-migration finish': DRAIN,
  'phase2-migration drain': DRAIN,
  'phase2-migration mirror': FLIP,
  'phase6-validation compare': [
    'update migration.parity_range',
    'insert into migration.parity_mismatch',
  ],
  'phase3-services switch': FLIP,
  'phase5-queues pause': SERVICE,
  'phase7-cleanup close': FLIP,
  'rollback begin': FLIP,
  'rollback reverse': FLIP,
  'rollback repair': DRAIN,
  'rollback delete': ['delete from "public"."kits"'],
  'rollback prove': ['update migration.batch set ended_at'],
};
const STEP_NAMES = Object.keys(STEPS);

/** Likelier the more there is to find with it. */
const WEIGHTS: Readonly<Record<FaultKind, number>> = {
  'kill phases': 5,
  'kill service': 3,
  'kill both': 2,
  'terminate backends': 4,
  interrupt: 14,
  'crash postgres': 2,
  'disk full': 2,
  cut: 3,
  delay: 2,
  freeze: 2,
  'lose commits': 4,
  'hold rows': 6,
  'lock tables': 2,
  'duplicate number': 4,
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

/**
 * Draws the faults of a run: many in the middle of one step, for it is where two come together that most goes
 * wrong, some in the middle of others, and some at any time up to `withinMs`, unless that is undefined.
 */
export const planFaults = (
  random: () => number,
  {
    count,
    withinMs,
    impossible,
  }: { count: number; withinMs: number | undefined; impossible: readonly FaultKind[] },
): readonly PlannedFault[] => {
  const possible = FAULT_KINDS.filter((kind) => !impossible.includes(kind));
  const anyStep = () => STEP_NAMES[Math.floor(random() * STEP_NAMES.length)] ?? '';
  const focus = anyStep();
  const during = (step: string) => ({
    when: { during: step, afterMs: Math.floor(random() ** 2 * 150) },
    statements: STEPS[step as keyof typeof STEPS] ?? SERVICE,
  });
  const moment = () => {
    const die = random();
    if (die < 0.4) return during(focus);
    if (die < 0.7 || withinMs === undefined) return during(anyStep());
    return {
      when: { atMs: Math.floor(random() * withinMs) },
      statements: random() < 0.4 ? SERVICE : (STEPS[anyStep() as keyof typeof STEPS] ?? SERVICE),
    };
  };
  return Array.from({ length: count }, () => ({
    kind: pickKind(random, possible),
    ...moment(),
    size: random(),
    choice: random(),
  }));
};
