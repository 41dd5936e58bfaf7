import { otherStore, type Stage, type Store } from '@unified-kits/domain';
import { current, lookAgain, mayLockRow, mayWriteTable, seen, write } from './postgres.ts';
import {
  type Actor,
  actorAt,
  bit,
  has,
  KEYS,
  type Key,
  NO_ROW,
  rowOf,
  type State,
  type Step,
  storeBit,
  withActor,
} from './state.ts';

/**
 * What `upsertFunction` (layers/data/src/schema/sync-functions.ts) does, statement by statement: the rows of
 * `upsert` in the store that does not lead are brought up to the store `actor.store`, those of `gone` are
 * deleted where they are gone. Each statement is a look, its snapshot, and a write, which locks the rows.
 * The mirror, which has written the rows itself, and the drain both run it.
 */
export interface SyncOptions {
  /** Some of `upsert` may be gone: the function's null for `$2`. */
  readonly goneUnknown: boolean;
  /** All rows are new: the function's `$3`. */
  readonly fresh: boolean;
  /** The snapshot of the first look is that of all. Only in a defect. */
  readonly keepSnapshot: boolean;
  /** A row of `kits` takes the batch that the snapshot shows. Only in a defect. */
  readonly batchOfSnapshot: boolean;
  /** After the last statement. */
  end(state: State): State;
  /** A row that a REPEATABLE READ transaction was to write has changed since: 40001. */
  fail(state: State): State;
}

/** A step of a synchronisation, and which of its statements it is. */
const SYNC_STEPS: Readonly<Partial<Record<Step, string>>> = {
  'delete-look': 'looks for rows to delete',
  'delete-write': 'deletes',
  'update-look': 'looks for rows to update',
  'update-write': 'updates',
  'lost-look': 'looks for rows that have gone',
  'lost-write': 'deletes what has gone',
  'insert-look': 'looks for rows to insert',
  'insert-write': 'inserts',
};

/** The steps of a synchronisation by name, each after whose it is. */
export const namedSteps = (whose: string): Readonly<Partial<Record<Step, string>>> =>
  Object.fromEntries(Object.entries(SYNC_STEPS).map(([step, name]) => [step, whose + name]));

/** The first statement that has something to do. */
export const firstStatement = ({ upsert, gone }: Actor, fresh: boolean): Step =>
  gone !== 0 ? 'delete-look' : upsert === 0 ? 'sync' : fresh ? 'insert-look' : 'update-look';

const keysWhere = (keys: number, holds: (key: Key) => boolean): number => {
  let found = 0;
  for (const key of KEYS) if (has(keys, key) && holds(key)) found |= bit(key);
  return found;
};

const present = (actor: Actor, store: Store, key: Key): boolean =>
  seen(actor, rowOf(store, key)) !== NO_ROW;

/** Which rows each statement's snapshot gives it to write. */
const rowsOf = (actor: Actor, step: Step, options: SyncOptions): number => {
  const [origin, target] = [actor.store, otherStore(actor.store)];
  const inOrigin = (key: Key) => present(actor, origin, key);
  const inTarget = (key: Key) => present(actor, target, key);
  switch (step) {
    case 'delete-look':
    case 'delete-write':
      return keysWhere(actor.gone, (key) => inTarget(key) && !inOrigin(key));
    case 'update-look':
    case 'update-write':
      return keysWhere(actor.upsert, (key) => inTarget(key) && inOrigin(key));
    case 'lost-look':
    case 'lost-write':
      return keysWhere(actor.upsert, (key) => inTarget(key) && !inOrigin(key));
    default:
      return keysWhere(actor.upsert, (key) => inOrigin(key) && (options.fresh || !inTarget(key)));
  }
};

/** The statement after one, or undefined after the last. */
const following = (actor: Actor, step: Step, options: SyncOptions): Step | undefined => {
  switch (step) {
    case 'delete-look':
    case 'delete-write':
      if (actor.upsert === 0) return undefined;
      return options.fresh ? 'insert-look' : 'update-look';
    case 'update-look':
    case 'update-write':
      if (actor.updated === actor.upsert) return undefined;
      return options.goneUnknown ? 'lost-look' : 'insert-look';
    case 'lost-look':
    case 'lost-write':
      return 'insert-look';
    default:
      return undefined;
  }
};

const goOn = (state: State, index: number, step: Step, options: SyncOptions): State => {
  const actor = actorAt(state, index);
  const next = following(actor, step, options);
  const keep = actor.repeatableRead || options.keepSnapshot;
  const snapshot = keep ? actor.snapshot : undefined;
  if (next !== undefined) return withActor(state, index, { snapshot, step: next });
  return options.end(withActor(state, index, { snapshot, upsert: 0, gone: 0, updated: 0 }));
};

const WRITE_AFTER: Readonly<Partial<Record<Step, Step>>> = {
  'delete-look': 'delete-write',
  'update-look': 'update-write',
  'lost-look': 'lost-write',
  'insert-look': 'insert-write',
};

/** What a row becomes of a statement, `undefined` where it leaves it alone. */
const effect = (state: State, actor: Actor, step: Step, key: Key, stage: Stage | undefined) => {
  const target = otherStore(actor.store);
  const there = current(state, actor, rowOf(target, key)) !== NO_ROW;
  const content = seen(actor, rowOf(actor.store, key));
  switch (step) {
    case 'delete-write':
    case 'lost-write':
      return there ? write(actor, target, key, NO_ROW) : actor;
    case 'update-write':
      // READ COMMITTED: the row as it is by now takes what the origin's row was in the snapshot.
      return there
        ? { ...write(actor, target, key, content), updated: actor.updated | bit(key) }
        : actor;
    default: {
      const written = write(actor, target, key, content);
      const orphan = !there && target === 'kits' && stage === 'legacy';
      return orphan ? { ...written, orphans: written.orphans | bit(key) } : written;
    }
  }
};

/** A row that others have written since the transaction's snapshot; one that is gone again is in nobody's way. */
const unserializable = (state: State, actor: Actor, step: Step, key: Key): boolean => {
  const row = rowOf(otherStore(actor.store), key);
  if (!actor.repeatableRead || actor.wrote[row] !== 0 || !has(actor.changed, row)) return false;
  return step !== 'insert-write' || state.contents[row] !== NO_ROW;
};

/** The next step of a synchronisation; undefined while it must wait for a lock. */
export const syncStep = (state: State, index: number, options: SyncOptions): State | undefined => {
  const actor = actorAt(state, index);
  const { step } = actor;
  const target = otherStore(actor.store);
  if (!mayWriteTable(state, index, target)) return undefined;
  const writing = WRITE_AFTER[step];
  if (writing !== undefined) {
    const keep = actor.repeatableRead || (options.keepSnapshot && actor.snapshot !== undefined);
    const snapshot = keep ? actor.snapshot : lookAgain(state, actor);
    const rowExclusive = actor.rowExclusive | storeBit(target);
    const looking = { ...actor, snapshot, rowExclusive };
    const next = withActor(state, index, { ...looking, step: writing });
    return rowsOf(looking, step, options) === 0 ? goOn(next, index, step, options) : next;
  }
  const rows = rowsOf(actor, step, options);
  let written = actor;
  for (const key of KEYS) {
    if (!has(rows, key)) continue;
    if (!mayLockRow(state, index, rowOf(target, key))) return undefined;
    if (unserializable(state, actor, step, key)) return options.fail(state);
    const stage = options.batchOfSnapshot && actor.repeatableRead ? actor.snapshotStage : undefined;
    written = effect(state, written, step, key, stage);
  }
  return goOn(withActor(state, index, written), index, step, options);
};
