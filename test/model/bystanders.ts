import { STAGE_DEFINITIONS } from '@unified-kits/domain';
import { mayEnter, mayLockStage } from './postgres.ts';
import type { Scenario } from './scenario.ts';
import type { Move } from './search.ts';
import { actorAt, bit, FOR_SHARE, KEYS, type State, withActor } from './state.ts';

/**
 * A lane of a parity run, which notes what differs (layers/data/src/parity/parity-run.ts): here any key,
 * whether it differs or not, as long as the stage is the one that it compared in.
 */
export const parityMoves = (state: State, index: number, { defect }: Scenario): Move<State>[] => {
  const { step, aim } = actorAt(state, index);
  const done = { step: 'done', aim: 'legacy' } as const;
  if (step === 'idle') {
    if (STAGE_DEFINITIONS[state.stage].drains === 'nothing') return [];
    const compares = withActor(state, index, { step: 'decided', aim: state.stage });
    return [{ actor: index, what: 'compares', state: compares }];
  }
  if (step === 'done' || !mayLockStage(state, index, FOR_SHARE)) return [];
  const notes = state.stage === aim || defect === 'parity outlives its stage';
  return [
    { actor: index, what: 'finds nothing', state: withActor(state, index, done) },
    ...(notes ? KEYS : []).map((key) => ({
      actor: index,
      what: 'notes a key',
      state: withActor({ ...state, noted: state.noted | bit(key) }, index, done),
    })),
  ];
};

/**
 * `compactBacklog` (layers/data/src/backlog/read-backlog.ts) keeps one of each repeated key: nothing that
 * could be told apart here, but beside a drain that holds the one it keeps.
 */
export const compactionMoves = (
  state: State,
  index: number,
  { defect }: Scenario,
): Move<State>[] => {
  if (!mayEnter(state, index, []) && defect !== 'compaction beside a drain') return [];
  const taken = state.actors.reduce((keys, actor) => keys | actor.taken, 0);
  if ((state.noted & taken) === 0) return [];
  const compacted = { ...state, noted: state.noted & ~taken };
  return [{ actor: index, what: 'removes repeated keys', state: compacted }];
};
