/**
 * The protocol of the stages, explored: every interleaving of two writers (one of them, in half of the
 * starts, at REPEATABLE READ with a snapshot from before the flip), the copy, drains, the cutover's flips, a
 * rollback, a parity run and a compaction, each of which may die at every step. The model is in test/model;
 * each part names the module that it stands for. It holds two kits, `a` and `b`, in `kit` and in `kits`.
 *
 * How to read a counterexample. Breadth first, so none is shorter. Each line is one step: who took it and
 * what it was, and what is committed after it: the stage, the rows of both stores, and the keys in the
 * backlog. `old` is what was there at the start, `stale` what a store was behind with, `w1` what the first
 * writer's first statement writes (`w1′` its second), `–` no row. In brackets stands what whoever took the
 * step has not committed yet. A statement is a look (its snapshot) and then its write; what lies between the
 * two, in the lines of others, is nearly always the point. The first line names the invariant and the key.
 *
 * PROTOCOL_MODEL=large explores more programs, chunks and starts: some minutes, and some gigabytes.
 */
import { describe, expect, it } from 'vitest';
import { describeCounterexample, describeExploration } from '../model/counterexample.ts';
import { modelOf } from '../model/model.ts';
import { DEFECT_NAMES, DEFECTS, type Defect } from '../model/protocol.ts';
import { LARGE_SETTINGS, SETTINGS, type Setting, scenarioOf } from '../model/scenarios.ts';
import { explore, type Model } from '../model/search.ts';

const LARGE = process.env.PROTOCOL_MODEL === 'large';
const MOST_STATES = LARGE ? 20_000_000 : 1_000_000;
const PATIENCE = LARGE ? 3_600_000 : 120_000;

type SettingName = keyof typeof SETTINGS;

/** What a search must have seen, so that it cannot shrink unnoticed: states, and steps that matter. */
const EXPECTED: Readonly<
  Record<SettingName, { readonly states: number; readonly steps: readonly string[] }>
> = {
  'the copy, up to "mirrored"': {
    states: 200_000,
    steps: [
      'writes, captured',
      'leaves a row to the drain',
      'dies, or gives up waiting',
      'deletes what has gone',
      'flips to mirrored',
      'cannot mirror, and notes the keys',
    ],
  },
  'two drains beside a compaction and the copy': {
    states: 20_000,
    steps: ['commits the chunk', 'inserts', 'deletes what has gone'],
  },
  'authority moves to kits': {
    states: 220_000,
    steps: ['meets the fence', 'locks what is left of them', 'deletes', 'flips to unified'],
  },
  'without a dual-write window, and closed': {
    states: 100_000,
    steps: ['meets the fence', 'notes a key', 'flips to closed'],
  },
  'the way back from "unified"': {
    states: 50_000,
    steps: ['meets the fence', 'its mirror deletes', 'flips to legacy', 'ends the batch'],
  },
  'the way back from "closed"': {
    states: 60_000,
    steps: ['notes what differed', 'flips to legacy', 'ends the batch'],
  },
  'everything at once': {
    states: 340_000,
    steps: [
      'is overtaken',
      'finds another stage',
      'is refused',
      'meets the fence',
      'ends the batch',
    ],
  },
};

describe('the protocol', () => {
  it.each(Object.entries(LARGE ? LARGE_SETTINGS : SETTINGS))(
    'keeps every invariant in every interleaving: %s',
    (name, setting: Setting) => {
      const scenario = scenarioOf(setting);
      const explored = explore(modelOf(scenario), MOST_STATES);
      const { counterexample, states, ends, taken } = explored;
      console.info(describeExploration(name, explored));
      expect(counterexample && describeCounterexample(scenario, counterexample)).toBeUndefined();
      const expected = EXPECTED[name as SettingName];
      expect(states).toBeGreaterThanOrEqual(expected.states);
      expect([...taken]).toEqual(expect.arrayContaining([...expected.steps]));
      expect(ends).toBeGreaterThan(0);
    },
    PATIENCE,
  );
});

/** A cutover that begins, and a rollback, beside one writer whose snapshot is older than both. */
const ROLLBACK_BESIDE_CUTOVER: Setting = {
  stage: 'legacy',
  starts: ['legacy only'],
  writers: [{ programs: ['inserts b'], isolation: ['repeatable read'] }],
  others: ['copier', 'cutover', 'rollback'],
  path: ['copying', 'mirrored'],
};
const PARITY_BESIDE_ROLLBACK: Setting = {
  stage: 'mirrored',
  starts: ['in step'],
  writers: [],
  others: ['parity', 'rollback'],
};
const COPY = SETTINGS['the copy, up to "mirrored"'];
const DRAINS = SETTINGS['two drains beside a compaction and the copy'];
const AUTHORITY = SETTINGS['authority moves to kits'];

