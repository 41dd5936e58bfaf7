import { type HealthFinding, type MigrationStanding, orOk } from '@unified-kits/data';
import { FLAG_PARAMETERS, type Flags, formatFlag } from '@unified-kits/domain';
import { judgeWish } from '../runtime/judge-wish.ts';

const CHECK = 'flags';
const STORE_FLAGS = ['unifiedReads', 'unifiedWrites', 'dualWrite'] as const;

const wanted = (flags: Pick<Flags, (typeof STORE_FLAGS)[number]>): string =>
  STORE_FLAGS.map(
    (flag) => `${FLAG_PARAMETERS[flag].parameter}=${formatFlag(flag, flags[flag])}`,
  ).join(' ');

const judgeStage = (flags: Flags, standing: MigrationStanding): HealthFinding[] => {
  const { stage, parityExact, backlog } = standing;
  const verdict = judgeWish(flags, { stage, parityExact, failedKeys: backlog.failed });
  switch (verdict.kind) {
    case 'holds':
      return [];
    case 'step':
      return [
        {
          check: CHECK,
          level: 'warning',
          message: `the flags ask for another stage than "${stage}", by way of "${verdict.to}"`,
          fix: 'flag-changed leads there within a minute; if it does not, its log and the event log say why',
        },
      ];
    case 'put-back':
      return [
        {
          check: CHECK,
          level: 'fault',
          message: `the flags ask for what cannot be: ${verdict.reason}`,
          fix: `kits flags set ${wanted(verdict.flags)}; flag-changed would have put them back within a minute: look at its log`,
        },
      ];
  }
};

const judgeGuard = (
  flags: Flags,
  { stage, batch }: Pick<MigrationStanding, 'stage' | 'batch'>,
): HealthFinding[] => {
  const active = batch !== null && batch.endedAt === null;
  if (flags.migrationInProgress && !active)
    return [
      {
        check: CHECK,
        level: 'warning',
        message: 'the guard is on, and no batch is active: jobs wait for a migration that is none',
        fix: 'unless a cutover is just beginning: kits flags set MIGRATION_IN_PROGRESS=false',
      },
    ];
  if (flags.copyRowsPerSecond === 0 && active && stage === 'copying')
    return [
      {
        check: CHECK,
        level: 'warning',
        message: 'copy-rows-per-second is 0: the copy is paused',
        fix: 'kits flags set copy-rows-per-second=unlimited',
      },
    ];
  return [];
};

/** What flags and stage say of each other. @param standing undefined before phase 0 has run */
export const checkFlags = (
  flags: Flags,
  standing: MigrationStanding | undefined,
): readonly HealthFinding[] => {
  const stage = standing?.stage ?? 'legacy';
  const findings = [
    ...(standing === undefined ? [] : judgeStage(flags, standing)),
    ...judgeGuard(flags, { stage, batch: standing?.batch ?? null }),
  ];
  return orOk(CHECK, findings, `they are those of stage "${stage}"`);
};

/** Keys that wait to be brought into step, and those that cannot be. */
export const checkBacklog = ({ backlog }: MigrationStanding): readonly HealthFinding[] =>
  orOk(
    'backlog',
    backlog.failed === 0
      ? []
      : [
          {
            check: 'backlog',
            level: 'fault',
            message: `${backlog.failed} keys could not be brought into step; the oldest waits for ${Math.round(backlog.oldestSeconds)} s`,
            fix: 'RUNBOOK.md, "BacklogStuck": correct these rows in the authoritative store; the next drain takes them',
          },
        ],
    `${backlog.noted} keys wait`,
  );
