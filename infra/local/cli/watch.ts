import { setTimeout as sleep } from 'node:timers/promises';
import { GetExecutionHistoryCommand } from '@aws-sdk/client-sfn';
import { type Database, type MigrationStanding, readStanding } from '@unified-kits/data';
import type { Workers } from '../../../functions/phase5-queues/workers.ts';
import { copyRate, copyTotal } from '../../cli/view/copy-rate.ts';
import type { OperatorStatus } from '../../cli/view/operator-status.ts';
import { renderStatus } from '../../cli/view/render-status.ts';
import type { Workflow } from '../../workflows/load-workflow.ts';
import type { System } from '../system.ts';
import type { WriterCounters } from '../writers/start-writers.ts';
import { count } from './numbers.ts';
import type { Screen } from './screen.ts';

const EVERY_MS = 500;
const EVENTS = 4;

/** What is watched, and what is known of it. */
export interface Watched {
  readonly screen: Screen;
  readonly db: Database;
  readonly system: System;
  readonly workflow: Workflow;
  readonly executionArn: string;
  readonly counters: Readonly<WriterCounters> | undefined;
}

const stateOf = async ({ system: { sfn }, executionArn }: Watched): Promise<string> => {
  const { events } = await sfn.send(
    new GetExecutionHistoryCommand({ executionArn, reverseOrder: true, maxResults: 25 }),
  );
  for (const { stateEnteredEventDetails } of events ?? [])
    if (stateEnteredEventDetails?.name !== undefined) return stateEnteredEventDetails.name;
  return 'starting';
};

const requestsText = ({ counters }: Watched): string =>
  counters === undefined || counters.requests === 0
    ? ''
    : `requests ${count(counters.requests)}${counters.errors > 0 ? `, ${count(counters.errors)} errors` : ''}`;

const copyText = (standing: MigrationStanding, rate: number | undefined): string => {
  const { copied, expected } = copyTotal(standing);
  const copying =
    standing.stage === 'copying' && standing.copy.length > 0 && standing.batch?.copiedAt === null;
  if (!copying) return '';
  const eta =
    rate === undefined || rate <= 0 ? '' : `  ETA ${Math.ceil((expected - copied) / rate)} s`;
  return `  ${Math.floor((100 * copied) / Math.max(expected, 1))} %${rate === undefined ? '' : `  ${count(rate)} rows/s`}${eta}`;
};

/** Where everything is, in one line. */
const plainText = (
  watched: Watched,
  standing: MigrationStanding,
  { state, rate, seconds }: { state: string; rate: number | undefined; seconds: number },
): string => {
  const { noted } = standing.backlog;
  const requests = requestsText(watched);
  return [
    `${seconds.toFixed(1).padStart(6)} s`,
    ` ${standing.stage.padEnd(10)} ${state}`,
    copyText(standing, rate),
    noted > 0 ? `  backlog ${count(noted)}` : '',
    requests === '' ? '' : `  ${requests}`,
  ].join('');
};

const readWorkers = async ({ service, invoke }: System): Promise<Workers | undefined> => {
  if (service === undefined) return undefined;
  return ((await invoke('phase5-queues', { action: 'state' })) as { workers?: Workers }).workers;
};

const pictureOf = async (
  { system, workflow, executionArn }: Watched,
  standing: MigrationStanding,
  state: string,
  startedAt: string,
): Promise<OperatorStatus> => ({
  environment: 'npm start',
  standing,
  flags: await system.flags.read(),
  executions: [{ arn: executionArn, workflow, status: 'RUNNING', startedAt, state }],
  workers: await readWorkers(system),
});

/** Shows where an execution is, twice a second, until it is told to stop. */
export const watch = (watched: Watched): { stop(): Promise<void> } => {
  const { screen, db } = watched;
  const controller = new AbortController();
  const began = Date.now();
  const startedAt = new Date().toISOString();
  const follow = copyRate();

  const show = async () => {
    const state = await stateOf(watched);
    const standing = await readStanding(db, screen.terminal ? EVENTS : 0);
    if (standing === undefined) return;
    const rate = follow(standing);
    if (screen.terminal) {
      const { width, style } = screen;
      const status = await pictureOf(watched, standing, state, startedAt);
      const requests = requestsText(watched);
      const lines = renderStatus(status, { width, style, rate });
      screen.draw(requests === '' ? lines : [...lines, '', `Clients  ${requests}`]);
      return;
    }
    const seconds = (Date.now() - began) / 1000;
    screen.status(
      `${standing.stage} ${state}`,
      plainText(watched, standing, { state, rate, seconds }),
    );
  };

  const loop = (async () => {
    while (!controller.signal.aborted) {
      // What is shown is a courtesy: the work does not depend on it, and its end is told elsewhere.
      await show().catch(() => undefined);
      await sleep(EVERY_MS, undefined, { signal: controller.signal }).catch(() => undefined);
    }
  })();
  return {
    async stop() {
      controller.abort();
      await loop;
    },
  };
};
