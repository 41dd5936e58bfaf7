import { writeFile } from 'node:fs/promises';
import type { Report } from '@unified-kits/data';
import type { RunReport } from '@unified-kits/domain';
import { Argument, Command } from 'commander';
import { showReport } from '../../local/cli/show-report.ts';
import { examples, uuid, yesOption } from '../arguments.ts';
import { confirm } from '../confirm.ts';
import { answer, type Context, type Run } from '../context.ts';
import { Refused, RemoteError } from '../errors.ts';
import { EXIT } from '../exit-codes.ts';
import { shortTime } from '../table.ts';
import { waitFor } from '../wait.ts';

/** A report as it comes over the wire. */
type ToldReport = Omit<Report, 'createdAt' | 'approvedAt'> & {
  readonly createdAt: string;
  readonly approvedAt: string | null;
};

const fetchReport = async (
  { remote }: Context,
  reportId: string | undefined,
): Promise<ToldReport> =>
  (await remote.invoke<{ report: ToldReport }>('operations', { action: 'report', reportId }))
    .report;

const signOff = ({ id, digest, analysis, approvedAt, approvedBy }: ToldReport): string[] => {
  if (approvedAt !== null)
    return [
      `approved by ${approvedBy} at ${shortTime(approvedAt)} UTC`,
      `next: kits cutover ${id}`,
    ];
  return analysis.verdict === 'GO'
    ? [`digest ${digest}`, 'not approved yet', `next: read it, then kits approve ${id}`]
    : ['next: correct what it names, then kits analyse'];
};

const foundLines = ({ out }: Context, report: ToldReport): string[] => {
  const lines: string[] = [];
  showReport(
    {
      line: (text = '') => lines.push(text),
      good: (text) => out.style('green', text),
      bad: (text) => out.style('red', text),
      dim: (text) => out.style('dim', text),
    },
    report,
  );
  return lines;
};

const showOne = (context: Context, report: ToldReport): number | undefined => {
  answer(context, report, () => [...foundLines(context, report), ...signOff(report)]);
  return report.analysis.verdict === 'GO' ? undefined : EXIT.refused;
};

const analyse = async (context: Context): Promise<number | undefined> => {
  const { remote, actor } = context;
  const arn = await remote.start('cutover', { mode: 'analyse', actor });
  try {
    await waitFor(context, arn);
  } catch (error) {
    // A NO-GO is an answer: the report says why.
    if (!(error instanceof RemoteError) || error.name !== 'NoGo') throw error;
  }
  return showOne(context, await fetchReport(context, undefined));
};

/** `kits analyse`: phase 0, which writes nothing of the organisation's. */
export const analyseCommand = (run: Run): Command =>
  new Command('analyse')
    .description('proves the data safe to migrate, and shows the report (exit code 3: NO-GO)')
    .addHelpText('after', examples('analyse', 'analyse --json'))
    .action(() => run(analyse));

const saveHtml = async (
  context: Context,
  runId: string | undefined,
  path: string,
): Promise<undefined> => {
  const { renderRunReport } = await import('@unified-kits/domain');
  const report = await context.remote.invoke<RunReport>('reports', { action: 'read', runId });
  await writeFile(path, renderRunReport(report), { mode: 0o600 });
  answer(context, { runId: report.id, state: report.state, file: path }, () => [
    `report of run ${report.id} (${report.state}) in ${path}`,
  ]);
};

const idArgument = (description: string) => new Argument('[id]', description).argParser(uuid);

/** `kits report`: what an analysis found, or a whole run as a page. */
export const reportCommand = (run: Run): Command =>
  new Command('report')
    .description('the report of an analysis (exit code 3: NO-GO), or with --html of a whole run')
    .addArgument(idArgument('of a report, or with --html also of a batch (default: the newest)'))
    .option('--html <file>', 'write the whole run as one page that needs nothing else')
    .addHelpText('after', examples('report', 'report --json', 'report --html run.html'))
    .action((id: string | undefined, { html }: { html?: string }) =>
      run(async (context) =>
        html === undefined
          ? showOne(context, await fetchReport(context, id))
          : saveHtml(context, id, html),
      ),
    );

interface ApproveOptions {
  readonly digest?: string;
  readonly yes?: string;
}

const approve = async (
  context: Context,
  id: string,
  { digest, yes }: ApproveOptions,
): Promise<undefined> => {
  const { remote, actor } = context;
  const report = await fetchReport(context, id);
  if (digest !== undefined && digest !== report.digest)
    throw new Refused(
      `report ${id} has digest ${report.digest}, not the one given: read this report (kits report ${id}), then approve the digest it shows`,
    );
  if (digest === undefined)
    await confirm(context, {
      plan: [
        ...foundLines(context, report),
        `digest ${report.digest}`,
        '',
        `Approves this report as "${actor}", in ${remote.place.description}.`,
      ],
      kind: 'report',
      id,
      given: yes,
    });
  const approved = await remote.invoke<object>('phase0-analysis', {
    action: 'approve',
    reportId: id,
    digest: report.digest,
    actor,
  });
  answer(context, approved, () => [`approved: ${report.digest}`, `next: kits cutover ${id}`]);
};

/** `kits approve`: the sign-off. */
export const approveCommand = (run: Run): Command =>
  new Command('approve')
    .description('signs a report off: binds you to mapping, schema and findings as it shows them')
    .addArgument(new Argument('<report>', 'its id').argParser(uuid))
    .option('--digest <digest>', 'that you have read: approves without asking')
    .addOption(yesOption('report'))
    .addHelpText('after', examples('approve 0b9f…', 'approve 0b9f… --digest 5d41…'))
    .action((id: string, given: ApproveOptions) => run((context) => approve(context, id, given)));
