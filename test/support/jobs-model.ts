import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type Binding,
  copyChunk,
  copyLane,
  deleteBatch,
  drain,
  endBatch,
  finishCopy,
  flip,
  planCopy,
  project,
} from '@unified-kits/data';
import {
  type KitStatus,
  SOURCES,
  type Source,
  STAGE_DEFINITIONS,
  type Stage,
  stagePath,
} from '@unified-kits/domain';
import type { SQSRecord } from 'aws-lambda';
import fc from 'fast-check';
import { expect } from 'vitest';
import { bodyOf, type MessagePlan, messagePlan, onlyKitOf } from './job-plans.ts';
import { type Delivered, type JobsRig, OWNER_STATUSES, Side, type SideName } from './job-side.ts';
import { installed } from './legacy.ts';
import { begin, parity } from './migration.ts';

/** What the migration may do, also while a batch of messages is at work. */
type Move =
  | { readonly do: 'forward' | 'skip-dual-write' | 'drain' | 'back' | 'rollback' }
  | { readonly do: 'chunk'; readonly rows: number }
  /** The flags say what this stage would need, whatever holds. */
  | { readonly do: 'flags'; readonly as: Stage };

/** What may happen at any moment; what the stage does not allow is passed over. */
export type Command =
  | Move
  | { readonly do: 'enqueue'; readonly messages: readonly MessagePlan[] }
  | {
      readonly do: 'deliver';
      /** Which of those that wait, counted round. */
      readonly picks: readonly number[];
      /** The answer is lost, so all of them are delivered again. */
      readonly lost: boolean;
      /** Two invocations with the same messages at the same time, as after a visibility timeout. */
      readonly twice: boolean;
      /** Invocations that share them at the same time, where they are about kits of their own. */
      readonly lanes: number;
      /** What happens meanwhile, so many milliseconds after the delivery has begun. */
      readonly meanwhile:
        | Move
        | { readonly do: 'disconnect' }
        | { readonly do: 'pause' }
        | undefined;
      readonly after: number;
    }
  | { readonly do: 'pause' | 'resume' | 'relay' }
  | { readonly do: 'birth'; readonly source: Source }
  | { readonly do: 'change'; readonly kit: number; readonly status: KitStatus };

const move: fc.Arbitrary<Move> = fc.oneof(
  { weight: 9, arbitrary: fc.record({ do: fc.constant('forward' as const) }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constantFrom('drain' as const, 'skip-dual-write' as const, 'back' as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('rollback' as const) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('chunk' as const),
      rows: fc.integer({ min: 1, max: 4 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('flags' as const),
      as: fc.constantFrom(
        'legacy' as const,
        'mirrored' as const,
        'dual-write' as const,
        'unified' as const,
      ),
    }),
  },
);

export const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('enqueue' as const),
      messages: fc.array(messagePlan, { minLength: 2, maxLength: 8 }),
    }),
  },
  {
    weight: 10,
    arbitrary: fc.record({
      do: fc.constant('deliver' as const),
      picks: fc.array(fc.nat({ max: 40 }), { minLength: 1, maxLength: 10 }),
      lost: fc.integer({ min: 0, max: 5 }).map((n) => n === 0),
      twice: fc.integer({ min: 0, max: 5 }).map((n) => n === 0),
      lanes: fc.constantFrom(1, 1, 2, 3),
      meanwhile: fc.option(
        fc.oneof(
          { weight: 6, arbitrary: move },
          {
            weight: 1,
            arbitrary: fc.constantFrom({ do: 'disconnect' as const }, { do: 'pause' as const }),
          },
        ),
        { nil: undefined },
      ),
      after: fc.nat({ max: 30 }),
    }),
  },
  { weight: 8, arbitrary: move },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constantFrom('pause' as const, 'resume' as const, 'resume' as const, 'relay' as const),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('birth' as const),
      source: fc.constantFrom(...SOURCES),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('change' as const),
      kit: fc.nat({ max: 20 }),
      status: fc.constantFrom(...OWNER_STATUSES),
    }),
  },
);

/** A message that waits, for both sides. */
interface Waiting {
  readonly messageId: string;
  readonly plan: MessagePlan;
  /** By number, where no other kit can be meant. */
  readonly onlyKit: string | undefined;
  readonly bodies: Readonly<Record<SideName, string>>;
  readonly receives: number;
}

/** What one invocation is given, and how many are given it. */
interface Batch {
  readonly messages: readonly Waiting[];
  readonly times: number;
}

