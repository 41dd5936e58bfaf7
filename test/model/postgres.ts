import type { Store } from '@unified-kits/domain';
import {
  type Actor,
  actorAt,
  bit,
  type Content,
  type Contents,
  has,
  KEYS,
  type Key,
  NO_ROW,
  NO_TRANSACTION,
  put,
  ROWS,
  type Row,
  rowOf,
  type State,
  storeBit,
  withActor,
} from './state.ts';

/**
 * As much of Postgres as the protocol rests on. Uncommitted work is its actor's alone until one step, the
 * commit, shows all of it to everybody; locks are held until the transaction ends.
 *
 * Steps are as few as can be told apart. Taking a lock changes nothing for others but that they wait, so it
 * may as well be taken in the step that needs it; and the last write of a transaction may as well come with
 * its commit, for nobody sees it before, and whatever could change it is locked out. What must be a step of
 * its own is each look: between a statement's snapshot and its write others commit.
 */

const conflictsOf = (state: State, index: number, conflict: (other: Actor) => boolean): boolean => {
  for (let at = 0; at < state.actors.length; at += 1)
    if (at !== index && conflict(actorAt(state, at))) return true;
  return false;
};

/** Whether others let an actor write a table: nobody holds SHARE ROW EXCLUSIVE. */
export const mayWriteTable = (state: State, index: number, store: Store): boolean =>
  !conflictsOf(
    state,
    index,
    ({ shareRowExclusive }) => (shareRowExclusive & storeBit(store)) !== 0,
  );

/** Whether an actor may lock every table in SHARE ROW EXCLUSIVE: nobody writes any, or holds any so. */
export const maySealTables = (state: State, index: number): boolean =>
  !conflictsOf(state, index, (other) => (other.rowExclusive | other.shareRowExclusive) !== 0);

/** Whether others let an actor lock a row against change (FOR SHARE): nobody is changing it. */
export const mayShareRow = (state: State, index: number, row: Row): boolean =>
  !conflictsOf(state, index, ({ locked }) => has(locked, row));

/** Whether others let an actor write or lock a row: nobody has locked it, not even against change. */
export const mayLockRow = (state: State, index: number, row: Row): boolean =>
  !conflictsOf(state, index, ({ locked, shared }) => has(locked | shared, row));

/** Whether an advisory lock is free for a mode, given the modes that it may stand beside. */
export const mayEnter = (state: State, index: number, beside: readonly number[]): boolean =>
  !conflictsOf(state, index, ({ advisory }) => advisory !== 0 && !beside.includes(advisory));

/** Whether the row of the stage may be locked so, where `beside` is the mode that it may stand beside. */
export const mayLockStage = (state: State, index: number, beside: number): boolean =>
  !conflictsOf(state, index, ({ stageLock }) => stageLock !== 0 && stageLock !== beside);

/** Keys in the backlog as every snapshot shows them: what a drain has taken is there until it commits. */
export const backlog = (state: State): number =>
  state.actors.reduce((keys, { taken }) => keys | taken, state.noted);

const own = ({ wrote }: Actor, row: Row): Content | undefined =>
  wrote[row] === 0 ? undefined : wrote[row] - 1;

/** What a new statement of an actor sees: its own writes, and what its snapshot shows of others. */
export const visible = (state: State, actor: Actor, row: Row): Content =>
  own(actor, row) ??
  (actor.repeatableRead && actor.snapshot !== undefined ? actor.snapshot : state.contents)[row];

/** What the statement under way sees. */
export const seen = (actor: Actor, row: Row): Content => {
  const { snapshot } = actor;
  if (snapshot === undefined) throw new TypeError('no statement is under way');
  return own(actor, row) ?? snapshot[row];
};

/** What a row is now: an actor's own, else as it is committed. */
export const current = (state: State, actor: Actor, row: Row): Content =>
  own(actor, row) ?? state.contents[row];

/** A snapshot of everything that is committed, and of the actor's own. */
export const lookAgain = (state: State, actor: Actor): Contents => [
  visible(state, actor, 0),
  visible(state, actor, 1),
  visible(state, actor, 2),
  visible(state, actor, 3),
];

/** Writes a row, which the caller has found free. */
export const write = (actor: Actor, store: Store, key: Key, content: Content): Actor => {
  const row = rowOf(store, key);
  return {
    ...actor,
    wrote: put(actor.wrote, row, content + 1),
    locked: actor.locked | bit(row),
    rowExclusive: actor.rowExclusive | storeBit(store),
  };
};

const orphansAfter = (state: State, actor: Actor, contents: Contents): number => {
  let { orphans } = state;
  for (const key of KEYS) {
    const row = rowOf('kits', key);
    const [was, is] = [state.contents[row] !== NO_ROW, contents[row] !== NO_ROW];
    if (was && is) continue;
    orphans &= ~bit(key);
    if (is && has(actor.orphans, key)) orphans |= bit(key);
  }
  return orphans;
};

/** Ends a transaction: what it wrote and noted is everybody's, what it took is gone. */
export const commit = (state: State, index: number, after: Partial<Actor>): State => {
  const actor = actorAt(state, index);
  let { contents } = state;
  let written = 0;
  for (const row of ROWS) {
    const content = own(actor, row);
    if (content === undefined) continue;
    contents = put(contents, row, content);
    written |= bit(row);
  }
  const actors = state.actors.map((other, at) => {
    if (at === index) return { ...other, ...NO_TRANSACTION, ...after };
    const stale = other.repeatableRead && other.snapshot !== undefined && written !== 0;
    return stale ? { ...other, changed: other.changed | written } : other;
  });
  return {
    ...state,
    contents,
    orphans: orphansAfter(state, actor, contents),
    noted: state.noted | actor.notes,
    actors,
  };
};

/** Ends a transaction as if it had never been. */
export const abort = (state: State, index: number, after: Partial<Actor>): State => {
  const { taken } = actorAt(state, index);
  return withActor({ ...state, noted: state.noted | taken }, index, {
    ...NO_TRANSACTION,
    ...after,
  });
};
