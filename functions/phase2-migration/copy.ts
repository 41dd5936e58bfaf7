import {
  assertNotStuck,
  copyLane,
  drain,
  finishCopy,
  noteProgress,
  readBatch,
  watchHealth,
} from '@unified-kits/data';
import { DatabaseUnwell } from '@unified-kits/domain';
import { enterPhase } from '../runtime/batch-of-run.ts';
import { bound } from '../runtime/bound.ts';
import { flipTo } from '../runtime/flip-stage.ts';
import type { Call } from '../runtime/phase-handler.ts';
import type { Run } from '../runtime/run.ts';
import { copyPace } from './copy-pace.ts';

const guarded = { guarded: true };

/** How often a lane asks whether a look for the report is due, in milliseconds. */
const LOOK_MS = 500;

/** Notes for the report how far the copy is and how much waits: at the beginning, now and then, at the end. */
const watchProgress = ({ db, phase }: Call, batchId: string, actor: string) => {
  let asked = 0;
  const look = async (always: boolean) => {
    asked = Date.now();
    await db.transaction({ asEngine: true, synchronousCommit: false }, (session) =>
      noteProgress(session, { batchId, phase, actor, always }),
    );
  };
  return {
    note: () => look(true),
    nowAndThen: async () => {
      if (Date.now() >= asked + LOOK_MS) await look(false);
    },
  };
};

/** One lane of the copy, until nothing is left or the deadline is near. */
export const copy = async (run: Run, batchId: string, call: Call) => {
  const { db, flags, deadline } = call;
  const { stage } = await enterPhase(call, run.execution, batchId, guarded);
  if (stage !== 'copying') return { done: true, rows: 0, waitedMs: 0 };
  const health = watchHealth();
  const pace = copyPace(call, batchId);
  const progress = watchProgress(call, batchId, run.actor);
  await progress.note();
  const lane = await copyLane(db, await bound(call), {
    batchId,
    deadline,
    rowsPerSecond: async () => {
      await pace.tellNowAndThen();
      await progress.nowAndThen();
      const { copyRowsPerSecond, migrationInProgress } = await flags.cached();
      // What is cached may be older than this batch: the guard itself, read anew, ends the copy or not.
      if (!migrationInProgress) await enterPhase(call, run.execution, batchId, guarded);
      return copyRowsPerSecond === undefined ? undefined : copyRowsPerSecond / run.lanes;
    },
    unwell: () => db.transaction({ readOnly: true }, health),
    onProgress: pace.copied,
  });
  await pace.tell();
  await progress.note();
  // A pause that the operator wished for goes on; one that the database needs is the workflow's to time.
  if (!lane.done && lane.rows === 0 && lane.waitedFor?.startsWith('copy-rows') === false)
    throw new DatabaseUnwell(`the copy of batch ${batchId} waits: ${lane.waitedFor}`);
  return { done: lane.done, rows: lane.rows, waitedMs: Math.round(lane.waitedMs) };
};

/** Indexes, statistics and a vacuum; once. */
export const finish = async (run: Run, batchId: string, call: Call) => {
  const { stage } = await enterPhase(call, run.execution, batchId, guarded);
  const batch = await call.db.transaction({ asEngine: true, readOnly: true }, (session) =>
    readBatch(session, batchId),
  );
  if (stage === 'copying' && batch.copiedAt === null)
    await finishCopy(call.db, await bound(call), batchId, run.actor);
  return { finished: true };
};

/**
 * The backlog, in the direction of the stage that holds.
 *
 * @throws {BacklogStuck} naming the keys that cannot be brought into step.
 */
export const drainBacklog = async (run: Run, batchId: string, call: Call) => {
  const { stage } = await enterPhase(call, run.execution, batchId, guarded);
  const progress = watchProgress(call, batchId, run.actor);
  await progress.note();
  const { synced, stuck, done } = await drain(
    call.db,
    await bound(call),
    call.deadline,
    progress.nowAndThen,
  );
  await progress.note();
  if (done && stuck > 0) await assertNotStuck(call.db);
  return { done, synced, stage };
};

/** From capture to mirror, after a last drain. */
export const mirror = async (run: Run, batchId: string, call: Call) => {
  const { db, phase, deadline } = call;
  const { stage } = await enterPhase(call, run.execution, batchId, guarded);
  if (stage !== 'copying' && stage !== 'legacy') return { done: true, stage };
  const flipped = await flipTo(db, await bound(call), {
    to: 'mirrored',
    phase,
    actor: run.actor,
    deadline,
  });
  return flipped === 'unfinished' ? { done: false, stage } : { done: true, stage: 'mirrored' };
};
