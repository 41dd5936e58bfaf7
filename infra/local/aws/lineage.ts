import { type AslMachine, placedStates } from './asl-walk.ts';

/** The thread of events that one event belongs to: the execution's own, or that of one lane or branch. */
export type Lineage = string;

export type Lineages = {
  /** The thread that a state's events belong to; `index` is the lane's, where there is one. */
  of(stateName: string, index: number | undefined): Lineage;
  /** The thread of one lane of a Map state. */
  ofIteration(mapName: string, index: number): Lineage;
  /** The threads it hangs from, nearest first. */
  above(lineage: Lineage): Lineage[];
};

/**
 * Tells the threads of an execution apart. The interpreter names only the state and one lane number, so
 * the rest comes from the definition; lanes of a Map within a Map share a thread.
 */
export function lineages(definition: AslMachine): Lineages {
  const machineOf = new Map<string, string>();
  const outerOf = new Map<string, string>();
  for (const { name, machine, parent } of placedStates(definition)) {
    machineOf.set(name, machine);
    if (parent !== undefined) outerOf.set(machine, machineOf.get(parent) ?? '');
  }
  const thread = (machine: string, index: number | undefined): Lineage =>
    machine === '' ? '' : `${machine}#${index ?? ''}`;
  return {
    of: (stateName, index) => thread(machineOf.get(stateName) ?? '', index),
    ofIteration: (mapName, index) => thread(`${machineOf.get(mapName) ?? ''}/${mapName}`, index),
    above(lineage) {
      const found: Lineage[] = [];
      const [start = '', lane = ''] = lineage.split('#');
      let machine = outerOf.get(start);
      while (machine !== undefined) {
        if (lane !== '' && machine !== '') found.push(`${machine}#${lane}`);
        found.push(thread(machine, undefined));
        machine = outerOf.get(machine);
      }
      return found;
    },
  };
}
