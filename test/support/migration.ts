import {
  type Binding,
  beginBatch,
  beginParity,
  copyLane,
  type Database,
  drain,
  finishCopy,
  finishParity,
  flip,
  parityLane,
  planCopy,
} from '@unified-kits/data';
import type { Stage } from '@unified-kits/domain';

const far = () => Date.now() + 60_000;
const actor = 'test';

/** Begins a batch and turns capture on. */
export const begin = async (db: Database, binding: Binding): Promise<string> => {
  const { id } = await db.transaction({ asEngine: true }, (session) =>
    beginBatch(session, binding, { kind: 'full', reportId: null, actor, phase: 'test' }),
  );
  await flip(db, binding, { to: 'copying', batchId: id, phase: 'test', actor });
  return id;
};

/** The whole copy, in one lane. */
export const copyAll = async (db: Database, binding: Binding, batchId: string): Promise<void> => {
  await planCopy(db, binding, batchId, actor);
  await copyLane(db, binding, {
    batchId,
    deadline: far(),
    rowsPerSecond: async () => undefined,
    unwell: async () => undefined,
  });
  await finishCopy(db, binding, batchId, actor);
};

/** One parity run over everything. */
export const parity = async (db: Database, binding: Binding) => {
  const runId = await beginParity(db, binding, { phase: 'test', actor });
  await parityLane(db, binding, runId, far());
  return finishParity(db, runId, { phase: 'test', actor });
};

/** From stage `legacy` to the stage named, each step as the workflow takes it. */
export const migrateTo = async (
  db: Database,
  binding: Binding,
  to: Exclude<Stage, 'legacy'>,
): Promise<string> => {
  const batchId = await begin(db, binding);
  if (to === 'copying') return batchId;
  await copyAll(db, binding, batchId);
  await drain(db, binding, far());
  await flip(db, binding, { to: 'mirrored', phase: 'test', actor });
  if (to === 'mirrored') return batchId;
  await parity(db, binding);
  for (const stage of ['dual-write', 'unified', 'closed'] as const) {
    await flip(db, binding, { to: stage, phase: 'test', actor });
    if (stage === to) break;
  }
  return batchId;
};