/** Kits in each legacy table. */
const ROWS = 8;
const FORWARD: Readonly<Partial<Record<Stage, Stage>>> = {
  legacy: 'copying',
  copying: 'mirrored',
  mirrored: 'dual-write',
  'dual-write': 'unified',
  unified: 'closed',
};
const BACK: Readonly<Partial<Record<Stage, Stage>>> = {
  closed: 'unified',
  unified: 'dual-write',
  'dual-write': 'mirrored',
};
const who = { phase: 'test', actor: 'test' };
const far = () => Date.now() + 60_000;

/**
 * Shares messages out so that what happens in one lane is nothing to another: those about one kit, or of one
 * job, are in one lane. References to other kits make that unknowable; then there is one lane.
 */
const inLanes = (messages: readonly Waiting[], lanes: number): readonly (readonly Waiting[])[] => {
  const ids = new Set(messages.map(({ plan }) => plan.id));
  const kits = [...new Set(messages.map(({ onlyKit }) => onlyKit))];
  if (kits.includes(undefined) || ids.size < messages.length) return [messages];
  return Array.from({ length: lanes }, (_, lane) =>
    messages.filter(({ onlyKit }) => kits.indexOf(onlyKit) % lanes === lane),
  ).filter(({ length }) => length > 0);
};

/** How many of the invocations that were given these messages put them back. */
const timesPutBack = (messages: readonly Waiting[], putBack: readonly string[]): number => {
  const body = messages[0]?.bodies.migrating;
  const count = (bodies: readonly string[]) => bodies.filter((one) => one === body).length;
  return count(putBack) / count(messages.map(({ bodies }) => bodies.migrating));
};

/**
 * A migration beside a database that never migrates. Messages go to the one, in any order and at any
 * moment; what had its effect there is then delivered to the other, where it must have the same.
 */
export class JobsModel {
  readonly #migrating: Side;
  readonly #steady: Side;
  readonly #began = Date.now();
  #binding: Binding | undefined;
  #stage: Stage = 'legacy';
  #batchId = '';
  #copied = false;
  #paused = false;
  #births = 0;
  #changes = 0;
  #waiting: Waiting[] = [];
  /** How often something happened, so that a test can say that it did. */
  readonly seen = new Map<string, number>();

  private constructor(migrating: Side, steady: Side) {
    this.#migrating = migrating;
    this.#steady = steady;
  }

  static async start(rig: JobsRig): Promise<JobsModel> {
    const model = new JobsModel(
      await Side.open('migrating', rig, ROWS),
      await Side.open('steady', rig, ROWS),
    );
    expect(model.#migrating.kits).toEqual(model.#steady.kits);
    return model;
  }

  #count(what: string, n = 1): void {
    this.seen.set(what, (this.seen.get(what) ?? 0) + n);
  }

  get #sides(): readonly Side[] {
    return [this.#migrating, this.#steady];
  }

