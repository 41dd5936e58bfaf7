/** What must never happen, and did. */
export interface Breach {
  /** The invariant's name. */
  readonly invariant: string;
  readonly detail: string;
}

/** One step of one actor. */
export interface Move<State> {
  readonly actor: number;
  readonly what: string;
  readonly state: State;
  /** What the step itself breaks, whatever state it leads to. */
  readonly breach?: Breach | undefined;
}

/** A system to explore. */
export interface Model<State> {
  readonly starts: readonly State[];
  /** Every step that is possible now, always in the same order. */
  moves(state: State): readonly Move<State>[];
  /** The same text for the same state, and only for it. */
  encode(state: State): string;
  breach(state: State): Breach | undefined;
  /** Whether nothing more has to happen in a state that has no moves. */
  finished(state: State): boolean;
}

export interface Counterexample<State> {
  readonly breach: Breach;
  readonly start: State;
  /** The shortest way there. */
  readonly moves: readonly Move<State>[];
}

export interface Exploration<State> {
  readonly states: number;
  readonly transitions: number;
  /** Steps of the longest of all shortest ways. */
  readonly depth: number;
  /** Finished states. */
  readonly ends: number;
  /** Every kind of step that was taken. */
  readonly taken: ReadonlySet<string>;
  readonly counterexample: Counterexample<State> | undefined;
}

/** Where each state was first met from: the number of the state before, and which of its moves it was. */
class Origins {
  #before = new Int32Array(1 << 16);
  #move = new Uint8Array(1 << 16);
  count = 0;

  add(before: number, move: number): number {
    if (this.count === this.#before.length) {
      const [before, move] = [new Int32Array(this.count * 2), new Uint8Array(this.count * 2)];
      before.set(this.#before);
      move.set(this.#move);
      [this.#before, this.#move] = [before, move];
    }
    this.#before[this.count] = before;
    this.#move[this.count] = move;
    this.count += 1;
    return this.count - 1;
  }

  /** The start's number and the moves from there. */
  path(to: number): { start: number; moves: number[] } {
    const moves: number[] = [];
    let at = to;
    for (let before = this.#before[at]; before !== undefined && before >= 0; ) {
      moves.unshift(this.#move[at] ?? 0);
      at = before;
      before = this.#before[at];
    }
    return { start: at, moves };
  }
}

/**
 * Breadth first over every reachable state, each once: so a counterexample is among the shortest. States are
 * told apart by their whole encoding, not by a hash of it: none is left out by a collision.
 *
 * @throws {RangeError} when there are more than `most` states: a bound that cuts silently would prove nothing.
 */
export const explore = <State extends object>(
  model: Model<State>,
  most: number,
): Exploration<State> => {
  const known = new Set<string>();
  const origins = new Origins();
  const taken = new Set<string>();
  let [transitions, depth, ends] = [0, 0, 0];
  let frontier: { readonly number: number; readonly state: State }[] = [];
  const result = (counterexample?: Counterexample<State>): Exploration<State> => ({
    states: known.size,
    transitions,
    depth,
    ends,
    taken,
    counterexample,
  });
  const retrace = (from: number, breach: Breach, last?: Move<State>): Counterexample<State> => {
    const { start: number, moves: path } = origins.path(from);
    const start = model.starts[number];
    if (start === undefined) throw new TypeError('every path begins at a start');
    const moves: Move<State>[] = [];
    let state = start;
    for (const index of path) {
      const move = model.moves(state)[index];
      if (move === undefined) throw new TypeError('the model is not deterministic');
      moves.push(move);
      state = move.state;
    }
    return { breach, start, moves: last === undefined ? moves : [...moves, last] };
  };
  for (const state of model.starts) {
    known.add(model.encode(state));
    const number = origins.add(-1, 0);
    const breach = model.breach(state);
    if (breach !== undefined) return result(retrace(number, breach));
    frontier.push({ number, state });
  }
  for (; frontier.length > 0; depth += 1) {
    const next: typeof frontier = [];
    for (const { number, state } of frontier) {
      const moves = model.moves(state);
      if (moves.length === 0) {
        if (!model.finished(state))
          return result(
            retrace(number, { invariant: 'nobody waits for ever', detail: 'no step is possible' }),
          );
        ends += 1;
      }
      for (const [index, move] of moves.entries()) {
        transitions += 1;
        taken.add(move.what);
        if (move.breach !== undefined) return result(retrace(number, move.breach, move));
        const before = known.size;
        if (known.add(model.encode(move.state)).size === before) continue;
        if (known.size > most) throw new RangeError(`more than ${most} states`);
        const breach = model.breach(move.state);
        if (breach !== undefined) return result(retrace(number, breach, move));
        next.push({ number: origins.add(number, index), state: move.state });
      }
    }
    frontier = next;
  }
  return result();
};
