import { STAGE_DEFINITIONS, type Stage } from '@unified-kits/domain';
import type { Defect } from './protocol.ts';
import type { Program, Role, Scenario } from './scenario.ts';
import { type Actor, ALL_KEYS, type Contents, IDLE, rowOf, type State } from './state.ts';

const [A, B] = [0, 1] as const;

/** What writers do. At the start there is a kit `a`, and `b` is still to be born. */
const PROGRAMS = {
  'updates a': [{ does: 'update', keys: [A] }],
  'deletes a': [{ does: 'delete', keys: [A] }],
  'inserts b': [{ does: 'insert', keys: [B] }],
  'inserts a': [{ does: 'insert', keys: [A] }],
  'updates a and b': [{ does: 'update', keys: [A, B] }],
  'deletes a, inserts b': [
    { does: 'delete', keys: [A] },
    { does: 'insert', keys: [B] },
  ],
} as const satisfies Record<string, Program>;
export type ProgramName = keyof typeof PROGRAMS;
export const PROGRAM_NAMES = Object.keys(PROGRAMS) as readonly ProgramName[];

/** What the stores hold at the start, and what of it is noted. */
export interface Start {
  readonly contents: Contents;
  readonly noted: number;
}
const [OLD, STALE] = [1, 3] as const;
export const STARTS = {
  'legacy only': { contents: [OLD, 0, 0, 0], noted: 0 },
  'in step': { contents: [OLD, 0, OLD, 0], noted: 0 },
  'in step, noted for nothing': { contents: [OLD, 0, OLD, 0], noted: ALL_KEYS },
  'kits behind, noted': { contents: [OLD, 0, STALE, STALE], noted: ALL_KEYS },
} as const satisfies Record<string, Start>;
export type StartName = keyof typeof STARTS;

/** How a writer works: each of its programs is a start of its own. */
export interface WriterSetting {
  readonly programs: readonly ProgramName[];
  readonly isolation: readonly ('read committed' | 'repeatable read')[];
}

/** A scenario as it is described; every combination of writers' programs and starts is explored. */
export interface Setting {
  readonly stage: Stage;
  readonly starts: readonly StartName[];
  readonly writers: readonly WriterSetting[];
  /** Who takes part beside them. */
  readonly others: readonly Exclude<Role, 'writer'>[];
  readonly path?: readonly Stage[];
  readonly chunks?: readonly number[];
}

const combinations = <Item>(lists: readonly (readonly Item[])[]): readonly (readonly Item[])[] =>
  lists.reduce<readonly (readonly Item[])[]>(
    (all, list) => all.flatMap((before) => list.map((item) => [...before, item])),
    [[]],
  );

const writersOf = ({ programs, isolation }: WriterSetting, stage: Stage): readonly Actor[] =>
  programs.flatMap((program) =>
    isolation.map((level) => ({
      ...IDLE,
      step: level === 'repeatable read' ? ('begin' as const) : ('statement' as const),
      program: PROGRAM_NAMES.indexOf(program),
      repeatableRead: level === 'repeatable read',
      // Its flags were read before the first flip.
      store: STAGE_DEFINITIONS[stage].writes,
    })),
  );

/** A scenario of the protocol, or of one that has a defect. */
export const scenarioOf = (setting: Setting, defect?: Defect): Scenario => {
  const { stage, writers, others } = setting;
  const { writes } = STAGE_DEFINITIONS[stage];
  const begun = stage === 'legacy' || stage === 'copying';
  const starts = setting.starts.flatMap((name) =>
    combinations(writers.map((writer) => writersOf(writer, stage))).map((actors): State => {
      const { contents, noted } = STARTS[name];
      return {
        stage,
        contents,
        noted,
        orphans: 0,
        copied: begun ? 0 : ALL_KEYS,
        batchEnded: false,
        unseen: false,
        acknowledged: [contents[rowOf(writes, A)], contents[rowOf(writes, B)]],
        actors: [...actors, ...others.map(() => IDLE)],
      };
    }),
  );
  return {
    roles: [...writers.map(() => 'writer' as const), ...others],
    programs: Object.values(PROGRAMS),
    chunks: setting.chunks ?? [ALL_KEYS],
    path: setting.path ?? [],
    starts,
    defect,
  };
};

