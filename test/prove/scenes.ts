import { setTimeout as sleep } from 'node:timers/promises';
import { SOURCES, type Stage, type Store } from '@unified-kits/domain';
import type { FaultKind } from './faults.ts';
import type { History } from './history.ts';
import type { KnownKit } from './kits-known.ts';
import type { Until } from './operator.ts';
import type { Pace } from './pace.ts';
import type { ProveSystem, SeenCall } from './prove-system.ts';
import { CLIENTS } from './server.ts';
import type { SqlChange } from './sql-changes.ts';
import { KITS, Stagehand } from './stagehand.ts';

/** How long a write stays uncommitted across flips. */
const SLOW_MS = { one: 400, many: 2_500 } as const;
/** How long a drain is given that should be kept out; one that is seen to be is not waited for. */
const KEPT_OUT_MS = 5_000;
/** With what a drain writes. */
const SYNC = 'select migration."sync_';
/** Within so long clients have ended what they were at. */
const STILL_MS = 500;
/** Within so long whoever watches both stores has looked. */
const SEEN_MS = 800;
/** The last statement of a chunk's transaction, whose rows are there by then. */
const CHUNK_ENDS = 'update migration.chunk set cursor';
const SLOW_CHUNKS = 10;
const SLOW_CHUNK_MS = 120;
const EAGER_MS = 2_000;
const ROUNDS = 3;
/** With what a flip takes its locks. */
const LOCKS = 'in share row exclusive mode';
const BEFORE_LOCKS_MS = 80;

export type SceneName =
  | 'late chunk'
  | 'impatient operator'
  | 'old snapshot'
  | 'slow writer'
  | 'drain beside a writer'
  | 'two drains'
  | 'reopened';

interface Scene {
  /** Where the cutover must lead at least; undefined where any will do. */
  readonly until?: Until;
  /** Faults that would end its transactions, which must last for stages. */
  readonly without?: readonly FaultKind[];
  play(hand: Stagehand): Promise<void>;
}

/** All of them to their ends. @throws the first fault, then. */
const together = async (parts: readonly Promise<void>[]): Promise<void> => {
  for (const outcome of await Promise.allSettled(parts))
    if (outcome.status === 'rejected') throw outcome.reason;
};

/** A transaction that has written before a flip and commits after it, unless the flip waits as it must. */
const slowWriter = async (
  hand: Stagehand,
  [name, action]: readonly [SeenCall['name'], string],
  mostMs: number,
  enough?: () => Promise<unknown>,
): Promise<void> => {
  const transaction = await hand.begin('read committed');
  try {
    await hand.called(name, action);
    const changes = [
      hand.set(),
      { do: 'delete' as const, kit: hand.kit() },
      hand.insert('kit', `user${CLIENTS}`),
    ];
    if ((await transaction.write(await hand.store(), changes)) === undefined) return;
    const patience = sleep(mostMs, undefined, { signal: hand.signal });
    await (enough === undefined ? patience : Promise.race([patience, enough()]));
    await transaction.commit();
  } finally {
    await transaction.end();
  }
};

/** Transactions with a snapshot from one moment that write at another. */
const oldSnapshots = async (
  hand: Stagehand,
  taken: Promise<unknown>,
  written: () => Promise<unknown>,
): Promise<void> => {
  await taken;
  const transactions = await Promise.all([
    hand.begin('repeatable read'),
    hand.begin('serializable'),
    hand.begin('repeatable read'),
  ]);
  try {
    await written();
    const store = await hand.store();
    const writes: readonly [Store, SqlChange][] = [
      [store, { do: 'delete', kit: hand.kit() }],
      [store, hand.insert('kit', `user${CLIENTS}`)],
      // Who does not know that it has moved; where it has, this must be refused.
      ['legacy', hand.set()],
    ];
    await Promise.all(
      transactions.map(async (transaction, index) => {
        const [where, change] = writes[index] ?? [];
        if (where === undefined || change === undefined) return;
        if ((await transaction.write(where, [change])) !== undefined) await transaction.commit();
      }),
    );
  } finally {
    await Promise.all(transactions.map((transaction) => transaction.end()));
  }
};

/** Deletions that no mirror of theirs can see, just before flips have their locks. */
const unseenDeletions = async (hand: Stagehand, taken: Promise<unknown>): Promise<void> => {
  await taken;
  const transactions = await Promise.all(
    Array.from({ length: ROUNDS }, () => hand.begin('repeatable read')),
  );
  try {
    await hand.called('phase3-services', 'switch');
    for (const transaction of transactions) {
      await hand.orEnd(hand.system.network.interrupt({ statement: LOCKS, hold: BEFORE_LOCKS_MS }));
      const change = { do: 'delete', kit: hand.kit() } as const;
      if ((await transaction.write('legacy', [change])) !== undefined) await transaction.commit();
    }
  } finally {
    await Promise.all(transactions.map((transaction) => transaction.end()));
  }
};

