import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  assertNeighbour,
  BatchNotFound,
  FlipBlocked,
  FlipRefused,
  givesAuthorityToLegacy,
  STAGE_DEFINITIONS,
  type Stage,
  takesAuthorityFromLegacy,
} from '@unified-kits/domain';
import { clearBacklog } from '../backlog/clear-backlog.ts';
import { syncTaken } from '../backlog/drain.ts';
import { enterDrain } from '../backlog/drain-lock.ts';
import { takeKeys } from '../backlog/take-keys.ts';
import { recordEvent } from '../batch/record-event.ts';
import type { Binding } from '../catalog/bind-mapping.ts';
import { type Database, ENGINE_ROLE, type Session } from '../connection/database.ts';
import { hasSqlState, isRowFault, SQLSTATE } from '../connection/sqlstate.ts';
import { type StagedTable, stagedTables, switchStatements } from '../schema/stage-triggers.ts';
import { clearVacuum } from './clear-vacuum.ts';
import { setCurrentBatch } from './current-batch.ts';
import { describeBlocker, lockTables, readBlockers } from './lock-tables.ts';
import { assertPreconditions } from './preconditions.ts';
import { lockStage, readStage, type StageRow } from './read-stage.ts';
import { readTriggers } from './read-triggers.ts';
import { restoreTriggers, suspendTriggers } from './suspend-triggers.ts';

export interface FlipOptions {
  readonly to: Stage;
  readonly phase: string;
  readonly actor: string;
  /** The batch that begins; only for the flip to `copying`. */
  readonly batchId?: string | undefined;
  /** How long one try waits for its locks, and so the longest it holds writers in vain, in milliseconds. */
  readonly lockTimeoutMs?: number;
  readonly attempts?: number;
  /** How long to wait for a vacuum that cannot be cancelled, in milliseconds. */
  readonly vacuumWaitMs?: number;
  /** Most keys that may be left to drain under the lock: about 1 ms each. */
  readonly maxBacklog?: number;
  readonly random?: () => number;
}

export interface FlipResult {
  readonly from: Stage;
  readonly to: Stage;
  readonly epoch: number;
  /** From the first lock requested to the commit, in milliseconds: the longest that a writer waited. */
  readonly writersHeldMs: number;
  /** The longest that a try in vain held writers, in milliseconds. */
  readonly heldInVainMs: number;
  readonly attempts: number;
  /** Keys drained under the lock. */
  readonly drained: number;
}

/** The authoritative store first: the order in which a mirrored write takes its locks. */
const lockOrder = (tables: readonly StagedTable[], from: Stage): readonly string[] => {
  const kits = tables.filter((table) => table.role === 'kits');
  const others = tables.filter((table) => table.role !== 'kits');
  return (
    STAGE_DEFINITIONS[from].writes === 'kits' ? [...kits, ...others] : [...others, ...kits]
  ).map(({ relation }) => relation);
};

/** The owners' table is locked only by a flip that changes its triggers. */
const tablesOf = (binding: Binding, from: Stage, to: Stage): readonly StagedTable[] =>
  stagedTables(binding).filter(
    (table) =>
      table.role !== 'owners' ||
      [from, to].some((stage) => stage === 'legacy' || stage === 'copying'),
  );

/** A row that is written all the time is noted as often; taking a note is cheap, synchronising a key is not. */
const NOTES_PER_KEY = 25;

/** Under the lock: the last of the backlog. An empty one also proves that no duplicate has arrived. */
const drainLast = async (
  session: Session,
  binding: Binding,
  { stage }: StageRow,
  to: Stage,
  maxBacklog: number,
): Promise<number> => {
  const { drains } = STAGE_DEFINITIONS[stage];
  if (drains === 'nothing' || to === 'legacy' || to === 'closed') return 0;
  const { keys, practitioners } = await takeKeys(session, 'all', maxBacklog * NOTES_PER_KEY);
  const taken = [...keys.values()].reduce((sum, list) => sum + list.length, 0);
  if (taken + practitioners.length === 0) return 0;
  // How many kits they have nobody knows: the drain looks at them before the tables are locked.
  if (taken > maxBacklog || practitioners.length > 0)
    throw new FlipRefused(
      `no flip from "${stage}" to "${to}": more than ${maxBacklog} keys, or changed owners, wait in the backlog, which would hold writers too long. Drain it and try again.`,
    );
  await session.query(`set local role ${ENGINE_ROLE}`);
  // Nobody can write now, so the rows need no locks of their own.
  await syncTaken(session, binding, drains, keys, false);
  await session.query('set local role none');
  const { rows } = await session.query('select count(*)::int as n from migration.pending_sync');
  if (rows[0].n > 0)
    throw new FlipRefused(
      `no flip from "${stage}" to "${to}": ${rows[0].n} keys are still in the backlog. Drain it and try again.`,
    );
  return taken;
};

/**
 * A batch that was rolled back between its beginning and this flip must not be staged: nobody could end it.
 *
 * @throws {FlipRefused} naming it.
 */
const assertBeginnable = async (session: Session, batchId: string | null): Promise<void> => {
  const { rowCount } = await session.query(
    'select from migration.batch where id = $1 and ended_at is null for share',
    [batchId],
  );
  if (rowCount !== 1)
    throw new FlipRefused(
      `no flip from "legacy" to "copying": batch ${batchId} has ended meanwhile. Begin another.`,
    );
};

