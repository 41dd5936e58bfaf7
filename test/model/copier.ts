import {
  abort,
  commit,
  lookAgain,
  mayEnter,
  mayLockRow,
  mayLockStage,
  seen,
  write,
} from './postgres.ts';
import type { Scenario } from './scenario.ts';
import type { Move } from './search.ts';
import {
  ALL_KEYS,
  actorAt,
  bit,
  CHUNK,
  FOR_SHARE,
  has,
  KEYS,
  NO_ROW,
  NOT_HELD,
  rowOf,
  type State,
  storeBit,
  withActor,
} from './state.ts';

/** Claims an open chunk and takes the snapshot of its `insert … select`. Nobody else copies: no claim to lock. */
const beginChunk = (state: State, index: number, chunk: number): State =>
  withActor(state, index, {
    advisory: CHUNK,
    rowExclusive: storeBit('kits'),
    snapshot: lookAgain(state, actorAt(state, index)),
    upsert: chunk,
    step: 'chunk-write',
  });

/** Its rows, `on conflict do nothing`, its bookkeeping and its commit. */
const commitChunk = (state: State, index: number): State | undefined => {
  const actor = actorAt(state, index);
  let written = actor;
  for (const key of KEYS) {
    const content = seen(actor, rowOf('legacy', key));
    if (!has(actor.upsert & ~actor.skip, key) || content === NO_ROW) continue;
    if (!mayLockRow(state, index, rowOf('kits', key))) return undefined;
    if (state.contents[rowOf('kits', key)] === NO_ROW)
      written = write(written, 'kits', key, content);
  }
  const copied = state.copied | actor.upsert;
  return commit(withActor({ ...state, copied }, index, written), index, { step: 'idle', skip: 0 });
};

/**
 * `copyChunk` (layers/data/src/copy/copy-chunk.ts). Nobody waits for it but by locks: so a chunk whose worker
 * is dead, and which commits late, is any chunk here.
 */
export const copierMoves = (
  state: State,
  index: number,
  { chunks, defect }: Scenario,
): Move<State>[] => {
  const actor = actorAt(state, index);
  const moves: Move<State>[] = [];
  const move = (what: string, to: State | undefined) => {
    if (to !== undefined) moves.push({ actor: index, what, state: to });
  };
  if (actor.step === 'idle') {
    if (state.stage !== 'copying') return [];
    for (const chunk of chunks) {
      if ((chunk & ~state.copied) === 0) continue;
      if (mayEnter(state, index, [CHUNK])) move('reads a chunk', beginChunk(state, index, chunk));
      // `settleDuplicates`: a row whose number another kit of the copy has is left to the drain.
      if (!mayLockStage(state, index, FOR_SHARE)) continue;
      for (const key of KEYS)
        if (has(chunk & ~actor.skip, key))
          move(
            'leaves a row to the drain',
            withActor({ ...state, noted: state.noted | bit(key) }, index, {
              skip: actor.skip | bit(key),
            }),
          );
    }
    return moves;
  }
  move('commits the chunk', commitChunk(state, index));
  move('dies, or gives up waiting', abort(state, index, { step: 'idle', skip: 0 }));
  if (defect === 'chunk lock of the worker' && actor.advisory === CHUNK)
    move('dies, and the chunk goes on', withActor(state, index, { advisory: NOT_HELD }));
  return moves;
};

/** Every key's chunk is done. */
export const copyComplete = ({ copied }: State): boolean => copied === ALL_KEYS;
