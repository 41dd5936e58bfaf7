import { compactionMoves, parityMoves } from './bystanders.ts';
import { copierMoves } from './copier.ts';
import { cutoverMoves } from './cutover.ts';
import { drainerMoves } from './drainer.ts';
import { breachOf } from './invariants.ts';
import { rollbackMoves } from './rollback.ts';
import type { Role, Scenario } from './scenario.ts';
import type { Model, Move } from './search.ts';
import { encode, type State } from './state.ts';
import { writerMoves } from './writer.ts';

type Moves = (state: State, index: number, scenario: Scenario) => Move<State>[];

const MOVES: Readonly<Record<Role, Moves>> = {
  writer: writerMoves,
  copier: copierMoves,
  drainer: drainerMoves,
  cutover: cutoverMoves,
  rollback: rollbackMoves,
  parity: parityMoves,
  compaction: compactionMoves,
};

/** Roles that come to an end; the others work for as long as there is something to do. */
const ENDING: readonly Role[] = ['writer', 'cutover', 'rollback'];

/** A scenario as something to explore. */
export const modelOf = (scenario: Scenario): Model<State> => ({
  starts: scenario.starts,
  moves: (state) => scenario.roles.flatMap((role, index) => MOVES[role](state, index, scenario)),
  encode,
  breach: (state) => breachOf(state, scenario),
  finished: ({ actors }) =>
    scenario.roles.every((role, index) => !ENDING.includes(role) || actors[index]?.step === 'done'),
});
