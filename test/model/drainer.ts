import { otherStore, STAGE_DEFINITIONS } from '@unified-kits/domain';
import { abort, commit, lookAgain, mayEnter, mayLockRow, mayShareRow, seen } from './postgres.ts';
import type { Scenario } from './scenario.ts';
import type { Move } from './search.ts';
import {
  type Actor,
  ALL_KEYS,
  ALONE,
  AMONG_DRAINS,
  actorAt,
  bit,
  CHUNK,
  has,
  KEYS,
  NO_ROW,
  NOT_HELD,
  rowOf,
  type State,
  withActor,
} from './state.ts';
import { firstStatement, namedSteps, type SyncOptions, syncStep } from './sync.ts';

/** `enterDrain` (layers/data/src/backlog/drain-lock.ts): the mode, and the modes that it stands beside. */
const lockMode = ({ defect }: Scenario): { mode: number; beside: readonly number[] } => {
  switch (defect) {
    case 'drain without its lock':
      return { mode: NOT_HELD, beside: [CHUNK, ALONE] };
    case 'two drains at once':
      return { mode: AMONG_DRAINS, beside: [AMONG_DRAINS] };
    default:
      return { mode: ALONE, beside: [] };
  }
};

const readsWithKeys = ({ defect }: Scenario): boolean =>
  defect === 'drain reads with what it takes';

/** `takeKeys`: any of the noted keys, for a batch has a limit. The stage says which store is read. */
const takeMoves = (state: State, index: number, scenario: Scenario): Move<State>[] => {
  const { drains, writes, legacyTables, kits } = STAGE_DEFINITIONS[state.stage];
  const { mode, beside } = lockMode(scenario);
  if (drains === 'nothing' || state.noted === 0 || !mayEnter(state, index, beside)) return [];
  const mirrored = legacyTables === 'mirror' || kits === 'mirror';
  const locks = mirrored && scenario.defect !== 'drain locks no rows';
  const moves: Move<State>[] = [];
  for (let taken = 1; taken <= ALL_KEYS; taken += 1) {
    if ((taken & ~state.noted) !== 0) continue;
    const at = { ...state, noted: state.noted & ~taken };
    const snapshot = readsWithKeys(scenario) ? state.contents : undefined;
    const to: Partial<Actor> = { taken, advisory: mode, store: writes, snapshot };
    moves.push({
      actor: index,
      what: 'takes keys',
      state: locks
        ? withActor(at, index, { ...to, step: 'rows-look' })
        : withActor(at, index, { ...to, upsert: taken, step: 'update-look' }),
    });
  }
  return moves;
};

/** The first statement of `lockKeys` (layers/data/src/backlog/sync-keys.ts): its snapshot, then its locks. */
const lockAuthoritative = (state: State, index: number, scenario: Scenario): State | undefined => {
  const actor = actorAt(state, index);
  let [shared, gone] = [0, 0];
  for (const key of KEYS) {
    if (!has(actor.taken, key)) continue;
    const row = rowOf(actor.store, key);
    if (seen(actor, row) !== NO_ROW && !mayShareRow(state, index, row)) return undefined;
    // READ COMMITTED: a row that was deleted while it waited is not there.
    if (seen(actor, row) !== NO_ROW && state.contents[row] !== NO_ROW) shared |= bit(row);
    else gone |= bit(key);
  }
  const upsert = actor.taken & ~gone;
  const snapshot = readsWithKeys(scenario) ? actor.snapshot : undefined;
  const locked = withActor(state, index, { shared, upsert, gone, snapshot, step: 'others-lock' });
  return gone === 0 ? startSync(locked, index) : locked;
};

/** Its second: what keys without an authoritative row have left in the other store. */
const lockOthers = (state: State, index: number, { defect }: Scenario): State | undefined => {
  if (defect === 'drain locks no leftovers') return startSync(state, index);
  const actor = actorAt(state, index);
  let { locked } = actor;
  for (const key of KEYS) {
    const row = rowOf(otherStore(actor.store), key);
    if (!has(actor.gone, key) || state.contents[row] === NO_ROW) continue;
    if (!mayLockRow(state, index, row)) return undefined;
    locked |= bit(row);
  }
  return startSync(withActor(state, index, { locked }), index);
};

const startSync = (state: State, index: number): State => {
  const actor = actorAt(state, index);
  return withActor(state, index, { step: firstStatement(actor, false) });
};

const SYNC_STEPS = namedSteps('');

const syncOptions = (state: State, index: number, scenario: Scenario): SyncOptions => ({
  goneUnknown: actorAt(state, index).shared === 0 && actorAt(state, index).gone === 0,
  fresh: false,
  keepSnapshot: readsWithKeys(scenario),
  batchOfSnapshot: false,
  end: (at) => commit(at, index, { step: 'idle', store: 'legacy' }),
  fail: () => {
    throw new TypeError('a drain is READ COMMITTED');
  },
});

/**
 * `drainOnce` (layers/data/src/backlog/drain.ts), as often as there are keys, by whoever calls it and when:
 * the workflow drains only after the last chunk, here it may at any time. A key that it cannot bring into
 * step is noted again, which is here a batch without that key, or one that is undone.
 */
export const drainerMoves = (state: State, index: number, scenario: Scenario): Move<State>[] => {
  const actor = actorAt(state, index);
  const move = (what: string, to: State | undefined): Move<State>[] =>
    to === undefined ? [] : [{ actor: index, what, state: to }];
  const died = move(
    'dies, or gives up waiting',
    abort(state, index, { step: 'idle', store: 'legacy' }),
  );
  switch (actor.step) {
    case 'idle':
      return takeMoves(state, index, scenario);
    case 'rows-look': {
      const snapshot = readsWithKeys(scenario) ? actor.snapshot : lookAgain(state, actor);
      return [
        ...move('looks for the rows', withActor(state, index, { snapshot, step: 'rows-lock' })),
        ...died,
      ];
    }
    case 'rows-lock':
      return [...move('locks the rows', lockAuthoritative(state, index, scenario)), ...died];
    case 'others-lock':
      return [...move('locks what is left of them', lockOthers(state, index, scenario)), ...died];
    default:
      return [
        ...move(
          SYNC_STEPS[actor.step] ?? 'synchronises',
          syncStep(state, index, syncOptions(state, index, scenario)),
        ),
        ...died,
      ];
  }
};
