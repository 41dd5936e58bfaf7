import { STAGES, type Stage, type Store } from '@unified-kits/domain';

/** Two kits; as many as a protocol that treats keys alike can be told apart by. */
export type Key = 0 | 1;
export const KEYS: readonly Key[] = [0, 1];
export const ALL_KEYS = 0b11;

/** A key's row in one of the stores: legacy's two, then those of `kits`. */
export type Row = 0 | 1 | 2 | 3;
export const ROWS: readonly Row[] = [0, 1, 2, 3];
const ROW_OF: Readonly<Record<Store, readonly [Row, Row]>> = { legacy: [0, 1], kits: [2, 3] };
export const rowOf = (store: Store, key: Key): Row => ROW_OF[store][key];

/** Sets of keys, rows or stores are bits of a number. */
export const bit = (member: number): number => 1 << member;
export const has = (set: number, member: number): boolean => (set & (1 << member)) !== 0;
const STORE_BIT: Readonly<Record<Store, number>> = { legacy: 1, kits: 2 };
export const storeBit = (store: Store): number => STORE_BIT[store];

/** What a row holds: a number for each content that was ever written, 0 for no row. */
export type Content = number;
export const NO_ROW: Content = 0;
export type Contents = readonly [Content, Content, Content, Content];

export const put = (contents: Contents, row: Row, content: Content): Contents => {
  const copy: [Content, Content, Content, Content] = [...contents];
  copy[row] = content;
  return copy;
};

/** Where an actor is: before the step named, which it takes next. */
export const STEPS = [
  'idle',
  'begin',
  'statement',
  'mirror',
  'delete-look',
  'delete-write',
  'update-look',
  'update-write',
  'lost-look',
  'lost-write',
  'insert-look',
  'insert-write',
  'commit',
  'rows-look',
  'rows-lock',
  'others-lock',
  'sync',
  'chunk-write',
  'decided',
  'lock-tables',
  'switch',
  'delete',
  'delete-rows',
  'clear',
  'prove',
  'end-batch',
  'compare',
  'done',
] as const;
export type Step = (typeof STEPS)[number];

export const OPEN = 0;
export const COMMITTED = 1;
export const FAILED = 2;

/** Of an advisory lock: no hold; a chunk's, shared among chunks; alone; and, only in a defect, shared among drains. */
export const NOT_HELD = 0;
export const CHUNK = 1;
export const ALONE = 2;
export const AMONG_DRAINS = 3;

/** How the row of `migration.stage` is locked. */
export const FOR_SHARE = 1;
export const FOR_UPDATE = 2;

/** What belongs to a session's transaction, and ends with it. */
export interface Transaction {
  /** Stores whose tables it holds in ROW EXCLUSIVE, as whoever writes does. */
  readonly rowExclusive: number;
  /** Stores whose tables it holds in SHARE ROW EXCLUSIVE. */
  readonly shareRowExclusive: number;
  readonly advisory: number;
  readonly stageLock: number;
  /** Rows that it has locked against everybody, and against change. */
  readonly locked: number;
  readonly shared: number;
  /** What it wrote: content + 1 by row, 0 where it wrote nothing. */
  readonly wrote: Contents;
  /** Rows of `kits` that it has inserted without the batch's id. */
  readonly orphans: number;
  /** Keys that it has noted in the backlog, and that it has taken from there. */
  readonly notes: number;
  readonly taken: number;
  /** At REPEATABLE READ the transaction's, else that of the statement under way. */
  readonly snapshot: Contents | undefined;
  /** The stage as the snapshot shows it. */
  readonly snapshotStage: Stage | undefined;
  /** Rows that others have changed since a REPEATABLE READ snapshot. */
  readonly changed: number;
  /** What is being synchronised: see `sync.ts`. */
  readonly upsert: number;
  readonly gone: number;
  readonly updated: number;
}

/** An actor: where it is in its program, and its transaction. */
export interface Actor extends Transaction {
  readonly step: Step;
  readonly repeatableRead: boolean;
  readonly outcome: number;
  /** A writer's program, the statement it is at, and how often it met the fence; a cutover's position. */
  readonly program: number;
  readonly at: number;
  readonly attempts: number;
  /** The store that a writer writes, or that a synchronisation reads. */
  readonly store: Store;
  /** The stage that a flip is to lead to. */
  readonly aim: Stage;
  /** Keys that a copier leaves to the drain. */
  readonly skip: number;
}

