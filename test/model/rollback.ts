import type { Stage } from '@unified-kits/domain';
import { flipMoves } from './flipper.ts';
import { abort, backlog, commit, mayLockRow, mayLockStage, write } from './postgres.ts';
import type { Scenario } from './scenario.ts';
import type { Move } from './search.ts';
import {
  actorAt,
  bit,
  FOR_SHARE,
  has,
  KEYS,
  NO_ROW,
  rowOf,
  type State,
  withActor,
} from './state.ts';

/** One neighbour back (functions/rollback/reverse.ts). */
const BACK: Readonly<Record<Exclude<Stage, 'legacy'>, Stage>> = {
  copying: 'legacy',
  mirrored: 'legacy',
  'dual-write': 'mirrored',
  unified: 'dual-write',
  closed: 'unified',
};

/** What differs in one snapshot, and is not noted (layers/data/src/parity/parity-run.ts). */
const compared = (state: State, index: number): State => {
  let upsert = 0;
  for (const key of KEYS)
    if (state.contents[rowOf('legacy', key)] !== state.contents[rowOf('kits', key)])
      upsert |= bit(key);
  upsert &= ~backlog(state);
  return withActor(state, index, { upsert, aim: state.stage, step: 'compare' });
};

/** In a later statement of the same transaction, as long as the stage is still the one compared in. */
const noteDifferences = (state: State, index: number): State => {
  const { upsert, aim } = actorAt(state, index);
  const same = state.stage === aim;
  const noted = same ? state.noted | upsert : state.noted;
  const unseen = same ? false : state.unseen;
  return withActor({ ...state, noted, unseen }, index, { upsert: 0, aim: 'legacy', step: 'idle' });
};

/** `kits` rows of the batch, as a set of keys. */
const batchRows = ({ contents, orphans }: State): number => {
  let rows = 0;
  for (const key of KEYS)
    if (contents[rowOf('kits', key)] !== NO_ROW && !has(orphans, key)) rows |= bit(key);
  return rows;
};

/** `deleteBatch` (layers/data/src/rollback/delete-batch.ts), in one piece. */
const deleteRows = (state: State, index: number): State | undefined => {
  let actor = actorAt(state, index);
  for (const key of KEYS) {
    if (!has(batchRows(state), key)) continue;
    if (!mayLockRow(state, index, rowOf('kits', key))) return undefined;
    actor = write(actor, 'kits', key, NO_ROW);
  }
  return commit(withActor(state, index, actor), index, { step: 'clear' });
};

/**
 * The rollback: whenever it is started, it takes the lead, flips back one stage after the other, deletes the
 * batch's rows, clears the backlog, proves that nothing is left and ends the batch (functions/rollback).
 */
export const rollbackMoves = (state: State, index: number, scenario: Scenario): Move<State>[] => {
  const actor = actorAt(state, index);
  const move = (what: string, to: State | undefined): Move<State>[] =>
    to === undefined ? [] : [{ actor: index, what, state: to }];
  const again = move('starts again', abort(state, index, { step: 'idle' }));
  const locks = scenario.defect !== 'rollback judges without a lock';
  /** Reads the stage, and locks it against flips until the transaction ends. */
  const inLegacy = (what: string, step: 'delete-rows' | 'end-batch', holds: boolean) => {
    if (locks && !mayLockStage(state, index, FOR_SHARE)) return again;
    if (state.stage !== 'legacy' || !holds) return again;
    return move(what, withActor(state, index, { stageLock: locks ? FOR_SHARE : 0, step }));
  };
  switch (actor.step) {
    case 'done':
      return [];
    case 'idle': {
      if (actor.at === 0) return move('takes the lead', withActor(state, index, { at: 1 }));
      const { stage } = state;
      if (stage === 'legacy')
        return move('is back at legacy', withActor(state, index, { step: 'delete' }));
      if (stage === 'unified' && state.unseen && scenario.defect !== 'reopening compares nothing')
        return move('compares everything', compared(state, index));
      return flipMoves(state, index, BACK[stage], scenario, {}, () => again);
    }
    case 'compare':
      if (!mayLockStage(state, index, FOR_SHARE)) return again;
      return [...move('notes what differed', noteDifferences(state, index)), ...again];
    case 'delete':
      return inLegacy('begins to delete the batch', 'delete-rows', true);
    case 'delete-rows':
      return [...move('deletes the batch', deleteRows(state, index)), ...again];
    case 'clear':
      // `clearBacklog` locks the stage in the statement that reads it.
      if (state.stage !== 'legacy' || !mayLockStage(state, index, FOR_SHARE)) return again;
      return move(
        'clears the backlog',
        withActor({ ...state, noted: 0 }, index, { step: 'prove' }),
      );
    case 'prove':
      return inLegacy(
        'proves that nothing is left',
        'end-batch',
        batchRows(state) === 0 && state.noted === 0,
      );
    case 'end-batch':
      return [
        ...move('ends the batch', commit({ ...state, batchEnded: true }, index, { step: 'done' })),
        ...again,
      ];
    default:
      return flipMoves(state, index, actor.aim, scenario, {}, () => again);
  }
};
