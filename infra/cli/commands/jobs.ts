import { Command } from 'commander';
import type { DeadLetter } from '../../../functions/phase5-queues/dead-letters.ts';
import { examples, limitOption, yesOption } from '../arguments.ts';
import { confirm } from '../confirm.ts';
import { answer, type Context, type Run } from '../context.ts';
import { UsageError } from '../errors.ts';
import { EXIT } from '../exit-codes.ts';
import { shortTime, table } from '../table.ts';

interface DeadLetters {
  readonly deadLetters: readonly DeadLetter[];
  readonly more: boolean;
}

/** Counts of the calls that one redrive took. */
interface Redriven {
  readonly done: boolean;
  readonly redriven: number;
  readonly failed: number;
  readonly missing: readonly string[];
}

interface RedriveAnswer extends Partial<Redriven> {
  readonly done: boolean;
}

const FUNCTION = 'phase5-queues';

const deadLetterLines = ({ deadLetters, more }: DeadLetters): string[] => {
  if (deadLetters.length === 0) return ['no dead letters'];
  const rows = deadLetters.map(({ messageId, jobId, type, reason, failedAt, detail }) => [
    messageId,
    reason,
    type ?? '-',
    failedAt === undefined ? '-' : shortTime(failedAt),
    [jobId, detail].filter(Boolean).join(': '),
  ]);
  return [
    ...table(['MESSAGE', 'REASON', 'TYPE', 'FAILED AT (UTC)', 'JOB: DETAIL'], rows),
    ...(more ? ['', 'and more: ask with a higher --limit'] : []),
    '',
    'next: mend the cause, then kits jobs redrive --reason <reason>',
  ];
};

const listDeadLetters = async (context: Context, limit: number): Promise<undefined> => {
  const listed = await context.remote.invoke<DeadLetters>(FUNCTION, {
    action: 'dead-letters',
    limit,
  });
  answer(context, listed, () => deadLetterLines(listed));
};

type Selection =
  | { readonly messageIds: readonly string[] }
  | { readonly reason: string }
  | { readonly all: true };

const selectionOf = (
  messageIds: readonly string[],
  { reason, all }: { reason?: string; all?: true },
): Selection => {
  const given: Selection[] = [
    ...(messageIds.length > 0 ? [{ messageIds }] : []),
    ...(reason === undefined ? [] : [{ reason }]),
    ...(all === true ? [{ all }] : []),
  ];
  const [only] = given;
  if (only === undefined || given.length > 1)
    throw new UsageError(
      'say which dead letters are put back: message ids, or --reason <reason>, or --all',
    );
  return only;
};

const described = (selection: Selection): string =>
  'messageIds' in selection
    ? `${selection.messageIds.length} dead letters`
    : 'reason' in selection
      ? `all dead letters of reason "${selection.reason}"`
      : 'all dead letters';

/** Again until all are moved: a call ends before its function's time does. */
const redriveAll = async ({ remote, actor }: Context, selection: Selection): Promise<Redriven> => {
  let sum = { redriven: 0, failed: 0 };
  for (;;) {
    const {
      done,
      redriven = 0,
      failed = 0,
      missing = [],
    } = await remote.invoke<RedriveAnswer>(FUNCTION, { action: 'redrive', actor, ...selection });
    sum = { redriven: sum.redriven + redriven, failed: sum.failed + failed };
    // A call that moves nothing would do so again.
    if (done || redriven === 0) return { done, ...sum, missing };
  }
};

const redrive = async (
  context: Context,
  selection: Selection,
  given: string | undefined,
): Promise<number | undefined> => {
  const { place } = context.remote;
  await confirm(context, {
    plan: [`Puts ${described(selection)} back on the queue of jobs, in ${place.description}.`],
    kind: 'environment',
    id: place.environment,
    given,
  });
  const result = await redriveAll(context, selection);
  const { redriven, failed, missing, done } = result;
  answer(context, result, () => [
    `put back: ${redriven}${failed === 0 ? '' : `, failed: ${failed}`}`,
    ...missing.map((id) => `not found among the dead letters: ${id}`),
    ...(done ? [] : ['not all could be moved: ask again']),
  ]);
  if (missing.length > 0 || failed > 0) return EXIT.failed;
  return done ? undefined : EXIT.tryAgain;
};

/** `kits jobs`: what the consumer of jobs has given up. */
export const jobsCommand = (run: Run): Command => {
  const jobs = new Command('jobs').description('jobs that nobody could work on');
  jobs
    .command('dlq')
    .description('lists the dead letters: ids and reasons, never content')
    .addOption(limitOption(1_000, 20))
    .addHelpText('after', examples('jobs dlq', 'jobs dlq --limit 100 --json'))
    .action(({ limit }: { limit: number }) => run((context) => listDeadLetters(context, limit)));
  jobs
    .command('redrive')
    .description('puts dead letters back on the queue, once their cause is gone')
    .argument('[messages...]', 'ids of messages, as dlq shows them')
    .option('--reason <reason>', 'all of one reason')
    .option('--all', 'all there are')
    .addOption(yesOption('environment'))
    .addHelpText(
      'after',
      examples('jobs redrive --reason unknown-kit', 'jobs redrive --all --yes prod'),
    )
    .action((messages: string[], given: { reason?: string; all?: true; yes?: string }) => {
      const selection = selectionOf(messages, given);
      return run((context) => redrive(context, selection, given.yes));
    });
  return jobs;
};
