import type { Binding } from '../catalog/bind-mapping.ts';
import type { Session } from '../connection/database.ts';
import { isOn, type StagedTable, stagedTables } from '../schema/stage-triggers.ts';
import { readStage } from '../stage/read-stage.ts';
import { readTriggers } from '../stage/read-triggers.ts';
import { type HealthFinding, orOk } from './finding.ts';

const CHECK = 'triggers';

/** Ours that are on and should not be, off and should be on, or of a name that this version does not know. */
const judgeTable = (
  table: StagedTable,
  present: ReadonlyMap<string, string>,
  stage: Parameters<typeof isOn>[2],
): HealthFinding[] => {
  const known = new Map(table.triggers.map((trigger) => [trigger.name, trigger]));
  const named = (which: readonly string[]) => `${table.relation}: ${which.join(', ')}`;
  const missing = table.triggers
    .filter((trigger) => isOn(table, trigger, stage) && present.get(trigger.name) !== 'A')
    .map(({ name }) => name);
  const on = [...present].filter(([, enabled]) => enabled !== 'D').map(([name]) => name);
  const leftover = on.filter((name) => {
    const trigger = known.get(name);
    return trigger === undefined || !isOn(table, trigger, stage);
  });
  return [
    ...(missing.length === 0
      ? []
      : [
          {
            check: CHECK,
            level: 'fault',
            message: `stage "${stage}" needs triggers that are off or gone on ${named(missing)}`,
            fix: 'writes may be lost to the other store: keep clients from writing, enable them (ENABLE ALWAYS), and run parity',
          } as const,
        ]),
    ...(leftover.length === 0
      ? []
      : [
          {
            check: CHECK,
            level: 'fault',
            message: `triggers are on which stage "${stage}" has no use for, on ${named(leftover)}`,
            fix: 'ALTER TABLE … DISABLE TRIGGER …, as the owner of the table',
          } as const,
        ]),
  ];
};

/** Triggers of the organisation's own that a flip has switched off and that no flip has restored. */
const suspended = async (session: Session, stage: string): Promise<HealthFinding[]> => {
  if (stage !== 'legacy' && stage !== 'copying' && stage !== 'mirrored') return [];
  const { rows } = await session.query(
    'select relation, name from migration.suspended_trigger order by 1, 2',
  );
  return rows.length === 0
    ? []
    : [
        {
          check: CHECK,
          level: 'fault',
          message: `triggers of your own are still off: ${rows.map(({ relation, name }) => `${name} on ${relation}`).join(', ')}`,
          fix: 'enable them as migration.suspended_trigger says (O: ENABLE, A: ENABLE ALWAYS, R: ENABLE REPLICA), then delete those rows',
        },
      ];
};

/** Whether the triggers that make a stage are those of the stage that is recorded. For an installed schema. */
export const checkTriggers = async (
  session: Session,
  binding: Binding,
): Promise<readonly HealthFinding[]> => {
  const { stage } = await readStage(session);
  const tables = stagedTables(binding);
  const present = await readTriggers(
    session,
    tables.map(({ relation }) => relation),
  );
  const findings = [
    ...tables.flatMap((table) =>
      judgeTable(table, present.get(table.relation) ?? new Map<string, string>(), stage),
    ),
    ...(await suspended(session, stage)),
  ];
  return orOk(CHECK, findings, `they are those of stage "${stage}"`);
};