const flipOnce = async (
  session: Session,
  binding: Binding,
  options: Required<Pick<FlipOptions, 'maxBacklog'>> & FlipOptions,
  clock: { lockedAt: number | undefined },
) => {
  const current = await lockStage(session);
  const { to } = options;
  assertNeighbour(current.stage, to);
  await enterDrain(session);
  const tables = tablesOf(binding, current.stage, to);
  const relations = lockOrder(tables, current.stage);
  const begins = to === 'copying';
  const batchId = (begins ? options.batchId : current.batchId) ?? null;
  if (begins) await assertBeginnable(session, batchId);
  clock.lockedAt = performance.now();
  await lockTables(session, relations);
  const triggers = await readTriggers(session, relations);
  await assertPreconditions(session, binding, { ...current, batchId }, to, true);
  const drained = await drainLast(session, binding, current, to, options.maxBacklog);
  const statements = [...switchStatements(tables, triggers, to)];
  // What was noted before capture begins has no meaning; nearly all of it is gone already.
  if (current.stage === 'legacy') statements.push('delete from migration.pending_sync');
  if (statements.length > 0) await session.query(statements.join('; '));
  if (begins) {
    await session.query(`set local role ${ENGINE_ROLE}`);
    await setCurrentBatch(session, batchId);
    await session.query('set local role none');
  }
  if (takesAuthorityFromLegacy(current.stage, to)) await suspendTriggers(session, binding);
  if (givesAuthorityToLegacy(current.stage, to)) await restoreTriggers(session);
  const epoch = current.epoch + 1;
  await session.query(
    'update migration.stage set stage = $1, epoch = $2, batch_id = $3, actor = $4, since = clock_timestamp()',
    [to, epoch, batchId, options.actor],
  );
  await recordEvent(session, {
    phase: options.phase,
    action: 'flip',
    actor: options.actor,
    batchId: batchId ?? undefined,
    detail: {
      from: current.stage,
      to,
      epoch,
      drained,
      underLockMs: Math.round(performance.now() - clock.lockedAt),
    },
  });
  return { from: current.stage, epoch, drained };
};

/**
 * Moves from one stage to a neighbour in one transaction: locks, the last of the backlog, preconditions,
 * triggers, the record. All of it or nothing.
 *
 * Rejected: a control row that each write reads. Measured, a REPEATABLE READ writer whose snapshot is
 * older than the flip reads the old row and its write is lost; a trigger that is switched on stops it.
 *
 * @throws {IllegalTransition} when the stages are not neighbours.
 * @throws {FlipRefused} when a precondition does not hold.
 * @throws {FlipBlocked} when the locks cannot be had; names the sessions that hold them.
 */
export const flip = async (
  db: Database,
  binding: Binding,
  options: FlipOptions,
): Promise<FlipResult> => {
  const {
    attempts = 30,
    lockTimeoutMs = 100,
    vacuumWaitMs = 60_000,
    maxBacklog = 200,
    random = Math.random,
  } = options;
  const before = await db.transaction({ readOnly: true }, async (session) => {
    const current = await readStage(session);
    assertNeighbour(current.stage, options.to);
    if (current.stage === 'legacy' && options.batchId === undefined)
      throw new BatchNotFound('the flip to "copying" needs the batch that begins');
    await assertPreconditions(
      session,
      binding,
      { ...current, batchId: current.batchId ?? options.batchId ?? null },
      options.to,
      false,
    );
    return current;
  });
  const relations = lockOrder(tablesOf(binding, before.stage, options.to), before.stage);
  if (before.stage === 'legacy') await clearBacklog(db);
  let heldInVainMs = 0;
  let blockers: string[] = [];
  for (let attempt = 1; attempt <= attempts; attempt += 1) {
    await clearVacuum(db, relations, vacuumWaitMs);
    const clock: { lockedAt: number | undefined } = { lockedAt: undefined };
    const since = () => (clock.lockedAt === undefined ? 0 : performance.now() - clock.lockedAt);
    let result: Awaited<ReturnType<typeof flipOnce>> | undefined;
    try {
      result = await db.transaction({ lockTimeoutMs, statementTimeoutMs: 10_000 }, (session) =>
        flipOnce(session, binding, { ...options, maxBacklog }, clock),
      );
    } catch (error) {
      if (isRowFault(error))
        throw new FlipRefused(
          `no flip from "${before.stage}" to "${options.to}": a noted row cannot be synchronised (${[error.code, error.constraint].filter(Boolean).join(' ')}). Drain the backlog, which names the key.`,
          { cause: error },
        );
      if (!hasSqlState(error, SQLSTATE.lockNotAvailable, SQLSTATE.deadlockDetected)) throw error;
      heldInVainMs = Math.max(heldInVainMs, since());
      blockers = (
        await db.transaction({ readOnly: true }, (session) => readBlockers(session, relations))
      ).map(describeBlocker);
      // Full jitter, so that the next try does not meet the same moment of a regular load.
      await sleep(random() * Math.min(50 * 2 ** attempt, 1_000));
    }
    if (result === undefined) continue;
    const writersHeldMs = since();
    if (options.to === 'legacy') await clearBacklog(db);
    return { ...result, to: options.to, writersHeldMs, heldInVainMs, attempts: attempt };
  }
  throw new FlipBlocked(
    `no flip from "${before.stage}" to "${options.to}": the locks could not be had in ${attempts} tries of ${lockTimeoutMs} ms. ${blockers.length === 0 ? 'No session holds them now: try again.' : `In the way: ${blockers.join('; ')}. End these transactions, then try again.`}`,
  );
};
