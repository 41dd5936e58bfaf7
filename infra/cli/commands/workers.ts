import { Command } from 'commander';
import { examples } from '../arguments.ts';
import { answer, type Context, type Run } from '../context.ts';
import { NotYet } from '../errors.ts';

/** What `phase5-queues` answers to both. */
interface WorkersAnswer {
  readonly done: boolean;
  readonly configured: boolean;
  readonly mapping?: string;
  readonly messagesInFlight?: number;
  readonly messagesWaiting?: number;
  readonly invocations?: number;
}

const FUNCTION = 'phase5-queues';
const NOBODY = 'no queue is fed to workers here: there is nobody to pause or resume';

/** Again until they are at rest; each call waits as long as its function may. */
const pause = async (context: Context): Promise<undefined> => {
  const { remote, actor, interrupted } = context;
  for (;;) {
    const state = await remote.invoke<WorkersAnswer>(FUNCTION, { action: 'pause-workers', actor });
    if (!state.done && !interrupted.aborted) {
      context.out.remark(
        `the mapping is ${state.mapping}; ${state.messagesInFlight} messages are in flight, ${state.invocations} invocations at work`,
      );
      continue;
    }
    if (!state.done)
      throw new NotYet('the mapping is disabled, and workers are still at work: ask again');
    answer(context, state, () =>
      state.configured
        ? [
            `paused: the mapping is ${state.mapping}, nothing is in flight, ${state.messagesWaiting} jobs wait`,
            'next: kits resume lets them go on; a migration leaves this pause as it is',
          ]
        : [NOBODY],
    );
    return undefined;
  }
};

const resume = async (context: Context): Promise<undefined> => {
  const { remote, actor } = context;
  const state = await remote.invoke<WorkersAnswer>(FUNCTION, { action: 'resume-workers', actor });
  answer(context, state, () => [
    state.configured ? `resumed: the mapping is ${state.mapping}` : NOBODY,
  ]);
};

/** `kits pause`: no job is begun any more, and those begun are done. */
export const pauseCommand = (run: Run): Command =>
  new Command('pause')
    .description('pauses the workers of jobs, and waits until they are at rest')
    .addHelpText('after', examples('pause'))
    .action(() => run(pause));

/** `kits resume`: the workers go on, whoever paused them. */
export const resumeCommand = (run: Run): Command =>
  new Command('resume')
    .description('lets the workers of jobs go on, whoever paused them')
    .addHelpText('after', examples('resume'))
    .action(() => run(resume));
