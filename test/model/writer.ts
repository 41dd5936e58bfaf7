import { type Duty, otherStore, STAGE_DEFINITIONS } from '@unified-kits/domain';
import { abort, commit, current, mayLockRow, mayWriteTable, visible, write } from './postgres.ts';
import type { Scenario, Statement } from './scenario.ts';
import type { Move } from './search.ts';
import {
  type Actor,
  actorAt,
  bit,
  COMMITTED,
  type Content,
  FAILED,
  has,
  KEYS,
  NO_ROW,
  rowOf,
  type State,
  withActor,
} from './state.ts';
import { firstStatement, namedSteps, type SyncOptions, syncStep } from './sync.ts';

/** As the service's: a write that met the fence so often gives up (layers/data/src/kits/store-router.ts). */
const MOST_ATTEMPTS = 4;

/** Contents below belong to the start. */
const FIRST_WRITTEN = 4;
const STATEMENTS = 2;

/** What a writer's statement writes: found nowhere else. */
export const contentOf = (writer: number, statement: number): Content =>
  FIRST_WRITTEN + writer * STATEMENTS + statement;

/** Whose content it is. */
export const writerOf = (content: Content): number | undefined =>
  content < FIRST_WRITTEN ? undefined : Math.floor((content - FIRST_WRITTEN) / STATEMENTS);

const statementOf = (scenario: Scenario, actor: Actor): Statement => {
  const statement = scenario.programs[actor.program]?.[actor.at];
  if (statement === undefined) throw new TypeError('the program has ended');
  return statement;
};

const nextStep = (scenario: Scenario, { program, at }: Actor): Partial<Actor> => {
  const more = at + 1 < (scenario.programs[program]?.length ?? 0);
  return more ? { at: at + 1, step: 'statement' } : { step: 'commit' };
};

/**
 * What the triggers of the table do, which are the table's when the statement begins, whatever the
 * transaction's snapshot shows (layers/data/src/schema/stage-triggers.ts).
 */
const dutyOf = (state: State, actor: Actor, { defect }: Scenario): Duty => {
  const inSnapshot = defect === 'fence is a row in the snapshot' && actor.repeatableRead;
  const stage = inSnapshot ? (actor.snapshotStage ?? state.stage) : state.stage;
  const { legacyTables, kits } = STAGE_DEFINITIONS[stage];
  return actor.store === 'legacy' ? legacyTables : kits;
};

/** Changes the rows of a statement; `waits` for a lock, `fails` where Postgres raises an error. */
const execute = (
  state: State,
  index: number,
  { does, keys }: Statement,
  { defect }: Scenario,
): { readonly actor: Actor; readonly affected: number } | 'waits' | 'fails' => {
  let actor = actorAt(state, index);
  let affected = 0;
  const content = contentOf(index, actor.at);
  for (const key of keys) {
    const row = rowOf(actor.store, key);
    if (does === 'insert') {
      if (!mayLockRow(state, index, row)) return 'waits';
      if (current(state, actor, row) !== NO_ROW) return 'fails';
    } else {
      if (visible(state, actor, row) === NO_ROW) continue;
      if (!mayLockRow(state, index, row)) return 'waits';
      if (actor.repeatableRead && has(actor.changed, row)) return 'fails';
    }
    actor = write(actor, actor.store, key, does === 'delete' ? NO_ROW : content);
    // `birth` (layers/data/src/schema/trigger-functions.ts) reads the batch from the row of the stage.
    const early = defect === 'batch of the snapshot' && actor.snapshotStage === 'legacy';
    if (does === 'insert' && actor.store === 'kits' && early)
      actor = { ...actor, orphans: actor.orphans | bit(key) };
    affected |= bit(key);
  }
  return { actor, affected };
};

/** A writer that is done is told from others by its outcome alone. */
const ENDED = {
  step: 'done',
  program: 0,
  at: 0,
  attempts: 0,
  store: 'legacy',
  repeatableRead: false,
} as const;

const failed = (state: State, index: number): State =>
  abort(state, index, { ...ENDED, outcome: FAILED });

/** The transaction is undone; the service tries the other store with a new one. */
const redirected = (state: State, index: number): State => {
  const { store, attempts, repeatableRead } = actorAt(state, index);
  if (attempts + 1 >= MOST_ATTEMPTS) return failed(state, index);
  return abort(state, index, {
    step: repeatableRead ? 'begin' : 'statement',
    store: otherStore(store),
    attempts: attempts + 1,
    at: 0,
  });
};

const statementMove = (
  state: State,
  index: number,
  scenario: Scenario,
): Move<State> | undefined => {
  const before = actorAt(state, index);
  if (!mayWriteTable(state, index, before.store)) return undefined;
  const move = (what: string, to: State): Move<State> => ({ actor: index, what, state: to });
  const duty = dutyOf(state, before, scenario);
  if (duty === 'refuse') return move('meets the fence', redirected(state, index));
  const statement = statementOf(scenario, before);
  const done = execute(state, index, statement, scenario);
  if (done === 'waits') return undefined;
  if (done === 'fails') return move('fails by itself', failed(state, index));
  const { actor, affected } = done;
  const after = withActor(state, index, { ...actor, ...nextStep(scenario, actor) });
  if (affected === 0 || duty === 'none') return move('writes', after);
  if (duty === 'capture')
    return move('writes, captured', withActor(after, index, { notes: actor.notes | affected }));
  const [upsert, gone] = statement.does === 'delete' ? [0, affected] : [affected, 0];
  return move(
    'writes, to be mirrored',
    withActor(state, index, { ...actor, upsert, gone, step: 'mirror' }),
  );
};

