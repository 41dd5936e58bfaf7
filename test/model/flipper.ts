import { isNeighbour, otherStore, STAGE_DEFINITIONS, type Stage } from '@unified-kits/domain';
import { copyComplete } from './copier.ts';
import {
  abort,
  commit,
  mayEnter,
  mayLockRow,
  mayLockStage,
  maySealTables,
  write,
} from './postgres.ts';
import type { Scenario } from './scenario.ts';
import type { Move } from './search.ts';
import {
  type Actor,
  ALONE,
  actorAt,
  FOR_UPDATE,
  has,
  KEYS,
  rowOf,
  type State,
  withActor,
} from './state.ts';

const BOTH_STORES = 0b11;

/** Why the flip may not be, once its locks are held (layers/data/src/stage/preconditions.ts). */
const isRefused = (state: State, to: Stage, { defect }: Scenario): boolean => {
  if (to === 'copying') return state.batchEnded && defect !== 'flip begins an ended batch';
  if (state.stage === 'copying' && to === 'mirrored')
    return !copyComplete(state) && defect !== 'flip ignores open chunks';
  // `resynchronised`: a parity run since the stage was "closed".
  if (to === 'dual-write') return state.unseen && defect !== 'reopening compares nothing';
  return false;
};

/** `drainLast`: nobody writes now, so the rows need no locks of their own; those of a dead session hold it up. */
const drainLast = (state: State, index: number, to: Stage): State | undefined => {
  const { drains, writes } = STAGE_DEFINITIONS[state.stage];
  if (drains === 'nothing' || to === 'legacy' || to === 'closed') return state;
  let actor = actorAt(state, index);
  const other = otherStore(writes);
  for (const key of KEYS) {
    if (!has(state.noted, key)) continue;
    if (!mayLockRow(state, index, rowOf(other, key))) return undefined;
    actor = write(actor, other, key, state.contents[rowOf(writes, key)]);
  }
  return withActor({ ...state, noted: 0 }, index, actor);
};

const switchMoves = (
  state: State,
  index: number,
  to: Stage,
  scenario: Scenario,
  after: Partial<Actor>,
): Move<State>[] => {
  if (isRefused(state, to, scenario))
    return [{ actor: index, what: 'is refused', state: abort(state, index, { step: 'idle' }) }];
  const skips = scenario.defect === 'flip leaves the backlog';
  const drained = skips ? state : drainLast(state, index, to);
  if (drained === undefined) return [];
  const noted = state.stage === 'legacy' ? 0 : drained.noted;
  const unseen = state.stage === 'closed' || state.unseen;
  const flipped = commit({ ...drained, noted, unseen, stage: to }, index, {
    step: 'idle',
    ...after,
  });
  const breach = isNeighbour(state.stage, to)
    ? undefined
    : {
        invariant: 'only neighbouring stages follow one another',
        detail: `${to} followed ${state.stage}`,
      };
  return [{ actor: index, what: `flips to ${to}`, state: flipped, breach }];
};

/**
 * `flipOnce` (layers/data/src/stage/flip.ts): the row of the stage, the lock against chunks and drains, the
 * tables; then preconditions, the last keys, the triggers and the commit, between which nobody can come.
 *
 * @param after what the actor is once it has flipped
 * @param illegal what becomes of it when the stages are not neighbours
 */
export const flipMoves = (
  state: State,
  index: number,
  to: Stage,
  scenario: Scenario,
  after: Partial<Actor>,
  illegal: (state: State) => Move<State>[],
): Move<State>[] => {
  const { step, aim } = actorAt(state, index);
  const { defect } = scenario;
  const move = (what: string, changes: Partial<Actor>): Move<State> => ({
    actor: index,
    what,
    state: withActor(state, index, changes),
  });
  const died: Move<State> = {
    actor: index,
    what: 'dies, or gives up waiting',
    state: abort(state, index, { step: 'idle' }),
  };
  switch (step) {
    case 'idle':
      return [move('decides to flip', { aim: to, step: 'decided' })];
    case 'decided': {
      if (!isNeighbour(state.stage, aim) && defect !== 'flip judges before it locks')
        return illegal(state);
      if (!mayLockStage(state, index, 0) || !mayEnter(state, index, [])) return [];
      const locked = { stageLock: FOR_UPDATE, advisory: ALONE, step: 'lock-tables' as const };
      return [move('locks stage and drain', locked)];
    }
    case 'lock-tables': {
      if (defect === 'flip without table locks')
        return [move('locks no table', { step: 'switch' })];
      const sealed = { shareRowExclusive: BOTH_STORES, step: 'switch' as const };
      return [...(maySealTables(state, index) ? [move('locks the tables', sealed)] : []), died];
    }
    default:
      return [...switchMoves(state, index, aim, scenario, after), died];
  }
};