/**
 * Two drains, the first of which waits for one row while the other row is written and drained by the second.
 *
 * @returns whether both came to their ends.
 */
const drainTwice = async (
  hand: Stagehand,
  event: SeenCall['event'],
  held: KnownKit,
  written: KnownKit,
): Promise<boolean> => {
  await hand.write([hand.set(held), hand.set(written)], 'read committed');
  const { promise: over, resolve: end } = Promise.withResolvers<void>();
  const drains: Promise<boolean>[] = [];
  const holding = hand.system.admin
    .transaction({ asApplication: true }, async (session) => {
      await session.query('select from kits where legacy_id = $1 for update', [held.id]);
      drains.push(hand.stray('drain', event));
      await over;
    })
    .then(
      () => true,
      () => false,
    );
  try {
    await hand.somebodyWaits(SYNC);
    await hand.write([hand.set(written)], 'read committed');
    const second = hand.stray('drain', event);
    drains.push(second);
    await Promise.race([second, hand.drainKeptOut(KEPT_OUT_MS)]);
  } finally {
    end();
    await Promise.allSettled([holding, ...drains]);
  }
  return (await Promise.all([holding, ...drains])).every(Boolean);
};

const eagerReads = async (hand: Stagehand): Promise<void> => {
  await hand.called('phase6-validation', 'rehearse');
  // One that begins now has no other flags in its cache.
  hand.system.processes.service.kill();
  for (const until = Date.now() + EAGER_MS; Date.now() < until; ) {
    await hand.system.setFlag('unifiedReads', true).catch(() => undefined);
    await sleep(EAGER_MS / 20, undefined, { signal: hand.signal });
  }
};

const earlyMirror = async (hand: Stagehand): Promise<void> => {
  const event = await hand.called('phase2-migration', 'copy');
  // With so little data a copy would be over before anybody could ask.
  for (let chunk = 1; chunk <= SLOW_CHUNKS; chunk += 1)
    void hand.system.network.interrupt({ statement: CHUNK_ENDS, hold: SLOW_CHUNK_MS });
  for (let round = 1; round <= ROUNDS; round += 1) await hand.stray('mirror', event);
};

/**
 * Moments that must come one after the other for anything to go wrong: faults drawn by chance hit such a row in
 * one run of many, so each run stages one of them, in turn by its seed.
 */
