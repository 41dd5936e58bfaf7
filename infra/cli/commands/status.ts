import { setTimeout as sleep } from 'node:timers/promises';
import { FLAG_NAMES, FLAG_PARAMETERS, type Flags, formatFlag } from '@unified-kits/domain';
import { Command } from 'commander';
import { examples } from '../arguments.ts';
import { answer, type Context, type Run } from '../context.ts';
import { checklist } from '../view/checklist.ts';
import { averageRate } from '../view/copy-rate.ts';
import { type OperatorStatus, readStatus } from '../view/operator-status.ts';
import { renderStatus } from '../view/render-status.ts';
import { watchStatus } from '../view/watch-status.ts';

const EVENTS = 8;
/** Between two JSON values of `--watch`, in milliseconds. */
const JSON_EVERY_MS = 2_000;

/** The flags by the names and texts of their parameters. */
export const flagTexts = (flags: Flags): Record<string, string> =>
  Object.fromEntries(
    FLAG_NAMES.map((name) => [FLAG_PARAMETERS[name].parameter, formatFlag(name, flags[name])]),
  );

const toJson = (status: OperatorStatus) => ({
  environment: status.environment,
  standing: status.standing ?? null,
  rowsPerSecond: (status.standing === undefined ? undefined : averageRate(status.standing)) ?? null,
  flags: status.flags === undefined ? null : flagTexts(status.flags),
  checklist: checklist(status),
  executions: status.executions,
  workers: status.workers ?? null,
});

const once = async (context: Context): Promise<undefined> => {
  const { out, remote } = context;
  const status = await readStatus(remote, EVENTS);
  answer(context, toJson(status), () =>
    renderStatus(status, { width: out.width, style: out.style }),
  );
};

/** One JSON value a line, until it is interrupted. */
const watchAsJson = async ({ out, remote, interrupted }: Context): Promise<undefined> => {
  while (!interrupted.aborted) {
    out.line(JSON.stringify(toJson(await readStatus(remote, EVENTS))));
    await sleep(JSON_EVERY_MS, undefined, { signal: interrupted }).catch(() => undefined);
  }
};

const watch = async (context: Context): Promise<undefined> => {
  if (context.json) return watchAsJson(context);
  await watchStatus(context, async () => undefined);
};

/** `kits status`: where the migration stands. */
export const statusCommand = (run: Run): Command =>
  new Command('status')
    .description('where the migration stands: checklist, stage, flags, backlog, jobs, events')
    .option('-w, --watch', 'keep it up to date until Ctrl-C (plain lines without a terminal)')
    .addHelpText('after', examples('status', 'status --watch', 'status --json'))
    .action((given: { watch?: true }) => run(given.watch === true ? watch : once));