  async take(next: Command): Promise<void> {
    switch (next.do) {
      case 'enqueue':
        for (const plan of next.messages)
          this.#waiting.push({
            messageId: randomUUID(),
            plan,
            onlyKit: onlyKitOf(plan, this.#steady.kits)?.kitNumber,
            bodies: {
              migrating: bodyOf(plan, this.#migrating.kits, this.#began),
              steady: bodyOf(plan, this.#steady.kits, this.#began),
            },
            receives: 0,
          });
        return;
      case 'deliver':
        return this.#deliver(next);
      case 'pause':
      case 'resume':
        return this.#guard(next.do === 'pause');
      case 'relay':
        for (const side of this.#sides) await side.relay();
        return;
      case 'birth':
        this.#births += 1;
        for (const side of this.#sides) await side.birth(next.source, `N${this.#births}`);
        return;
      case 'change': {
        const [one, other] = await Promise.all(
          this.#sides.map((side) => side.change(next.kit, next.status)),
        );
        expect(one).toEqual(other);
        if (one?.changed === true) this.#changes += 1;
        return;
      }
      default:
        return this.#move(next);
    }
  }

  async #guard(on: boolean): Promise<void> {
    await this.#migrating.flags.write({ migrationInProgress: on });
    this.#paused = on;
  }

  async #flip(to: Stage): Promise<void> {
    await flip(this.#migrating.legacy.db, this.#bound, { to, ...who });
    this.#stage = to;
    this.#count(to);
  }

  get #bound(): Binding {
    if (this.#binding === undefined) throw new TypeError('a migration that has begun');
    return this.#binding;
  }

  async #drained(): Promise<void> {
    for (let round = 0; round < 5; round += 1)
      if ((await drain(this.#migrating.legacy.db, this.#bound, far())).stuck === 0) return;
    throw new Error('keys are stuck');
  }

  async #exact(): Promise<void> {
    await this.#drained();
    const { mismatched } = await parity(this.#migrating.legacy.db, this.#bound);
    expect(mismatched).toBe(0);
  }

  async #move(next: Move): Promise<void> {
    const { legacy, flags } = this.#migrating;
    switch (next.do) {
      case 'chunk':
        return this.#chunk(next.rows);
      case 'drain':
        if (this.#stage !== 'legacy') await drain(legacy.db, this.#bound, far());
        return;
      case 'forward': {
        const to = FORWARD[this.#stage];
        if (to === 'copying') await this.#begin();
        else if (to !== undefined) await this.#advance(to);
        return;
      }
      case 'skip-dual-write':
        if (this.#stage === 'mirrored') await this.#advance('unified');
        return;
      case 'back': {
        const to = BACK[this.#stage];
        if (to !== undefined) await this.#retreat(to);
        return;
      }
      case 'rollback':
        return this.#rollBack();
      case 'flags': {
        const kitsLead = STAGE_DEFINITIONS[next.as].writes === 'kits';
        await flags.write({
          unifiedReads: next.as !== 'legacy',
          unifiedWrites: kitsLead,
          dualWrite: next.as === 'dual-write',
        });
      }
    }
  }

  async #begin(): Promise<void> {
    const { legacy } = this.#migrating;
    this.#binding = await installed(legacy);
    this.#batchId = await begin(legacy.db, this.#binding);
    this.#stage = 'copying';
    this.#copied = false;
    this.#count('copying');
    await planCopy(legacy.db, this.#binding, this.#batchId, 'test');
  }

  async #chunk(rows: number): Promise<void> {
    if (this.#stage !== 'copying' || this.#copied) return;
    const projections = new Map(
      SOURCES.map((source) => [
        source as string,
        project(this.#bound, this.#bound.sources[source]),
      ]),
    );
    const { outcome } = await copyChunk(
      this.#migrating.legacy.db,
      projections,
      this.#batchId,
      rows,
    );
    this.#copied = outcome === 'finished';
  }

  async #advance(to: Stage): Promise<void> {
    const { db } = this.#migrating.legacy;
    if (this.#stage === 'copying') {
      await copyLane(db, this.#bound, {
        batchId: this.#batchId,
        deadline: far(),
        rowsPerSecond: async () => undefined,
        unwell: async () => undefined,
      });
      await finishCopy(db, this.#bound, this.#batchId, 'test');
    }
    if (this.#stage === 'mirrored') await this.#exact();
    await this.#drained();
    await this.#flip(to);
  }

  async #retreat(to: Stage): Promise<void> {
    // After `closed` a comparison notes what nobody has noted.
    if (this.#stage === 'unified') await parity(this.#migrating.legacy.db, this.#bound);
    await this.#drained();
    if (this.#stage === 'dual-write') await this.#exact();
    await this.#flip(to);
  }

  async #rollBack(): Promise<void> {
    if (this.#stage === 'legacy') return;
    const { db } = this.#migrating.legacy;
    for (const to of stagePath(this.#stage, 'legacy')) await this.#retreat(to);
    const { done } = await deleteBatch(db, this.#bound, this.#batchId, far());
    expect(done).toBe(true);
    await db.transaction({ asEngine: true }, (session) =>
      endBatch(session, this.#batchId, 'rolled-back', 'test', 'test'),
    );
  }

  #record({ messageId, bodies, receives }: Waiting, side: SideName): SQSRecord {
    return {
      messageId,
      receiptHandle: messageId,
      body: bodies[side],
      attributes: {
        ApproximateReceiveCount: String(receives + 1),
        SentTimestamp: String(this.#began),
        SenderId: 'test',
        ApproximateFirstReceiveTimestamp: String(this.#began),
      },
      messageAttributes: {},
      md5OfBody: '',
      eventSource: 'aws:sqs',
      eventSourceARN: 'arn:aws:sqs:eu-west-1:000000000000:kit-jobs',
      awsRegion: 'eu-west-1',
    };
  }

  #deliverTo(side: Side, batches: readonly Batch[]): Promise<Delivered> {
    return side.deliver(
      batches.flatMap(({ messages, times }) =>
        Array.from({ length: times }, () =>
          messages.map((message) => this.#record(message, side.name)),
        ),
      ),
    );
  }

  async #deliver(asked: Extract<Command, { do: 'deliver' }>): Promise<void> {
    const { waiting, picked } = this.#pick(asked.picks);
    if (picked.length === 0) return;
    const migrating = this.#migrating;
    const before = await migrating.handled();
    const batches = inLanes(picked, asked.lanes).map((messages) => ({
      messages,
      times: asked.twice ? 2 : 1,
    }));
    const [delivered] = await Promise.all([
      this.#deliverTo(migrating, batches),
      this.#meanwhile(asked),
    ]);
    const { failed, dead, putBack } = delivered;
    const after = await migrating.handled();
    if (asked.meanwhile?.do !== 'disconnect') expect([...failed]).toEqual([]);
    if (!this.#paused) expect(putBack).toEqual([]);
    this.#count('delivered', picked.length);
    this.#count('put back', putBack.length);
    this.#count('failed', failed.size);

    const took: Batch[] = [];
    const again: Waiting[] = [];
    for (const { messages, times } of batches) {
      const paused = timesPutBack(messages, putBack);
      // An invocation that met the guard put back all of its messages, each as a new one.
      for (let n = 0; n < paused; n += 1)
        again.push(...messages.map((one) => ({ ...one, messageId: randomUUID(), receives: 0 })));
      const hadEffect = ({ messageId, plan }: Waiting) => {
        if (!failed.has(messageId)) return paused < times;
        const jobId = `job-${plan.id}`;
        const isNew = after.has(jobId) && !before.has(jobId);
        return isNew || dead.some((letter) => letter.messageId === messageId);
      };
      took.push({ messages: messages.filter(hadEffect), times: times - paused });
      for (const message of messages)
        if (failed.has(message.messageId) || asked.lost)
          waiting.push({ ...message, receives: message.receives + 1 });
    }
    expect(putBack.toSorted()).toEqual(again.map(({ bodies }) => bodies.migrating).toSorted());
    this.#waiting = [...waiting, ...again];
    await this.#deliverToSteady(took, dead);
  }

  /** The steady side must give up the same messages, for the same reasons, and apply the others alike. */
  async #deliverToSteady(took: readonly Batch[], dead: Delivered['dead']): Promise<void> {
    const steady = await this.#deliverTo(
      this.#steady,
      took.filter(({ messages }) => messages.length > 0),
    );
    expect([...steady.failed, ...steady.putBack]).toEqual([]);
    const given = (letters: typeof dead) =>
      new Set(letters.map(({ messageId, reason }) => `${messageId} ${reason}`));
    expect(given(dead)).toEqual(given(steady.dead));
    for (const { reason } of dead) this.#count(reason);
    await this.#compareEffects();
  }

  async #compareEffects(): Promise<void> {
    expect(await this.#migrating.handled()).toEqual(await this.#steady.handled());
    expect(await this.#migrating.outbox()).toEqual(await this.#steady.outbox());
  }

  #pick(picks: readonly number[]): { waiting: Waiting[]; picked: Waiting[] } {
    const waiting = [...this.#waiting];
    const picked = picks.flatMap((at) =>
      waiting.length === 0 ? [] : waiting.splice(at % waiting.length, 1),
    );
    return { waiting, picked };
  }

  async #meanwhile({ meanwhile, after }: Extract<Command, { do: 'deliver' }>): Promise<void> {
    if (meanwhile === undefined) return;
    await sleep(after);
    if (meanwhile.do === 'disconnect') return this.#migrating.disconnect();
    if (meanwhile.do === 'pause') return this.#guard(true);
    return this.#move(meanwhile);
  }

  /** Everything that waits is delivered, the migration rolled back: nothing may tell that there was one. */
  async finish(): Promise<void> {
    await this.#guard(false);
    while (this.#waiting.length > 0)
      await this.#deliver({
        do: 'deliver',
        picks: Array.from({ length: 10 }, () => 0),
        lost: false,
        twice: false,
        lanes: 1,
        meanwhile: undefined,
        after: 0,
      });
    await this.#rollBack();
    await this.#compareEffects();
    for (const side of this.#sides) {
      await side.relay();
      expect(side.emitted()).toEqual(await side.outbox());
    }
    expect(await this.#migrating.content()).toEqual(await this.#steady.content());
    const outcomes = [...(await this.#migrating.handled()).values()];
    for (const outcome of outcomes) this.#count(outcome);
    const applied = outcomes.filter((outcome) => outcome === 'applied').length;
    const events = Object.values(await this.#migrating.outbox()).flat().length;
    expect(events).toBe(applied + this.#births + this.#changes);
  }

  async close(): Promise<void> {
    for (const side of this.#sides) await side.close();
  }
}
