import { STAGE_DEFINITIONS } from '@unified-kits/domain';
import type { OperatorStatus } from './operator-status.ts';

/** The operator's cutover checklist, as RUNBOOK.md has it. */
export const CHECKLIST = [
  'Schema and flags',
  'Pause workers',
  'Guard on',
  'Migrate',
  'Validate',
  'Unified reads',
  'Unified writes',
  'Resume workers',
  'Monitor 24-48 h',
] as const;

export interface ChecklistStep {
  /** From 1. */
  readonly number: number;
  readonly title: (typeof CHECKLIST)[number];
  readonly state: 'done' | 'now' | 'open';
}

/** How many steps are behind us, by what holds and not by what was asked for. */
const stepsDone = ({ standing, flags, workers }: OperatorStatus): number => {
  if (standing === undefined) return 0;
  const { stage, parityExact, workersPaused, approved, schema, batch } = standing;
  const guard = flags?.migrationInProgress === true;
  if (stage === 'closed') return CHECKLIST.length;
  if (STAGE_DEFINITIONS[stage].writes === 'kits') {
    const resumed = !guard && !workersPaused && (workers?.mapping ?? 'Enabled') === 'Enabled';
    return resumed ? 8 : 7;
  }
  if (stage === 'mirrored') return flags?.unifiedReads === true ? 6 : parityExact ? 5 : 4;
  if (stage === 'copying') return 3;
  if (approved === null || !schema) return 0;
  const beginning = batch !== null && batch.endedAt === null && batch.kind === 'full';
  if (beginning && guard) return 3;
  return workersPaused ? 2 : 1;
};

/** Whether the next step is being taken, or waits for an operator. */
const isUnderWay = ({ standing, executions }: OperatorStatus): boolean =>
  executions.some(({ workflow }) => workflow === 'cutover') ||
  (standing !== undefined && standing.stage !== 'legacy' && standing.stage !== 'closed');

/** The checklist, ticked off as far as the migration has come. */
export const checklist = (status: OperatorStatus): readonly ChecklistStep[] => {
  const done = stepsDone(status);
  const now = isUnderWay(status) ? done + 1 : undefined;
  return CHECKLIST.map((title, index) => {
    const number = index + 1;
    return { number, title, state: number <= done ? 'done' : number === now ? 'now' : 'open' };
  });
};