/** `guarded` in layers/data/src/schema/trigger-functions.ts. */
const mirrorOptions = (state: State, index: number, scenario: Scenario): SyncOptions => {
  const { defect } = scenario;
  const actor = actorAt(state, index);
  const affected = actor.upsert | actor.gone;
  const oldSnapshotNotes = defect !== 'mirror of an old snapshot notes nothing';
  const settled = { upsert: 0, gone: 0, updated: 0 };
  return {
    goneUnknown: false,
    fresh: statementOf(scenario, actor).does === 'insert',
    keepSnapshot: false,
    batchOfSnapshot: defect === 'batch of the snapshot',
    end: (at) => {
      const ended = actorAt(at, index);
      const noted = ended.repeatableRead && oldSnapshotNotes ? affected : 0;
      return withActor(at, index, {
        ...settled,
        notes: ended.notes | noted,
        ...nextStep(scenario, ended),
      });
    },
    fail: (at) => withoutMirror(at, index, scenario, affected),
  };
};

/** The mirror's subtransaction is undone, its keys are noted, and the client's write stands. */
const withoutMirror = (
  state: State,
  index: number,
  scenario: Scenario,
  affected: number,
): State => {
  const actor = actorAt(state, index);
  let undone = actor;
  for (const key of KEYS) {
    if (!has(affected, key)) continue;
    const row = rowOf(otherStore(actor.store), key);
    const wrote: [Content, Content, Content, Content] = [...undone.wrote];
    wrote[row] = 0;
    undone = { ...undone, wrote, locked: undone.locked & ~bit(row) };
  }
  return withActor(state, index, {
    ...undone,
    snapshot: actor.repeatableRead ? actor.snapshot : undefined,
    upsert: 0,
    gone: 0,
    updated: 0,
    notes: actor.notes | affected,
    ...nextStep(scenario, actor),
  });
};

const MIRROR_STEPS = namedSteps('its mirror ');

const mirrorMoves = (state: State, index: number, scenario: Scenario): Move<State>[] => {
  const actor = actorAt(state, index);
  const options = mirrorOptions(state, index, scenario);
  const moves: Move<State>[] = [];
  const begins = actor.step === 'mirror';
  const at = begins
    ? withActor(state, index, { step: firstStatement(actor, options.fresh) })
    : state;
  const mirrored = syncStep(at, index, options);
  const what = MIRROR_STEPS[actorAt(at, index).step] ?? 'mirrors';
  if (mirrored !== undefined) moves.push({ actor: index, what, state: mirrored });
  // For whatever reason, and whenever it fails: what it did before is undone.
  if (!begins) return moves;
  if (scenario.defect !== 'mirror without exception block')
    return [
      ...moves,
      {
        actor: index,
        what: 'cannot mirror, and notes the keys',
        state: withoutMirror(state, index, scenario, actor.upsert | actor.gone),
      },
    ];
  const breach = {
    invariant: 'a mirror’s failure aborts no write',
    detail: 'the client’s transaction ended with the mirror’s error',
  };
  const aborted = failed(state, index);
  return [...moves, { actor: index, what: 'is aborted by the mirror', state: aborted, breach }];
};

const commitWrites = (state: State, index: number): State => {
  const actor = actorAt(state, index);
  const acknowledged: [Content, Content] = [...state.acknowledged];
  for (const key of KEYS) {
    const wrote = actor.wrote[rowOf(actor.store, key)];
    if (wrote !== 0) acknowledged[key] = wrote - 1;
  }
  return commit({ ...state, acknowledged }, index, { ...ENDED, outcome: COMMITTED });
};

/** A client: one transaction, tried again on the other store where the fence refuses it. */
export const writerMoves = (state: State, index: number, scenario: Scenario): Move<State>[] => {
  const actor = actorAt(state, index);
  const move = (what: string, to: State): Move<State> => ({ actor: index, what, state: to });
  switch (actor.step) {
    case 'done':
      return [];
    case 'begin': {
      const { contents: snapshot, stage: snapshotStage } = state;
      return [
        move(
          'begins, with its snapshot',
          withActor(state, index, { snapshot, snapshotStage, step: 'statement' }),
        ),
      ];
    }
    case 'statement': {
      const next = statementMove(state, index, scenario);
      const moves = next === undefined ? [] : [next];
      // Before its first statement there is nothing that could be lost.
      const begun = actor.at > 0 || actor.snapshot !== undefined;
      return begun ? [...moves, move('dies, or gives up waiting', failed(state, index))] : moves;
    }
    case 'commit':
      return [
        move('commits', commitWrites(state, index)),
        move('dies, or rolls back', failed(state, index)),
      ];
    default:
      return [
        ...mirrorMoves(state, index, scenario),
        move('dies, or gives up waiting', failed(state, index)),
      ];
  }
};
