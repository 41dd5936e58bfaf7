import { BacklogStuck, CopyYielded, type Source, STAGE_DEFINITIONS } from '@unified-kits/domain';
import type pg from 'pg';
import type { Binding } from '../catalog/bind-mapping.ts';
import type { Database, Session } from '../connection/database.ts';
import { hasSqlState, isRowFault, SQLSTATE } from '../connection/sqlstate.ts';
import { readStage } from '../stage/read-stage.ts';
import { holdOwners, noteKitsOf } from './changed-owners.ts';
import { enterDrain } from './drain-lock.ts';
import { followOwners } from './follow-owners.ts';
import { parkNumbers } from './park-numbers.ts';
import { type Direction, lockKeys, syncKeys } from './sync-keys.ts';
import { type KeysBySource, type Selection, takeKeys } from './take-keys.ts';

/** Measured best of 500 to 10,000; larger batches only hold their locks longer. */
const BATCH = 5_000;
/** While a mirror is on the rows' writers wait for the batch to end. */
const MIRRORED_BATCH = 500;
/**
 * How long the drain waits for a row that a client has locked: far less than `deadlock_timeout` (1 s),
 * after which the server would choose a victim, and it could be the client.
 */
const ROW_LOCK_TIMEOUT = { together: '300ms', isolated: '20ms' } as const;
/** Tries again of a batch that lost its locks; a chunk that does not end costs 5 s each. */
const TRIES = 2;
/** Taken keys leave dead rows that each further take must step over. */
const BATCHES_PER_VACUUM = 25;

/** Keys that a flip takes under its lock with room to spare (`maxBacklog`). */
const FEW = 50;
/** So many batches of few keys, one after the other, say that clients note as fast as this drains. */
const STEADY_BATCHES = 20;

export interface DrainProgress {
  /** Keys brought into step. */
  readonly synced: number;
  /** Keys that could not be, and wait in the backlog with their error. */
  readonly stuck: number;
  /** Whether nothing is left but stuck keys, and the few that clients note all the time. */
  readonly done: boolean;
}

const sizeOf = (keys: KeysBySource): number =>
  [...keys.values()].reduce((sum, list) => sum + list.length, 0);

const directionNow = async (
  session: Session,
): Promise<{ direction: Direction; mirrored: boolean } | undefined> => {
  const { stage } = await readStage(session);
  const { drains, legacyTables, kits } = STAGE_DEFINITIONS[stage];
  return drains === 'nothing'
    ? undefined
    : { direction: drains, mirrored: legacyTables === 'mirror' || kits === 'mirror' };
};

/**
 * Synchronises taken keys inside the caller's transaction, which must run as the engine's role and
 * hold the drain lock. The read comes in a later statement than the taking, so with a fresh snapshot.
 */
export const syncTaken = async (
  session: Session,
  binding: Binding,
  direction: Direction,
  keys: KeysBySource,
  lockRows: boolean,
): Promise<void> => {
  for (const [source, list] of keys) {
    const bound = binding.sources[source];
    if (direction === 'kits-to-legacy' && source === 'practitioner_kits')
      await followOwners(session, binding, list);
    if (lockRows) {
      const { present, absent } = await lockKeys(session, binding, bound, direction, list);
      await syncKeys(session, bound, direction, present, absent);
    } else await syncKeys(session, bound, direction, list, null);
  }
};

const faultOf = (error: pg.DatabaseError): string =>
  [error.code, error.constraint].filter(Boolean).join(' ');

/** A deadlock or a lost lock means that a client was there first, as it should be: again. */
const isYield = (error: unknown): error is pg.DatabaseError =>
  hasSqlState(
    error,
    SQLSTATE.deadlockDetected,
    SQLSTATE.lockNotAvailable,
    SQLSTATE.serializationFailure,
  );

/** A row that the other store will not have: by a constraint, or by an organisation's own trigger. */
const isRefused = (error: unknown): error is pg.DatabaseError =>
  isRowFault(error) || hasSqlState(error, SQLSTATE.raiseException);

/** Runs work under a savepoint; a fault of the data, or a row that a client holds, undoes it and is returned. */
const attempt = async (
  session: Session,
  work: () => Promise<void>,
): Promise<string | undefined> => {
  await session.query('savepoint attempt');
  try {
    await work();
    await session.query('release savepoint attempt');
    return undefined;
  } catch (error) {
    if (!isRefused(error) && !isYield(error)) throw error;
    await session.query('rollback to savepoint attempt; release savepoint attempt');
    return faultOf(error);
  }
};

/** Key by key, so that one bad row keeps nothing else back; what fails is noted again with its error. */
const isolate = async (
  session: Session,
  binding: Binding,
  direction: Direction,
  keys: KeysBySource,
  lockRows: boolean,
): Promise<number> => {
  const together = await attempt(session, async () => {
    for (const [source, list] of keys) {
      const bound = binding.sources[source];
      if (lockRows) await lockKeys(session, binding, bound, direction, list);
      await parkNumbers(session, binding, bound, direction, list);
    }
    await syncTaken(session, binding, direction, keys, lockRows);
  });
  if (together === undefined) return 0;
  let stuck = 0;
  for (const [source, list] of keys)
    for (const key of list) {
      const fault = await attempt(session, () =>
        syncTaken(
          session,
          binding,
          direction,
          new Map<Source, string[]>([[source, [key]]]),
          lockRows,
        ),
      );
      if (fault === undefined) continue;
      stuck += 1;
      await session.query(
        `insert into migration.pending_sync (source, legacy_id, cause, error) values ($1, $2, 'stuck', $3)`,
        [source, key, fault],
      );
    }
  return stuck;
};

