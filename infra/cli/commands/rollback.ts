import type { MigrationStanding } from '@unified-kits/data';
import type { Stage } from '@unified-kits/domain';
import { Argument, Command, Option } from 'commander';
import { examples, uuid, whole, yesOption } from '../arguments.ts';
import { confirm } from '../confirm.ts';
import type { Context, Run } from '../context.ts';
import { Refused } from '../errors.ts';
import { assertNoneRuns, begin, readStanding } from '../executions.ts';
import { count } from '../view/words.ts';

interface RollbackOptions {
  readonly lanes: number;
  readonly takeOver?: true;
  readonly wait?: true;
  readonly yes?: string;
}

/** What the way back begins with, by the stage that it begins in. */
const FIRST: Readonly<Record<Stage, string>> = {
  legacy: 'the legacy tables are authoritative already;',
  copying: 'the legacy tables are authoritative still: capture is switched off;',
  mirrored: 'the legacy tables are authoritative still: the mirror is switched off;',
  'dual-write':
    'every row of both stores is compared, then authority goes back to the legacy tables;',
  unified:
    'keys that changed are brought into the legacy tables, every row is compared, then authority goes back to them;',
  closed:
    'the batch is reopened, every row is compared and brought into the legacy tables, then authority goes back to them;',
};

/** @throws {Refused} when this is no batch that can be rolled back. */
const assertRollable = (standing: MigrationStanding | undefined, batchId: string): Stage => {
  const batch = standing?.batch ?? null;
  if (standing === undefined || batch === null)
    throw new Refused('no batch has begun: there is nothing to roll back');
  if (batch.id !== batchId)
    throw new Refused(
      `the batch that can be rolled back is ${batch.id}, not ${batchId}: kits batches lists them`,
    );
  if (batch.outcome === 'rolled-back') throw new Refused(`batch ${batchId} is rolled back already`);
  return standing.stage;
};

const rollback = async (
  context: Context,
  batchId: string,
  { lanes, takeOver, wait, yes }: RollbackOptions,
): Promise<undefined> => {
  const { remote, actor } = context;
  // One that runs is taken over: the way back leads from wherever the cutover stands.
  if (takeOver !== true) await assertNoneRuns(context, ['rollback']);
  const standing = await readStanding(context);
  const stage = assertRollable(standing, batchId);
  await confirm(context, {
    plan: [
      `Rolls batch ${batchId} back from stage "${stage}", as "${actor}", in ${remote.place.description}:`,
      `  ${FIRST[stage]}`,
      `  then its ${count(standing?.batch?.rowsCopied ?? 0)} copied rows, and those made since, are deleted from kits, and the rest is proved.`,
      'No acknowledged write is lost.',
    ],
    kind: 'batch',
    id: batchId,
    given: yes,
  });
  return begin(context, 'rollback', { actor, batchId, lanes }, wait === true);
};

/** `kits rollback`: all the way back, from any stage. */
export const rollbackCommand = (run: Run): Command =>
  new Command('rollback')
    .description('leads back to the legacy tables from any stage, and deletes the batch from kits')
    .addArgument(new Argument('<batch>', 'its id, as kits status shows it').argParser(uuid))
    .addOption(new Option('--lanes <n>', 'of the comparison').argParser(whole(1, 16)).default(2))
    .option('--take-over', 'although another rollback is running: that one then ends')
    .option('--wait', 'until it has ended')
    .addOption(yesOption('batch'))
    .addHelpText('after', examples('rollback 77c0…', 'rollback 77c0… --wait --yes 77c0…'))
    .action((batch: string, given: RollbackOptions) =>
      run((context) => rollback(context, batch, given)),
    );
