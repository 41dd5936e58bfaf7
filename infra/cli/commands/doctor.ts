import type { HealthFinding, MigrationStanding } from '@unified-kits/data';
import { STAGE_DEFINITIONS } from '@unified-kits/domain';
import { Command } from 'commander';
import type { Workers } from '../../../functions/phase5-queues/workers.ts';
import { examples } from '../arguments.ts';
import { answer, type Context, type Run } from '../context.ts';
import { knownError } from '../describe-error.ts';
import { readStanding } from '../executions.ts';
import { EXIT } from '../exit-codes.ts';
import type { Output } from '../output.ts';

/** What the way to a part of the system is like: one that does not answer is a finding, too. */
const attempt = async (
  check: string,
  fix: string,
  look: () => Promise<readonly HealthFinding[]>,
): Promise<readonly HealthFinding[]> => {
  try {
    return await look();
  } catch (error) {
    const { name, message } = knownError(error);
    return [{ check, level: 'fault', message: `${name}: ${message}`, fix }];
  }
};

/** Whether workers who rest do so for a migration. */
const judgeWorkers = (
  { mapping, messagesWaiting, messagesInFlight }: Workers,
  standing: MigrationStanding | undefined,
): HealthFinding => {
  const counts = `${messagesWaiting} jobs wait, ${messagesInFlight} are in flight`;
  const migrating =
    standing !== undefined &&
    standing.batch?.endedAt === null &&
    STAGE_DEFINITIONS[standing.stage].writes === 'legacy';
  if (mapping === 'Enabled' || mapping === 'Enabling' || migrating)
    return { check: 'workers', level: 'ok', message: `the mapping is ${mapping}; ${counts}` };
  return {
    check: 'workers',
    level: 'warning',
    message: `the mapping is ${mapping} and no migration needs that; ${counts}`,
    fix: 'kits resume, unless you want them paused',
  };
};

const checkWorkers = ({ remote }: Context, standing: MigrationStanding | undefined) =>
  attempt('workers', 'look at the log of phase5-queues', async () => {
    const { workers } = await remote.invoke<{ workers?: Workers }>('phase5-queues', {
      action: 'state',
    });
    return workers === undefined
      ? [{ check: 'workers', level: 'note', message: 'no queue is fed to workers here' }]
      : [judgeWorkers(workers, standing)];
  });

const checkWorkflows = ({ remote }: Context) =>
  attempt('workflows', 'deploy both state machines', async () => {
    const running = await remote.running();
    const what = running.map(({ workflow, state }) => `${workflow} in "${state}"`).join(', ');
    return [{ check: 'workflows', level: 'ok', message: what || 'none is running' }];
  });

const checkParameters = ({ remote }: Context) =>
  attempt('parameters', 'check your permission to read the parameters', async () => {
    await (await remote.flags()).read();
    return [{ check: 'parameters', level: 'ok', message: 'the flags can be read from here' }];
  });

const MARKS: Readonly<
  Record<HealthFinding['level'], readonly [string, Parameters<Output['style']>[0]]>
> = {
  ok: ['ok     ', 'green'],
  note: ['note   ', 'dim'],
  warning: ['warning', 'yellow'],
  fault: ['FAULT  ', 'red'],
};

const findingLines = (
  { style }: Output,
  { check, level, message, fix }: HealthFinding,
): string[] => {
  const [mark, format] = MARKS[level];
  return [
    `${style(format, mark)}  ${check}: ${message}`,
    ...(fix === undefined ? [] : [`         fix: ${fix}`]),
  ];
};

const doctor = async (context: Context): Promise<number | undefined> => {
  const { remote, out } = context;
  const [database, workflows, parameters, standing] = await Promise.all([
    attempt(
      'database',
      'is the database up, and does the function reach it? Its log has the reason',
      async () =>
        (await remote.invoke<{ findings: HealthFinding[] }>('operations', { action: 'doctor' }))
          .findings,
    ),
    checkWorkflows(context),
    checkParameters(context),
    readStanding(context).catch(() => undefined),
  ]);
  const findings = [
    ...database,
    ...parameters,
    ...workflows,
    ...(await checkWorkers(context, standing)),
  ];
  const of = (level: HealthFinding['level']) =>
    findings.filter((one) => one.level === level).length;
  const faults = of('fault');
  answer(context, { healthy: faults === 0, findings }, () => [
    ...findings.flatMap((finding) => findingLines(out, finding)),
    '',
    `${faults} faults, ${of('warning')} warnings, in ${remote.place.description}`,
  ]);
  return faults > 0 ? EXIT.failed : undefined;
};

/** `kits doctor`: what is wrong, and what to do about it. */
export const doctorCommand = (run: Run): Command =>
  new Command('doctor')
    .description('checks all that the migration rests on (exit code 1: something is wrong)')
    .addHelpText('after', examples('doctor', 'doctor --json'))
    .action(() => run(doctor));