/** One transaction's worth of the backlog. */
const drainOnce = (
  db: Database,
  binding: Binding,
  selection: Selection,
  mode: 'together' | 'isolated',
) =>
  db.transaction(
    { asEngine: true, lockTimeoutMs: 5_000, statementTimeoutMs: 60_000, synchronousCommit: false },
    async (session) => {
      await enterDrain(session);
      // A fault that came with the commit would name no key.
      await session.query('set constraints all immediate');
      const now = await directionNow(session);
      if (now === undefined) return { taken: 0, stuck: 0 };
      const { keys, practitioners } = await takeKeys(
        session,
        selection,
        now.mirrored ? MIRRORED_BATCH : BATCH,
      );
      const taken = sizeOf(keys) + practitioners.length;
      if (taken === 0) return { taken, stuck: 0 };
      await noteKitsOf(session, binding, now.direction, practitioners);
      if (now.mirrored && keys.has('practitioner_kits')) await holdOwners(session);
      // Clients write the rows that are locked here: those of a mirror, or of kits, whose owners are followed.
      if (now.mirrored || now.direction === 'kits-to-legacy')
        await session.query(`set local lock_timeout = '${ROW_LOCK_TIMEOUT[mode]}'`);
      if (mode === 'together') await syncTaken(session, binding, now.direction, keys, now.mirrored);
      return {
        taken,
        stuck:
          mode === 'isolated'
            ? await isolate(session, binding, now.direction, keys, now.mirrored)
            : 0,
      };
    },
  );

const step = async (db: Database, binding: Binding, selection: Selection) => {
  for (let tries = 0; ; tries += 1)
    try {
      return await drainOnce(
        db,
        binding,
        selection,
        selection === 'stuck' || tries > 0 ? 'isolated' : 'together',
      );
    } catch (error) {
      if (isRefused(error) && tries < TRIES) continue;
      if (!isYield(error)) throw error;
      if (tries >= TRIES)
        throw new CopyYielded(
          `the drain lost its locks ${tries + 1} times: look for a session of a dead worker that still holds a chunk open, or for another drain`,
          { cause: error },
        );
    }
};

/**
 * Drains the backlog in the direction of the stage that holds, until it is empty, only stuck keys are
 * left, or `deadline` (milliseconds of `Date.now()`) is near. Whatever wrote a key (capture, a failed
 * mirror, a parity mismatch), it ends here. Where clients write all the time it is never seen empty: it ends
 * when it stays as small as a flip takes.
 */
export const drain = async (
  db: Database,
  binding: Binding,
  deadline: number,
  onProgress: (synced: number) => void | Promise<void> = () => {},
): Promise<DrainProgress> => {
  let synced = 0;
  let steady = 0;
  for (let batches = 1; ; batches += 1) {
    if (Date.now() >= deadline) return { synced, stuck: 0, done: false };
    const { taken, stuck } = await step(db, binding, 'fresh');
    synced += taken - stuck;
    await onProgress(synced);
    steady = taken <= FEW ? steady + 1 : 0;
    if (taken === 0 || steady === STEADY_BATCHES) break;
    if (batches % BATCHES_PER_VACUUM === 0)
      await db.session((session) => session.query('vacuum migration.pending_sync'));
  }
  // A stuck key may have been freed by another one's turn: again for as long as that helps.
  for (let before = Number.POSITIVE_INFINITY; ; ) {
    const { taken, stuck } = await step(db, binding, 'stuck');
    synced += taken - stuck;
    if (stuck === 0 || stuck >= before) return { synced, stuck, done: true };
    before = stuck;
  }
};

/** What a key is noted with whose row a client held: nothing is wrong with it. */
const HELD: readonly string[] = [
  SQLSTATE.deadlockDetected,
  SQLSTATE.lockNotAvailable,
  SQLSTATE.serializationFailure,
];

/**
 * @throws {BacklogStuck} naming up to 20 keys and what stopped each.
 * @throws {CopyYielded} when clients held the rows of all of them: to be tried again.
 */
export const assertNotStuck = async (db: Database): Promise<void> => {
  const rows = await db.query<{
    source: string;
    legacy_id: string;
    error: string | null;
    total: number;
  }>(
    `select source, legacy_id, error, count(*) over ()::int as total from migration.pending_sync where error is not null order by error = any ($1::text[]) limit 20`,
    [HELD],
  );
  const [first] = rows;
  if (first === undefined) return;
  if (HELD.includes(first.error ?? ''))
    throw new CopyYielded(
      `clients hold the rows of ${first.total} keys: ${rows.map(({ source, legacy_id }) => `${source} ${legacy_id}`).join(', ')}. The drain tries them again.`,
    );
  throw new BacklogStuck(
    `${first.total} keys cannot be synchronised: ${rows.map(({ source, legacy_id, error }) => `${source} ${legacy_id} (${error})`).join(', ')}. Correct these rows in the authoritative store, then drain again.`,
  );
};