const LOST = 'an acknowledged write lasts';
const STALE = 'no read is stale';
const UNNOTED = 'what is not in step is noted';
const LEFT = 'a rollback leaves nothing';

/** Where a defect shows, and which invariant it breaks first. */
const CAUGHT: Readonly<Record<Defect, readonly [Setting, string]>> = {
  'fence is a row in the snapshot': [AUTHORITY, LOST],
  'drain without its lock': [COPY, UNNOTED],
  'chunk lock of the worker': [COPY, UNNOTED],
  'two drains at once': [DRAINS, UNNOTED],
  'drain locks no rows': [AUTHORITY, STALE],
  'drain reads with what it takes': [AUTHORITY, STALE],
  'mirror without exception block': [AUTHORITY, 'a mirror’s failure aborts no write'],
  'mirror of an old snapshot notes nothing': [COPY, STALE],
  'flip without table locks': [AUTHORITY, LOST],
  'flip leaves the backlog': [AUTHORITY, LOST],
  'flip ignores open chunks': [COPY, STALE],
  'reopening compares nothing': [SETTINGS['the way back from "closed"'], STALE],
  'flip judges before it locks': [
    ROLLBACK_BESIDE_CUTOVER,
    'only neighbouring stages follow one another',
  ],
  'flip begins an ended batch': [ROLLBACK_BESIDE_CUTOVER, LEFT],
  'rollback judges without a lock': [ROLLBACK_BESIDE_CUTOVER, UNNOTED],
  'batch of the snapshot': [ROLLBACK_BESIDE_CUTOVER, LEFT],
  'parity outlives its stage': [PARITY_BESIDE_ROLLBACK, LEFT],
  'compaction beside a drain': [DRAINS, UNNOTED],
  'reads trust the flags': [AUTHORITY, STALE],
};

describe('a protocol with a defect is caught', () => {
  it.each(DEFECT_NAMES.map((defect) => ({ defect, meaning: DEFECTS[defect] })))(
    '$defect: $meaning',
    ({ defect }) => {
      const [setting, invariant] = CAUGHT[defect];
      const scenario = scenarioOf(setting, defect);
      const { counterexample } = explore(modelOf(scenario), MOST_STATES);
      if (counterexample === undefined) throw new Error(`nothing shows that ${defect}`);
      console.info(describeCounterexample(scenario, counterexample));
      expect(counterexample.breach.invariant).toBe(invariant);
      const sound = explore(modelOf(scenarioOf(setting)), MOST_STATES);
      expect(sound.counterexample).toBeUndefined();
    },
    PATIENCE,
  );

  it('and what is harmless is not: one snapshot for keys and rows while changes are only captured', () => {
    const scenario = scenarioOf(DRAINS, 'drain reads with what it takes');
    expect(explore(modelOf(scenario), MOST_STATES).counterexample).toBeUndefined();
  });
});

describe('the search', () => {
  /** Two counters that each go up to 3. */
  const counters = (changes: Partial<Model<{ a: number; b: number }>> = {}) => ({
    starts: [{ a: 0, b: 0 }],
    moves: ({ a, b }: { a: number; b: number }) => [
      ...(a < 3 ? [{ actor: 0, what: 'a', state: { a: a + 1, b } }] : []),
      ...(b < 3 ? [{ actor: 1, what: 'b', state: { a, b: b + 1 } }] : []),
    ],
    encode: ({ a, b }: { a: number; b: number }) => `${a} ${b}`,
    breach: () => undefined,
    finished: () => true,
    ...changes,
  });

  it('meets every state once', () => {
    expect(explore(counters(), 100)).toMatchObject({
      states: 16,
      transitions: 24,
      ends: 1,
      counterexample: undefined,
    });
  });

  it('finds the shortest way to a breach', () => {
    const breach = { invariant: 'never', detail: 'both are 2' };
    const { counterexample } = explore(
      counters({ breach: ({ a, b }) => (a === 2 && b === 2 ? breach : undefined) }),
      100,
    );
    expect(counterexample?.breach).toBe(breach);
    expect(counterexample?.moves.map(({ what }) => what).sort()).toEqual(['a', 'a', 'b', 'b']);
    expect(counterexample?.moves.at(-1)?.state).toEqual({ a: 2, b: 2 });
  });

  it('tells of a state in which everybody waits for ever', () => {
    const { counterexample } = explore(counters({ finished: () => false }), 100);
    expect(counterexample?.breach.invariant).toBe('nobody waits for ever');
    expect(counterexample?.moves).toHaveLength(6);
  });

  it('refuses to leave states out', () => {
    expect(() => explore(counters(), 15)).toThrow('more than 15 states');
  });
});
