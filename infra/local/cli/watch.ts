import { setTimeout as sleep } from 'node:timers/promises';
import { GetExecutionHistoryCommand, type SFNClient } from '@aws-sdk/client-sfn';
import {
  activeBatch,
  type Database,
  readBacklog,
  readProgress,
  readStage,
} from '@unified-kits/data';
import type { WriterCounters } from '../writers/start-writers.ts';
import { count } from './numbers.ts';
import type { Screen } from './screen.ts';

const EVERY_MS = 500;
/** Weight of the newest measurement in the rate shown. */
const FRESH = 0.3;

const stateOf = async (sfn: SFNClient, executionArn: string): Promise<string> => {
  const { events } = await sfn.send(
    new GetExecutionHistoryCommand({ executionArn, reverseOrder: true, maxResults: 25 }),
  );
  for (const { stateEnteredEventDetails } of events ?? [])
    if (stateEnteredEventDetails?.name !== undefined) return stateEnteredEventDetails.name;
  return 'starting';
};

const observe = (db: Database) =>
  db.transaction({ readOnly: true, statementTimeoutMs: 5_000 }, async (session) => {
    const { stage } = await readStage(session);
    const { noted } = await readBacklog(session);
    const batch = await activeBatch(session);
    const copy = batch === undefined ? undefined : await readProgress(session, batch.id);
    return { stage, noted, copy, copied: batch?.copiedAt != null };
  });

/** Shows where an execution is, twice a second, until it is told to stop. */
export const watch = (
  screen: Screen,
  db: Database,
  sfn: SFNClient,
  executionArn: string,
  counters: Readonly<WriterCounters> | undefined,
): { stop(): Promise<void> } => {
  const controller = new AbortController();
  const began = performance.now();
  let before: { copied: number; at: number } | undefined;
  let rate: number | undefined;

  const copyText = (copied: number, expected: number): string => {
    const at = performance.now();
    if (before !== undefined && copied > before.copied) {
      const now = (copied - before.copied) / ((at - before.at) / 1000);
      rate = rate === undefined ? now : rate + FRESH * (now - rate);
    }
    before = { copied, at };
    const eta =
      rate === undefined || rate <= 0 ? '' : `  ETA ${Math.ceil((expected - copied) / rate)} s`;
    return `  ${Math.floor((100 * copied) / Math.max(expected, 1))} %${rate === undefined ? '' : `  ${count(rate)} rows/s`}${eta}`;
  };

  const show = async () => {
    const state = await stateOf(sfn, executionArn);
    const { stage, noted, copy, copied } = await observe(db);
    const copying = stage === 'copying' && copy !== undefined && copy.ranges > 0 && !copied;
    const text = [
      `${((performance.now() - began) / 1000).toFixed(1).padStart(6)} s`,
      ` ${stage.padEnd(10)} ${state}`,
      copying ? copyText(copy.copied, copy.expected) : '',
      noted > 0 ? `  backlog ${count(noted)}` : '',
      counters === undefined || counters.requests === 0
        ? ''
        : `  requests ${count(counters.requests)}${counters.errors > 0 ? `, ${count(counters.errors)} errors` : ''}`,
    ].join('');
    screen.status(`${stage} ${state}`, text);
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
