import { z } from 'zod';

const state = z.looseObject({ Type: z.string() });
const machine = z.looseObject({ StartAt: z.string(), States: z.record(z.string(), state) });

export type AslState = z.infer<typeof state>;
export type AslMachine = z.infer<typeof machine>;

/** A state and where it stands. */
export type PlacedState = {
  readonly name: string;
  readonly state: AslState;
  /** The machine it is part of: empty for the outermost, else the path of Map and Parallel states. */
  readonly machine: string;
  /** The Map or Parallel state that runs this machine. */
  readonly parent: string | undefined;
};

/** A machine inside a Map or Parallel state, with the path that names it. */
export type NestedMachine = {
  readonly path: string;
  readonly parent: string;
  readonly machine: AslMachine;
};

/**
 * The definition, checked only for what every walk needs: a start and states with a type.
 *
 * @throws z.ZodError when it has not even that.
 */
export function readMachine(definition: unknown): AslMachine {
  return machine.parse(definition);
}

/** The machines directly inside a state. */
export function nestedMachines(name: string, within: string, found: AslState): NestedMachine[] {
  const path = `${within}/${name}`;
  const one = found.ItemProcessor ?? found.Iterator;
  if (one !== undefined) return [{ path, parent: name, machine: readMachine(one) }];
  const branches = found.Branches;
  if (!Array.isArray(branches)) return [];
  return branches.map((branch, index) => ({
    path: `${path}[${index}]`,
    parent: name,
    machine: readMachine(branch),
  }));
}

/** Every state of the definition, those inside Map and Parallel states included. */
export function* placedStates(
  definition: AslMachine,
  machinePath = '',
  parent?: string,
): Generator<PlacedState> {
  for (const [name, found] of Object.entries(definition.States)) {
    yield { name, state: found, machine: machinePath, parent };
    for (const nested of nestedMachines(name, machinePath, found)) {
      yield* placedStates(nested.machine, nested.path, nested.parent);
    }
  }
}
