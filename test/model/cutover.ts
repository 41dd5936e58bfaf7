import { copyComplete } from './copier.ts';
import { flipMoves } from './flipper.ts';
import type { Scenario } from './scenario.ts';
import type { Move } from './search.ts';
import { actorAt, type State, withActor } from './state.ts';

/** Whether a rollback has taken the lead (layers/data/src/batch/lead.ts). */
const isOvertaken = ({ actors }: State, { roles }: Scenario): boolean =>
  roles.some((role, index) => role === 'rollback' && (actors[index]?.at ?? 0) > 0);

/**
 * The workflow's flips, one after the other (functions/phase2-migration, functions/runtime/flip-stage.ts). That
 * a rollback has taken the lead it sees only between them.
 */
export const cutoverMoves = (state: State, index: number, scenario: Scenario): Move<State>[] => {
  const { step, at } = actorAt(state, index);
  const to = scenario.path[at];
  if (step === 'done') return [];
  const ends = (what: string): Move<State>[] => [
    { actor: index, what, state: withActor(state, index, { step: 'done', at: 0 }) },
  ];
  if (to === undefined) return ends('has done its work');
  if (step === 'idle') {
    if (isOvertaken(state, scenario)) return ends('is overtaken');
    const waits = to === 'mirrored' && state.stage === 'copying' && !copyComplete(state);
    if (waits && scenario.defect !== 'flip ignores open chunks') return [];
  }
  return flipMoves(state, index, to, scenario, { at: at + 1 }, () => ends('finds another stage'));
};
