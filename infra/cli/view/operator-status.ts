import type { MigrationStanding } from '@unified-kits/data';
import type { Flags } from '@unified-kits/domain';
import type { Workers } from '../../../functions/phase5-queues/workers.ts';
import type { Execution, Remote } from '../remote.ts';

/** All that an operator wants to see at a glance. */
export interface OperatorStatus {
  readonly environment: string;
  /** Undefined before the first analysis. */
  readonly standing: MigrationStanding | undefined;
  /** Undefined when they cannot be read. */
  readonly flags: Flags | undefined;
  readonly executions: readonly Execution[];
  /** Undefined where no queue is fed to a consumer. */
  readonly workers: Workers | undefined;
}

interface QueuesState {
  readonly workers?: Workers;
}

/** What is not answered is left out of the picture: the rest is worth seeing all the same. */
const unlessFailing = async <Value>(work: Promise<Value>): Promise<Value | undefined> => {
  try {
    return await work;
  } catch (error) {
    if (error instanceof Error) return undefined;
    throw error;
  }
};

/** Looks once, with so many of the last events. */
export const readStatus = async (remote: Remote, events: number): Promise<OperatorStatus> => {
  const [{ standing }, flags, executions, queues] = await Promise.all([
    remote.invoke<{ standing: MigrationStanding | null }>('operations', {
      action: 'status',
      events,
    }),
    unlessFailing(remote.flags().then((store) => store.read())),
    remote.running(),
    unlessFailing(remote.invoke<QueuesState>('phase5-queues', { action: 'state' })),
  ]);
  return {
    environment: remote.place.environment,
    standing: standing ?? undefined,
    flags,
    executions,
    workers: queues?.workers,
  };
};
