import type { MigrationStanding } from '@unified-kits/data';
import type { Workflow } from '../workflows/load-workflow.ts';
import { answer, type Context } from './context.ts';
import { Refused } from './errors.ts';
import { waitFor } from './wait.ts';

/** Where the migration stands; undefined before the first analysis. */
export const readStanding = async ({ remote }: Context): Promise<MigrationStanding | undefined> =>
  (
    await remote.invoke<{ standing: MigrationStanding | null }>('operations', {
      action: 'status',
      events: 0,
    })
  ).standing ?? undefined;

/** @throws {Refused} while an execution of one of these workflows drives the migration. */
export const assertNoneRuns = async (
  { remote }: Context,
  workflows: readonly Workflow[],
): Promise<void> => {
  const found = (await remote.running()).find(({ workflow }) => workflows.includes(workflow));
  if (found !== undefined)
    throw new Refused(
      `a ${found.workflow} is running, in "${found.state}": watch it (kits status --watch), or take its batch over with --take-over`,
    );
};

/** Starts an execution; waits for its end where that is asked for. */
export const begin = async (
  context: Context,
  workflow: Workflow,
  input: Readonly<Record<string, unknown>>,
  wait: boolean,
): Promise<undefined> => {
  const executionArn = await context.remote.start(workflow, input);
  if (!wait) {
    answer(context, { executionArn }, () => [
      `started: ${executionArn}`,
      'next: kits status --watch',
    ]);
    return;
  }
  context.out.remark(`started: ${executionArn}`);
  const output = await waitFor(context, executionArn);
  answer(context, { executionArn, output }, () => [`done: ${workflow}`]);
};
