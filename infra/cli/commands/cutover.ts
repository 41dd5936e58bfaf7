import type { MigrationStanding } from '@unified-kits/data';
import { Argument, Command, Option } from 'commander';
import { examples, uuid, whole, yesOption } from '../arguments.ts';
import { confirm } from '../confirm.ts';
import type { Context, Run } from '../context.ts';
import { Refused } from '../errors.ts';
import { assertNoneRuns, begin, readStanding } from '../executions.ts';
import { duration } from '../view/words.ts';

interface CutoverOptions {
  readonly until: string;
  readonly flags: string;
  readonly lanes: number;
  readonly dualWrite: boolean;
  readonly monitorSeconds: number;
  readonly monitorChecks: number;
  readonly takeOver?: true;
  readonly wait?: true;
  readonly yes?: string;
}

/** What a cutover rests on: the batch that it goes on with, or an approved report. */
interface Basis {
  readonly kind: 'batch' | 'report';
  readonly id: string;
}

interface Approval {
  readonly id: string;
  readonly approvedAt: string | null;
}

/** @throws {Refused} when no report is approved, or not the one that is named. */
const approvedReport = async (
  { remote }: Context,
  standing: MigrationStanding,
  reportId: string | undefined,
): Promise<Approval> => {
  const report =
    reportId === undefined
      ? (standing.approved ?? standing.report)
      : (await remote.invoke<{ report: Approval }>('operations', { action: 'report', reportId }))
          .report;
  if (report === null) throw new Refused('there is no report: kits analyse, then kits approve');
  if (report.approvedAt === null)
    throw new Refused(
      `report ${report.id} is not approved: read it (kits report ${report.id}), then kits approve ${report.id}`,
    );
  return report;
};

/** @throws {Refused} when there is nothing to cut over, or nothing to rest it on. */
const basisOf = async (context: Context, reportId: string | undefined): Promise<Basis> => {
  const standing = await readStanding(context);
  if (standing === undefined)
    throw new Refused('no analysis has been made yet: kits analyse, then kits approve');
  const { batch, stage } = standing;
  if (batch !== null && batch.endedAt === null && batch.kind === 'full')
    return { kind: 'batch', id: batch.id };
  if (stage === 'closed')
    throw new Refused('the migration is closed: there is nothing left to cut over');
  return { kind: 'report', id: (await approvedReport(context, standing, reportId)).id };
};

const planOf = (
  { remote, actor }: Context,
  { kind, id }: Basis,
  given: CutoverOptions,
): string[] => [
  kind === 'report'
    ? `Cuts over on report ${id}, as "${actor}", in ${remote.place.description}:`
    : `Goes on with the cutover of batch ${id}, as "${actor}", in ${remote.place.description}:`,
  '  checks the data again, rehearses, pauses the workers, puts the guard on,',
  `  copies both tables in ${given.lanes} lanes while clients go on writing, compares every row,`,
  given.flags === 'auto'
    ? '  switches reads, then writes, to kits, and lets the workers go on.'
    : '  and then waits for you to set each flag.',
  given.until === 'closed'
    ? `It monitors for ${duration(given.monitorSeconds * given.monitorChecks)}${given.dualWrite ? ' in dual-write and again in unified' : ''}, then closes.`
    : `It stops in stage "${given.until}".`,
];

const cutover = async (
  context: Context,
  reportId: string | undefined,
  given: CutoverOptions,
): Promise<undefined> => {
  if (given.takeOver !== true) await assertNoneRuns(context, ['cutover', 'rollback']);
  const basis = await basisOf(context, reportId);
  await confirm(context, { plan: planOf(context, basis, given), ...basis, given: given.yes });
  const { actor } = context;
  const { flags, lanes, dualWrite, until, monitorSeconds: seconds, monitorChecks: checks } = given;
  const rests = basis.kind === 'batch' ? { batchId: basis.id } : { reportId: basis.id };
  const input = { actor, flags, lanes, dualWrite, until, monitor: { seconds, checks }, ...rests };
  return begin(context, 'cutover', input, given.wait === true);
};

/** `kits cutover`: phases 1 to 7, or what is left of them. */
export const cutoverCommand = (run: Run): Command =>
  new Command('cutover')
    .description('migrates: begins on an approved report, or goes on with the active batch')
    .addArgument(
      new Argument('[report]', 'its id (default: the newest approved one)').argParser(uuid),
    )
    .addOption(
      new Option('--until <stage>', 'the stage to stop at')
        .choices(['mirrored', 'dual-write', 'unified', 'closed'])
        .default('closed'),
    )
    .addOption(
      new Option('--flags <who>', 'who sets the flags: the workflow, or you')
        .choices(['auto', 'manual'])
        .default('auto'),
    )
    .addOption(
      new Option('--lanes <n>', 'of the copy and the comparison')
        .argParser(whole(1, 16))
        .default(2),
    )
    .option('--no-dual-write', 'without the dual-write window')
    .addOption(
      new Option('--monitor-seconds <n>', 'between two checks of a monitoring window')
        .argParser(whole(1, 86_400))
        .default(300),
    )
    .addOption(
      new Option('--monitor-checks <n>', 'of a monitoring window')
        .argParser(whole(1, 1_000))
        .default(288),
    )
    .option('--take-over', 'although another execution is running: that one then ends')
    .option('--wait', 'until it has ended')
    .addOption(yesOption('report, or the batch that is gone on with'))
    .addHelpText(
      'after',
      examples('cutover', 'cutover 0b9f… --until dual-write --wait', 'cutover --yes 0b9f… --json'),
    )
    .action((report: string | undefined, given: CutoverOptions) =>
      run((context) => cutover(context, report, given)),
    );