/** Everything that is committed, and everybody's uncommitted part. */
export interface State {
  readonly stage: Stage;
  readonly contents: Contents;
  /** Rows of `kits`, as a set of keys, without the batch's id. */
  readonly orphans: number;
  /** Keys in the backlog that nobody has taken. */
  readonly noted: number;
  /** Keys whose chunk is done. */
  readonly copied: number;
  readonly batchEnded: boolean;
  /** Something was written while nothing captured it, and nobody has compared the stores since. */
  readonly unseen: boolean;
  /** What each key must hold: its last acknowledged content. */
  readonly acknowledged: readonly [Content, Content];
  readonly actors: readonly Actor[];
}

const UNTOUCHED: Contents = [0, 0, 0, 0];

export const NO_TRANSACTION: Transaction = {
  rowExclusive: 0,
  shareRowExclusive: 0,
  advisory: NOT_HELD,
  stageLock: 0,
  locked: 0,
  shared: 0,
  wrote: UNTOUCHED,
  orphans: 0,
  notes: 0,
  taken: 0,
  snapshot: undefined,
  snapshotStage: undefined,
  changed: 0,
  upsert: 0,
  gone: 0,
  updated: 0,
};

export const IDLE: Actor = {
  ...NO_TRANSACTION,
  step: 'idle',
  repeatableRead: false,
  outcome: OPEN,
  program: 0,
  at: 0,
  attempts: 0,
  store: 'legacy',
  aim: 'legacy',
  skip: 0,
};

export const actorAt = (state: State, index: number): Actor => {
  const actor = state.actors[index];
  if (actor === undefined) throw new TypeError(`there is no actor ${index}`);
  return actor;
};

export const withActor = (state: State, index: number, changes: Partial<Actor>): State => {
  const actors = [...state.actors];
  actors[index] = { ...actorAt(state, index), ...changes };
  return { ...state, actors };
};

const numbered = <Name extends string>(names: readonly Name[]) =>
  Object.fromEntries(names.map((name, number) => [name, number])) as Record<Name, number>;
const STEP_NUMBER = numbered(STEPS);
const STAGE_NUMBER = numbered(STAGES);

/** Two numbers below 16 in one character. */
const pair = (high: number, low: number): number => (high << 4) | low;

/** No content is 15. */
const NO_SNAPSHOT = pair(15, 15);
const STATE_BYTES = 5;
const ACTOR_BYTES = 13;
let bytes = Buffer.alloc(0);

const encodeActor = (actor: Actor, at: number): void => {
  const { wrote, snapshot, snapshotStage } = actor;
  const kits = actor.store === 'kits' ? 4 : 0;
  bytes[at] = STEP_NUMBER[actor.step];
  bytes[at + 1] = pair(actor.program, actor.at);
  bytes[at + 2] = pair(actor.attempts, actor.outcome | (actor.repeatableRead ? 4 : 0));
  bytes[at + 3] = pair(STAGE_NUMBER[actor.aim], actor.skip | kits);
  bytes[at + 4] = pair(
    actor.rowExclusive | (actor.shareRowExclusive << 2),
    actor.advisory | (actor.stageLock << 2),
  );
  bytes[at + 5] = pair(actor.locked, actor.shared);
  bytes[at + 6] = pair(wrote[0], wrote[1]);
  bytes[at + 7] = pair(wrote[2], wrote[3]);
  bytes[at + 8] = pair(actor.orphans, actor.changed);
  bytes[at + 9] = pair(actor.notes | (actor.taken << 2), actor.upsert | (actor.gone << 2));
  bytes[at + 10] = pair(
    actor.updated,
    snapshotStage === undefined ? 15 : STAGE_NUMBER[snapshotStage],
  );
  bytes[at + 11] = snapshot === undefined ? NO_SNAPSHOT : pair(snapshot[0], snapshot[1]);
  bytes[at + 12] = snapshot === undefined ? NO_SNAPSHOT : pair(snapshot[2], snapshot[3]);
};

/** A state's whole content as text. */
export const encode = (state: State): string => {
  const { contents, acknowledged, actors } = state;
  const length = STATE_BYTES + actors.length * ACTOR_BYTES;
  if (bytes.length !== length) bytes = Buffer.alloc(length);
  bytes[0] = pair(STAGE_NUMBER[state.stage], (state.batchEnded ? 1 : 0) | (state.unseen ? 2 : 0));
  bytes[1] = pair(contents[0], contents[1]);
  bytes[2] = pair(contents[2], contents[3]);
  bytes[3] = pair(acknowledged[0], acknowledged[1]);
  bytes[4] = pair(state.orphans, state.noted | (state.copied << 2));
  let at = STATE_BYTES;
  for (const actor of actors) {
    encodeActor(actor, at);
    at += ACTOR_BYTES;
  }
  return bytes.toString('latin1');
};
