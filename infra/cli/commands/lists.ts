import type { BatchSummary, LoggedEvent } from '@unified-kits/data';
import { Command, Option } from 'commander';
import { examples, limitOption, uuid, whole } from '../arguments.ts';
import { answer, type Context, type Run } from '../context.ts';
import { shortTime, table } from '../table.ts';
import { count } from '../view/words.ts';

const FUNCTION = 'operations';

const batchLines = (batches: readonly BatchSummary[]): string[] =>
  batches.length === 0
    ? ['no batch has begun yet']
    : table(
        ['BATCH', 'KIND', 'STATE', 'STARTED (UTC)', 'ROWS', 'BY'],
        batches.map(({ id, kind, outcome, startedAt, rowsCopied, actor }) => [
          id,
          kind,
          outcome ?? 'active',
          shortTime(startedAt),
          count(rowsCopied),
          actor,
        ]),
      );

/** `kits batches`: the runs of the migration. */
export const batchesCommand = (run: Run): Command =>
  new Command('batches')
    .description('the batches, the newest first')
    .addOption(limitOption(1_000, 20))
    .addHelpText('after', examples('batches', 'batches --limit 3 --json'))
    .action(({ limit }: { limit: number }) =>
      run(async (context) => {
        const listed = await context.remote.invoke<{ batches: readonly BatchSummary[] }>(FUNCTION, {
          action: 'batches',
          limit,
        });
        answer(context, listed, () => batchLines(listed.batches));
        return undefined;
      }),
    );

/** What an event says besides its name, in one line: ids, counters and keys. ARNs of executions are left to JSON. */
const detailText = (detail: LoggedEvent['detail']): string =>
  Object.entries(detail)
    .filter(([name, value]) => value !== null && name !== 'execution')
    .map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join(' ');

const eventLines = (events: readonly LoggedEvent[]): string[] =>
  events.length === 0
    ? ['no events']
    : table(
        ['ID', 'AT (UTC)', 'PHASE', 'ACTION', 'BY', 'DETAIL'],
        events
          .toReversed()
          .map(({ id, at, phase, action, actor, detail }) => [
            String(id),
            shortTime(at),
            phase,
            action,
            actor,
            detailText(detail),
          ]),
      );

interface EventOptions {
  readonly limit: number;
  readonly batch?: string;
  readonly before?: number;
  readonly all?: true;
}

const listEvents = async (
  context: Context,
  { limit, batch: batchId, before, all }: EventOptions,
): Promise<undefined> => {
  const listed = await context.remote.invoke<{ events: readonly LoggedEvent[] }>(FUNCTION, {
    action: 'events',
    limit,
    batchId,
    before,
    notable: all !== true,
  });
  answer(context, listed, () => eventLines(listed.events));
};

/** `kits events`: the audit log. */
export const eventsCommand = (run: Run): Command =>
  new Command('events')
    .description('the audit log: the newest events, the newest last (as JSON, first)')
    .addOption(limitOption(1_000, 30))
    .addOption(new Option('--batch <id>', 'of one batch').argParser(uuid))
    .addOption(
      new Option('--before <id>', 'those before an event: the page before').argParser(
        whole(1, Number.MAX_SAFE_INTEGER),
      ),
    )
    .option('--all', 'those too that only keep count of time and progress')
    .addHelpText('after', examples('events', 'events --limit 200 --json', 'events --before 4711'))
    .action((given: EventOptions) => run((context) => listEvents(context, given)));
