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

/**
 * A scenario as something to explore.
 *
 * Left out, because what they do to rows and keys a failing mirror, an undone drain or a noted key does here:
 * kit numbers that two rows claim, keys that change, practitioners and their users. Left out, because they
 * only forbid: flags, parity as a condition of a flip, references, the lead within a step. Left out, because
 * it is everybody's death at once: a crash of the server. It may also undo the last commits of chunks, drains
 * and deletions, but leaves no more than a death just before them would have.
 */
export const modelOf = (scenario: Scenario): Model<State> => ({
  starts: scenario.starts,
  moves: (state) => scenario.roles.flatMap((role, index) => MOVES[role](state, index, scenario)),
  encode,
  breach: (state) => breachOf(state, scenario),
  finished: ({ actors }) =>
    scenario.roles.every((role, index) => !ENDING.includes(role) || actors[index]?.step === 'done'),
});