export const SCENES: Readonly<Record<SceneName, Scene>> = {
  /** Chunks are about to commit while their rows are deleted and the backlog is drained. */
  'late chunk': {
    async play(hand) {
      const { promise: ready, resolve: copy } = Promise.withResolvers<void>();
      const { promise: over, resolve: end } = Promise.withResolvers<void>();
      try {
        const event = await hand.called('phase2-migration', 'copy', ready);
        // A noted row of theirs in a chunk would keep the drain waiting, lock or not.
        hand.pace.stillUntil(over);
        await sleep(STILL_MS, undefined, { signal: hand.signal });
        await hand.stray('drain', event);
        // One of each source: two lanes begin at their first pieces, and only practitioners' ids are in no order.
        const chunks = SOURCES.map(() =>
          hand.system.network.interrupt({ statement: CHUNK_ENDS, hold: over }),
        );
        copy();
        await hand.orEnd(Promise.race([Promise.all(chunks), sleep(KEPT_OUT_MS)]));
        await hand.write(
          hand.kits(2 * KITS).map((kit) => ({ do: 'delete', kit })),
          'read committed',
        );
        await Promise.race([hand.stray('drain', event), hand.drainKeptOut(KEPT_OUT_MS)]);
      } finally {
        copy();
        end();
      }
    },
  },
  /** Somebody asks for unified reads before there is anything to read, and for the mirror during the copy. */
  'impatient operator': {
    async play(hand) {
      await together([eagerReads(hand), earlyMirror(hand)]);
    },
  },
  /** Snapshots from before the batch, or from before the copy, in which is written stages later. */
  'old snapshot': {
    until: 'unified',
    without: ['crash postgres', 'disk full'],
    async play(hand) {
      const copies = hand.called('phase2-migration', 'copy');
      await together([
        oldSnapshots(hand, Promise.resolve(), () => hand.reached('mirrored', 'dual-write')),
        unseenDeletions(hand, copies),
        oldSnapshots(hand, Promise.resolve(), () => hand.reached('unified', 'closed')),
      ]);
    },
  },
  /** Writes that were made before a flip, and are committed after it. */
  'slow writer': {
    // Where nothing is noted: what a flip back did not wait for nobody would know of.
    until: 'closed',
    async play(hand) {
      await together([
        slowWriter(hand, ['phase2-migration', 'begin'], SLOW_MS.one),
        slowWriter(hand, ['phase2-migration', 'mirror'], SLOW_MS.one),
        slowWriter(hand, ['phase3-services', 'switch'], SLOW_MS.one),
        // From where kits is written to where it no longer is, if nothing waits.
        slowWriter(hand, ['rollback', 'begin'], SLOW_MS.many, () =>
          hand.reached('mirrored', 'legacy'),
        ),
      ]);
    },
  },
  /** While a mirror is on, a noted kit is drained and written at the same time. */
  'drain beside a writer': {
    until: 'dual-write',
    async play(hand) {
      for (let round = 1; round <= ROUNDS; round += 1) {
        await hand.reached('mirrored', 'dual-write');
        const kit = hand.kit();
        // A mirror in such a transaction always leaves a note.
        await hand.write([hand.set(kit)], 'repeatable read');
        const writer = await hand.begin('read committed');
        try {
          if ((await writer.write(await hand.store(), [hand.set(kit)])) === undefined) continue;
          const drained = hand.system
            .invoke('flag-changed', { source: 'aws.scheduler' })
            .catch(() => undefined);
          await hand.somebodyWaits();
          await writer.commit();
          await drained;
        } finally {
          await writer.end();
        }
      }
    },
  },
  /** While one drain waits for a row of `kits`, another one that it has read already is written and drained. */
  'two drains': {
    async play(hand) {
      const kits = hand
        .kits(8)
        .filter(({ source }) => source === 'practitioner_kits')
        .toSorted((one, another) => (one.id < another.id ? -1 : 1));
      const [first, second, third, fourth] = kits;
      if (!first || !second || !third || !fourth)
        throw new TypeError('a scene needs four kits of practitioners');
      // A fault may end any of it, and the cutover with it: then with the next one.
      for (let played = false; !played; ) {
        const { promise: over, resolve: end } = Promise.withResolvers<void>();
        const event = await hand.called('phase2-migration', 'drain', over);
        try {
          // A row of theirs in both drains would keep the second one waiting, lock or not.
          hand.pace.stillUntil(over);
          await sleep(STILL_MS, undefined, { signal: hand.signal });
          played =
            (await hand.stage()) === 'copying' &&
            (await hand.stray('drain', event)) &&
            (await drainTwice(hand, event, first, second)) &&
            (await drainTwice(hand, event, fourth, third));
          // What is wrong now is repaired once parity has been compared.
          await sleep(SEEN_MS, undefined, { signal: hand.signal });
        } finally {
          end();
        }
      }
    },
  },
  /** What is written where nothing is noted, and a way back on which the mirror stays without a comparison. */
  reopened: {
    until: 'closed',
    async play(hand) {
      const kit = hand.kit();
      do {
        await hand.reached('closed');
        await hand.write([hand.set(kit), hand.insert('kit', `user${CLIENTS}`)], 'read committed');
      } while ((await hand.stage()) !== 'closed');
      // One comes in "unified", before the mirror, and one with it: that one would repair what is wrong.
      for (let stage: Stage = 'closed'; stage !== 'dual-write'; ) {
        const { promise: over, resolve: end } = Promise.withResolvers<void>();
        try {
          await hand.called('phase6-validation', 'begin-parity', over);
          stage = await hand.stage();
          await sleep(SEEN_MS, undefined, { signal: hand.signal });
        } finally {
          end();
        }
      }
    },
  },
};
const SCENE_NAMES = Object.keys(SCENES) as readonly SceneName[];

export const sceneOf = (seed: number): SceneName =>
  SCENE_NAMES[seed % SCENE_NAMES.length] ?? 'old snapshot';

/** Makes the scene's kits and begins to play it. `stop` says whether it came to its end. */
export const startScene = async (
  system: ProveSystem,
  history: History,
  pace: Pace,
  name: SceneName,
): Promise<{ stop(): Promise<boolean> }> => {
  const stopped = new AbortController();
  const hand = new Stagehand(system, history, pace, stopped.signal);
  await hand.prepare();
  const note = (what: string, detail?: unknown) => history.note(`scene: ${name} ${what}`, detail);
  const playing = SCENES[name].play(hand).then(
    () => {
      note('is over');
      return true;
    },
    (error: unknown) => {
      note('did not come to its end', {
        error: error instanceof Error ? error.message : String(error),
      });
      return false;
    },
  );
  return {
    async stop() {
      stopped.abort();
      return await playing;
    },
  };
};
