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
 * PROTOCOL_MODEL=large explores more programs and a chunk for each key: some ten million states, in some minutes.
 */
import { describe, expect, it } from 'vitest';
import { describeCounterexample } from '../model/counterexample.ts';
import { modelOf } from '../model/model.ts';
import { DEFECT_NAMES, DEFECTS, type Defect } from '../model/protocol.ts';
import { LARGE_SETTINGS, SETTINGS, type SettingName, scenarioOf } from '../model/scenarios.ts';
import { explore, type Model } from '../model/search.ts';

const LARGE = process.env.PROTOCOL_MODEL === 'large';
/** At once: a large scenario is explored start by start. */
const MOST_STATES = 10_000_000;
/** Some seconds on an idle machine, in milliseconds. */
const PATIENCE = LARGE ? 3_600_000 : 120_000;

/** What a search must have met at least, so that it cannot shrink unnoticed: states, and steps that matter. */
const LEAST: Readonly<
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
  'a cutover that begins beside a rollback': {
    states: 6_500,
    steps: ['is overtaken', 'finds another stage', 'is refused', 'ends the batch'],
  },
  'a comparison beside a rollback': {
    states: 1_600,
    steps: ['notes a key', 'finds nothing', 'ends the batch'],
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

/** Where a defect shows, and which invariant it breaks first. */
const CAUGHT: Readonly<Record<Defect, { readonly where: SettingName; readonly breaks: string }>> = {
  'fence is a row in the snapshot': {
    where: 'authority moves to kits',
    breaks: 'an acknowledged write lasts',
  },
  'drain without its lock': {
    where: 'the copy, up to "mirrored"',
    breaks: 'what is not in step is noted',
  },
  'chunk lock of the worker': {
    where: 'the copy, up to "mirrored"',
    breaks: 'what is not in step is noted',
  },
  'two drains at once': {
    where: 'two drains beside a compaction and the copy',
    breaks: 'what is not in step is noted',
  },
  'drain locks no rows': { where: 'authority moves to kits', breaks: 'no read is stale' },
  'drain locks no leftovers': { where: 'authority moves to kits', breaks: 'no read is stale' },
  'drain reads with what it takes': {
    where: 'authority moves to kits',
    breaks: 'no read is stale',
  },
  'mirror without exception block': {
    where: 'authority moves to kits',
    breaks: 'a mirror’s failure aborts no write',
  },
  'mirror of an old snapshot notes nothing': {
    where: 'the copy, up to "mirrored"',
    breaks: 'no read is stale',
  },
  'flip without table locks': {
    where: 'authority moves to kits',
    breaks: 'an acknowledged write lasts',
  },
  'flip leaves the backlog': {
    where: 'authority moves to kits',
    breaks: 'an acknowledged write lasts',
  },
  'flip ignores open chunks': { where: 'the copy, up to "mirrored"', breaks: 'no read is stale' },
  'reopening compares nothing': { where: 'the way back from "closed"', breaks: 'no read is stale' },
  'flip judges before it locks': {
    where: 'a cutover that begins beside a rollback',
    breaks: 'only neighbouring stages follow one another',
  },
  'flip begins an ended batch': {
    where: 'a cutover that begins beside a rollback',
    breaks: 'a rollback leaves nothing',
  },
  'rollback judges without a lock': {
    where: 'a cutover that begins beside a rollback',
    breaks: 'what is not in step is noted',
  },
  'batch of the snapshot': {
    where: 'a cutover that begins beside a rollback',
    breaks: 'a rollback leaves nothing',
  },
  'parity outlives its stage': {
    where: 'a comparison beside a rollback',
    breaks: 'a rollback leaves nothing',
  },
  'compaction beside a drain': {
    where: 'two drains beside a compaction and the copy',
    breaks: 'what is not in step is noted',
  },
  'reads trust the flags': { where: 'authority moves to kits', breaks: 'no read is stale' },
};

describe('the protocol', () => {
  it.each(Object.keys(SETTINGS) as SettingName[])(
    'keeps every invariant in every interleaving: %s',
    (name) => {
      const scenario = scenarioOf((LARGE ? LARGE_SETTINGS : SETTINGS)[name]);
      const { starts } = scenario;
      const taken = new Set<string>();
      let [states, ends] = [0, 0];
      for (const together of LARGE ? starts.map((start) => [start]) : [starts]) {
        const explored = explore(modelOf({ ...scenario, starts: together }), MOST_STATES);
        const { counterexample } = explored;
        expect(counterexample && describeCounterexample(scenario, counterexample)).toBeUndefined();
        states += explored.states;
        ends += explored.ends;
        for (const what of explored.taken) taken.add(what);
      }
      console.info(`${name}: ${states} states from ${starts.length} starts, ${ends} of them ends`);
      expect(states).toBeGreaterThanOrEqual(LEAST[name].states);
      expect([...taken]).toEqual(expect.arrayContaining([...LEAST[name].steps]));
      expect(ends).toBeGreaterThan(0);
    },
    PATIENCE,
  );
});

describe('a protocol with a defect is caught', () => {
  it.each(DEFECT_NAMES.map((defect) => ({ defect, meaning: DEFECTS[defect] })))(
    '$defect: $meaning',
    ({ defect }) => {
      const { where, breaks } = CAUGHT[defect];
      const scenario = scenarioOf(SETTINGS[where], defect);
      const { counterexample } = explore(modelOf(scenario), MOST_STATES);
      if (counterexample === undefined) throw new Error(`nothing shows the defect "${defect}"`);
      console.info(describeCounterexample(scenario, counterexample));
      expect(counterexample.breach.invariant).toBe(breaks);
    },
    PATIENCE,
  );

  it('and what is harmless is not: one snapshot for keys and rows while changes are only captured', () => {
    const setting = SETTINGS['two drains beside a compaction and the copy'];
    const scenario = scenarioOf(setting, 'drain reads with what it takes');
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
