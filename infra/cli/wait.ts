import type { Context } from './context.ts';
import { Interrupted, RemoteError } from './errors.ts';
import { causeOf } from './remote.ts';
import { watchStatus } from './view/watch-status.ts';

/**
 * Waits for an execution while showing where the migration is.
 *
 * @returns its output.
 * @throws {RemoteError} by the name of the error that ended it.
 * @throws {Interrupted} when the operator does not wait any longer: the execution goes on.
 */
export const waitFor = async (context: Context, executionArn: string): Promise<unknown> => {
  const outcome = await watchStatus(context, async () => {
    const seen = await context.remote.outcomeOf(executionArn);
    return seen.status === 'RUNNING' ? undefined : seen;
  });
  if (outcome === undefined)
    throw new Interrupted('the execution goes on by itself: kits status --watch shows it');
  if (outcome.status !== 'SUCCEEDED')
    throw new RemoteError(
      outcome.error ?? `execution ${outcome.status}`,
      `${causeOf(outcome.cause)} (${executionArn})`,
    );
  return outcome.output;
};
