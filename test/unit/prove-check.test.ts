import { describe, expect, it } from 'vitest';
import { check } from '../prove/check.ts';
import type { Evidence, EvidentEvent, EvidentKit } from '../prove/evidence.ts';
import type { Assignment, Entry, Outcome, Returned, SeenKit } from '../prove/history.ts';
import type { Rule } from '../prove/violation.ts';

/*
 * Histories made by hand, each with one thing wrong, and the rule that it breaks. The sound one that they are made
 * from breaks none: a checker that cries wolf would be as useless as one that sleeps.
 */

const ID = '018574a0-0000-8000-a000-000000000001';
const kit = (number: string, changes: Partial<EvidentKit> = {}): EvidentKit => ({
  number,
  source: 'kit',
  id: number.slice(1),
  orderId: 'first',
  kitType: null,
  place: 0,
  times: '',
  rest: 'owner',
  ...changes,
});
const seen = (changes: Partial<SeenKit> = {}): SeenKit => ({
  orderId: 'first',
  kitType: null,
  place: 0,
  kitsId: null,
  ...changes,
});

/** Operations one after the other, unless told otherwise, a millisecond each. */
class Story {
  readonly entries: Entry[] = [];
  #op = 0;
  #at = 0;

  begin(what: Extract<Entry, { kind: 'invoke' }>['what']): number {
    this.#op += 1;
    this.#at += 1;
    this.entries.push({ kind: 'invoke', op: this.#op, at: this.#at, client: 'anybody', what });
    return this.#op;
  }

  end(op: number, outcome: Outcome, more: Partial<Returned> = {}): this {
    this.#at += 1;
    this.entries.push({ kind: 'return', op, at: this.#at, outcome, ...more });
    return this;
  }

  write(writes: readonly Assignment[], outcome: Outcome = 'ok', more: Partial<Returned> = {}) {
    return this.end(this.begin({ do: 'write', by: 'api', writes }), outcome, more);
  }

  /** By plain SQL, with an SQLSTATE. */
  refused(writes: readonly Assignment[], fault: string): this {
    return this.end(this.begin({ do: 'write', by: 'sql', writes }), 'failed', { fault });
  }

  set(number: string, value: string, outcome: Outcome = 'ok'): this {
    return this.write([{ kit: number, field: 'orderId', value }], outcome);
  }

  read(number: string, shown: SeenKit | null): this {
    const op = this.begin({ do: 'read', kits: [number] });
    return this.end(op, 'ok', { seen: { [number]: shown } });
  }

  job(jobId: string, number: string, place: number): this {
    return this.end(this.begin({ do: 'job', jobId, kit: number, place }), 'ok');
  }

  note(what: string, unforeseen: boolean): this {
    this.entries.push({ kind: 'note', at: this.#at, what, unforeseen });
    return this;
  }
}

let events = 0;
const event = (number: string, changes: Partial<EvidentEvent> = {}): EvidentEvent => {
  events += 1;
  return {
    id: `e${events}`,
    kitsId: ID,
    source: 'kit',
    legacyId: number.slice(1),
    type: 'kit.updated',
    place: 0,
    previousPlace: 0,
    changed: ['orderId'],
    sent: true,
    ...changes,
  };
};

const evidence = (changes: Partial<Evidence> = {}): Evidence => {
  const told = changes.events ?? [];
  return {
    stage: 'legacy',
    original: [kit('K1')],
    stored: [kit('K1')],
    events: told,
    emitted: told.map(({ id }) => id),
    handled: {},
    waiting: [],
    dead: [],
    flips: [],
    leftovers: {},
    compared: [],
    ...changes,
  };
};

const rulesBroken = (story: Story, changes: Partial<Evidence> = {}): readonly Rule[] => [
  ...new Set(check(story.entries, evidence(changes)).map(({ rule }) => rule)),
];

/** A change, a job and a kit that was made, each told and seen. */
const soundStory = () =>
  new Story()
    .set('K1', 'second')
    .read('K1', seen({ orderId: 'second', kitsId: ID }))
    .job('j1', 'K1', 2)
    .read('K1', seen({ orderId: 'second', place: 2, kitsId: ID }))
    .write([
      { kit: 'N2', field: 'exists', value: 'yes' },
      { kit: 'N2', field: 'orderId', value: 'made' },
    ]);
const made = kit('N2', { orderId: 'made', id: '2' });
const soundEnd = (): Partial<Evidence> => ({
  stored: [kit('K1', { orderId: 'second', place: 2 }), made],
  handled: { j1: 'applied' },
  events: [
    event('K1'),
    event('K1', { place: 2, changed: ['status'], type: 'kit.status-changed' }),
    event('N2', { previousPlace: null, changed: [], type: 'kit.created', kitsId: 'other' }),
  ],
});

describe('the checker', () => {
  it('finds nothing wrong where nothing is', () => {
    expect(rulesBroken(soundStory(), soundEnd())).toEqual([]);
  });

  it('takes a write of unknown outcome either way, also after a later one', () => {
    for (const orderId of ['first', 'second'])
      expect(
        rulesBroken(new Story().set('K1', 'second', 'unknown'), {
          stored: [kit('K1', { orderId })],
          events: orderId === 'first' ? [] : [event('K1')],
        }),
      ).toEqual([]);
    expect(
      rulesBroken(new Story().set('K1', 'second', 'unknown').set('K1', 'third'), {
        stored: [kit('K1', { orderId: 'second' })],
        events: [event('K1'), event('K1')],
      }),
    ).toEqual([]);
  });

  it('lets a read beside a write show either', () => {
    for (const orderId of ['first', 'second']) {
      const story = new Story();
      const write = story.begin({
        do: 'write',
        by: 'api',
        writes: [{ kit: 'K1', field: 'orderId', value: 'second' }],
      });
      story.read('K1', seen({ orderId })).end(write, 'ok');
      expect(
        rulesBroken(story, { stored: [kit('K1', { orderId: 'second' })], events: [event('K1')] }),
      ).toEqual([]);
    }
  });

  it.each<readonly [Rule, string, Story, Partial<Evidence>]>([
    ['lost write', 'an older value', new Story().set('K1', 'second'), { events: [event('K1')] }],
    [
      'lost write',
      'a kit that was acknowledged',
      new Story().write([{ kit: 'N2', field: 'exists', value: 'yes' }]),
      {},
    ],
    [
      'lost write',
      'a kit that was deleted and is back',
      new Story().write([{ kit: 'K1', field: 'exists', value: 'no' }]),
      {},
    ],
    [
      'effect of nothing',
      'a refused value',
      new Story().set('K1', 'second', 'failed'),
      { stored: [kit('K1', { orderId: 'second' })] },
    ],
    [
      'half a write',
      'one kit of two, nobody knows whether',
      new Story().write(
        [
          { kit: 'K1', field: 'kitType', value: 'both' },
          { kit: 'K2', field: 'kitType', value: 'both' },
        ],
        'unknown',
      ),
      { original: [kit('K1'), kit('K2')], stored: [kit('K1', { kitType: 'both' }), kit('K2')] },
    ],
    [
      'not once',
      'two rows of one kit',
      new Story(),
      { stored: [kit('K1'), kit('K1', { id: '7' })] },
    ],
    ['not once', 'a kit that nobody made', new Story(), { stored: [kit('K1'), kit('K9')] }],
    [
      'stale read',
      'what was overwritten before',
      new Story().set('K1', 'second').read('K1', seen()),
      { stored: [kit('K1', { orderId: 'second' })], events: [event('K1')] },
    ],
    ['stale read', 'nothing where a kit is', new Story().read('K1', null), {}],
    [
      'stale read',
      'a status that went back',
      new Story().read('K1', seen({ place: 3 })).read('K1', seen({ place: 2 })),
      {},
    ],
    [
      'mirror refused',
      'an error of the other store',
      new Story().write([{ kit: 'K1', field: 'kitType', value: 'x' }], 'failed', {
        refusedBy: 'kits',
        fault: '23505',
      }),
      {},
    ],
    [
      'valid write refused',
      'a constraint that no client has broken',
      new Story().refused([{ kit: 'K1', field: 'kitType', value: 'x' }], '23502'),
      {},
    ],
    ['lost job', 'a job that is nowhere', new Story().job('j1', 'K1', 1), {}],
    [
      'lost write',
      'a job that left no trace',
      new Story().job('j1', 'K1', 1),
      {
        handled: { j1: 'applied' },
        events: [event('K1', { place: 1, changed: ['status'] })],
      },
    ],
    [
      'events differ',
      'a change that nobody tells of',
      new Story().set('K1', 'second'),
      { stored: [kit('K1', { orderId: 'second' })] },
    ],
    [
      'events differ',
      'a change that is told twice',
      new Story().set('K1', 'second'),
      { stored: [kit('K1', { orderId: 'second' })], events: [event('K1'), event('K1')] },
    ],
    [
      'events differ',
      'statuses that do not follow one another',
      new Story().job('j1', 'K1', 1).job('j2', 'K1', 2),
      {
        stored: [kit('K1', { place: 2 })],
        handled: { j1: 'applied', j2: 'applied' },
        events: [
          event('K1', { place: 2, previousPlace: 1, changed: ['status'] }),
          event('K1', { place: 1, previousPlace: 0, changed: ['status'] }),
        ],
      },
    ],
    [
      'event not sent',
      'an event that stayed in the outbox',
      new Story().set('K1', 'second'),
      { stored: [kit('K1', { orderId: 'second' })], events: [event('K1')], emitted: [] },
    ],
    [
      'illegal flip',
      'a stage left out',
      new Story(),
      { flips: [{ from: 'legacy', to: 'mirrored', epoch: 1 }] },
    ],
    [
      'illegal flip',
      'one flip made twice',
      new Story(),
      {
        flips: [
          { from: 'legacy', to: 'copying', epoch: 1 },
          { from: 'legacy', to: 'copying', epoch: 1 },
        ],
      },
    ],
    ['left behind', 'rows after a rollback', new Story(), { leftovers: { 'rows in kits': 1 } }],
    [
      'not restored',
      'a column that nobody wrote',
      new Story(),
      { stored: [kit('K1', { rest: 'somebody else' })] },
    ],
    [
      'unforeseen error',
      'an execution that failed so',
      new Story().note('cutover FAILED', true),
      {},
    ],
    [
      'another id',
      'a kits id of its own in a second migration',
      new Story().read('K1', seen({ kitsId: ID })).read('K1', seen({ kitsId: 'another' })),
      {},
    ],
  ])('finds %s: %s', (rule, _what, story, changes) => {
    expect(rulesBroken(story, changes)).toContain(rule);
  });

  it('finds stores that differ: by content, by presence, by what the comparison said, by what is noted', () => {
    const same = {
      stage: 'mirrored' as const,
      settled: true,
      noted: [] as readonly string[],
      legacy: [kit('K1')],
      kits: [kit('K1')],
      kitsIds: { K1: ID },
      mismatched: 0,
      strayOwners: 0,
    };
    expect(rulesBroken(new Story(), { compared: [same] })).toEqual([]);
    for (const wrong of [
      { kits: [kit('K1', { orderId: 'other' })] },
      { kits: [] },
      { legacy: [], kits: [kit('K1')] },
      { mismatched: 1 },
      { noted: ['kit 1'] },
      { strayOwners: 1 },
    ])
      expect(rulesBroken(new Story(), { compared: [{ ...same, ...wrong }] })).toEqual([
        'stores differ',
      ]);
    const behind = { ...same, settled: false, kits: [] };
    expect(rulesBroken(new Story(), { compared: [{ ...behind, noted: ['kit 1'] }] })).toEqual([]);
    expect(rulesBroken(new Story(), { compared: [behind] })).toEqual(['stores differ']);
  });
});