const ONE_OF_EACH = ['updates a', 'deletes a', 'inserts b'] as const;
const plain = (...programs: ProgramName[]): WriterSetting => ({
  programs,
  isolation: ['read committed'],
});
const old = (...programs: ProgramName[]): WriterSetting => ({
  programs,
  isolation: ['repeatable read'],
});
const either = (...programs: ProgramName[]): WriterSetting => ({
  programs,
  isolation: ['read committed', 'repeatable read'],
});

export const SETTINGS = {
  'the copy, up to "mirrored"': {
    stage: 'copying',
    starts: ['legacy only'],
    writers: [plain(...ONE_OF_EACH), either(...ONE_OF_EACH, 'deletes a, inserts b')],
    others: ['copier', 'drainer', 'cutover'],
    path: ['mirrored'],
  },
  'two drains beside a compaction and the copy': {
    stage: 'copying',
    starts: ['legacy only'],
    writers: [plain('updates a'), plain('updates a', 'deletes a')],
    others: ['copier', 'drainer', 'drainer', 'compaction'],
  },
  'authority moves to kits': {
    stage: 'mirrored',
    starts: ['in step', 'in step, noted for nothing', 'kits behind, noted'],
    writers: [plain(...ONE_OF_EACH), either(...ONE_OF_EACH, 'updates a and b')],
    others: ['drainer', 'cutover'],
    path: ['dual-write', 'unified'],
  },
  'without a dual-write window, and closed': {
    stage: 'mirrored',
    starts: ['in step'],
    writers: [plain(...ONE_OF_EACH), either(...ONE_OF_EACH)],
    others: ['drainer', 'cutover', 'parity'],
    path: ['unified', 'closed'],
  },
  'the way back from "unified"': {
    stage: 'unified',
    starts: ['in step'],
    writers: [
      plain(...ONE_OF_EACH),
      either(...ONE_OF_EACH, 'deletes a, inserts b', 'updates a and b'),
    ],
    others: ['drainer', 'rollback'],
  },
  'the way back from "closed"': {
    stage: 'closed',
    starts: ['in step'],
    writers: [
      plain(...ONE_OF_EACH),
      either(...ONE_OF_EACH, 'deletes a, inserts b', 'updates a and b'),
    ],
    others: ['drainer', 'rollback'],
  },
  'a cutover that begins beside a rollback': {
    stage: 'legacy',
    starts: ['legacy only'],
    writers: [old('inserts b')],
    others: ['copier', 'cutover', 'rollback'],
    path: ['copying', 'mirrored'],
  },
  'a comparison beside a rollback': {
    stage: 'mirrored',
    starts: ['in step'],
    writers: [plain(...ONE_OF_EACH)],
    others: ['drainer', 'rollback', 'parity'],
  },
  'everything at once': {
    stage: 'legacy',
    starts: ['legacy only'],
    writers: [plain('updates a'), old('inserts b')],
    others: ['copier', 'drainer', 'cutover', 'rollback'],
    path: ['copying', 'mirrored', 'dual-write', 'unified'],
  },
} as const satisfies Record<string, Setting>;
export type SettingName = keyof typeof SETTINGS;

const COMBINED: readonly ProgramName[] = ['updates a and b', 'deletes a, inserts b'];

/** The same with every program, with a chunk for each key, and with a parity run beside them. */
const larger = (setting: Setting): Setting => {
  const copies = setting.others.includes('copier');
  return {
    ...setting,
    writers: setting.writers.map((writer, index) => ({
      programs: copies ? [...ONE_OF_EACH, ...(index === 0 ? [] : COMBINED)] : PROGRAM_NAMES,
      isolation: writer.isolation,
    })),
    chunks: copies ? [0b01, 0b10] : [],
  };
};

export const LARGE_SETTINGS = Object.fromEntries(
  Object.entries(SETTINGS).map(([name, setting]) => [name, larger(setting)]),
) as Readonly<Record<SettingName, Setting>>;
