import { setTimeout as sleep } from 'node:timers/promises';
import { StopExecutionCommand } from '@aws-sdk/client-sfn';
import { drain, readStage } from '@unified-kits/data';
import type { FlagName } from '@unified-kits/domain';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { METRICS } from '../../functions/runtime/metric-names.ts';
import { type ApiRig, apiOn } from '../support/api.ts';
import {
  assertHolds,
  type ClientCommand,
  clientCommand,
  Model,
  Person,
  storedKits,
} from '../support/api-model.ts';
import { flagsFollowStage, setFlag } from '../support/flags.ts';
import { clientOf, practitionerOf } from '../support/kits-service.ts';
import { installed, legacyDatabase } from '../support/legacy.ts';
import { metricTotal } from '../support/metric-lines.ts';
import { migrateTo, parity } from '../support/migration.ts';
import { appSession } from '../support/sessions.ts';
import { type SqlCommand, SqlWriter, sqlCommand } from '../support/sql-writer.ts';
import { approvedReport, QUICK, rollBack, stageOf } from '../support/system.ts';

const RUNS = Number(process.env.API_MODEL_RUNS ?? 2);
const MOST_ROUNDS = Number(process.env.API_MODEL_ROUNDS ?? 6);
/** How long the clients go on while an operator waits for what was started, in milliseconds. */
const PATIENCE_MS = 4_000;

/** What an operator may think of. */
type OperatorCommand =
  | { readonly do: 'flag'; readonly flag: FlagName; readonly value: boolean | number }
  | {
      readonly do: 'cutover';
      readonly until: string;
      readonly flags: 'auto' | 'manual';
      readonly dualWrite: boolean;
    }
  | { readonly do: 'prove' | 'rollback' | 'wait' | 'abort' }
  | { readonly do: 'pause'; readonly milliseconds: number };

const cutover: fc.Arbitrary<OperatorCommand> = fc
  .record({
    do: fc.constant('cutover' as const),
    until: fc.constantFrom('mirrored', 'dual-write', 'unified', 'closed', 'closed'),
    flags: fc.constantFrom('auto' as const, 'auto' as const, 'manual' as const),
    dualWrite: fc.boolean(),
  })
  .map((wish) => ({ ...wish, dualWrite: wish.dualWrite || wish.until === 'dual-write' }));
const flag = (name: FlagName, ...values: readonly (boolean | number)[]) =>
  fc.record({
    do: fc.constant('flag' as const),
    flag: fc.constant(name),
    value: fc.constantFrom(...values),
  });

const operatorCommand: fc.Arbitrary<OperatorCommand> = fc.oneof(
  { weight: 3, arbitrary: flag('unifiedReads', true, false) },
  { weight: 3, arbitrary: flag('unifiedWrites', true, false) },
  { weight: 3, arbitrary: flag('dualWrite', true, false) },
  { weight: 1, arbitrary: flag('shadowReads', 0, 50, 100) },
  { weight: 3, arbitrary: cutover },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('pause' as const),
      milliseconds: fc.integer({ min: 50, max: 800 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constantFrom<'prove' | 'wait' | 'rollback' | 'abort'>(
        'prove',
        'prove',
        'wait',
        'rollback',
        'abort',
      ),
    }),
  },
);

interface Round {
  readonly operator: readonly OperatorCommand[];
  readonly people: readonly (readonly ClientCommand[])[];
  readonly sql: readonly (readonly SqlCommand[])[];
}

const PEOPLE = 5;
const WRITERS = 2;
const roundOf = (operator: fc.Arbitrary<readonly OperatorCommand[]>): fc.Arbitrary<Round> =>
  fc.record({
    operator,
    people: fc.array(fc.array(clientCommand, { minLength: 1, maxLength: 3 }), {
      minLength: PEOPLE,
      maxLength: PEOPLE,
    }),
    sql: fc.array(fc.array(sqlCommand, { minLength: 1, maxLength: 2 }), {
      minLength: WRITERS,
      maxLength: WRITERS,
    }),
  });
const anyRound = roundOf(fc.array(operatorCommand, { minLength: 1, maxLength: 4 }));
const ROUNDS = { minLength: 3, maxLength: MOST_ROUNDS, size: 'max' } as const;

interface Script {
  /** Where it begins: a whole cutover takes its time, and there is most to decide in the middle of one. */
  readonly from: 'legacy' | 'mirrored' | 'dual-write' | 'unified';
  readonly rounds: readonly Round[];
}

const script: fc.Arbitrary<Script> = fc.oneof(
  fc.record({
    from: fc.constant('legacy' as const),
    rounds: fc
      .tuple(roundOf(fc.tuple(cutover, operatorCommand)), fc.array(anyRound, ROUNDS))
      .map(([first, rest]) => [first, ...rest]),
  }),
  fc.record({
    from: fc.constantFrom('mirrored' as const, 'dual-write' as const, 'unified' as const),
    rounds: fc.array(anyRound, ROUNDS),
  }),
);

/** Errors that nobody foresaw; all others tell an operator what to do. */
const FAULTS = ['DatabaseFault', 'States.Runtime', 'TypeError', 'Error'];

/** As in test/support/migration.ts, so that a batch which was begun there may be gone on with. */
const ACTOR = 'test';

/** Rollbacks that find nothing to do, one after the other, before all is taken to be over. */
const QUIET_ROLLBACKS = 5;

/** An operator who does not wait to be asked. */
class Operator {
  readonly #rig: ApiRig;
  readonly #model: Model;
  readonly #reportId: string;
  readonly #running = new Map<string, Promise<void>>();
  readonly #faults: string[] = [];

  constructor(rig: ApiRig, model: Model, reportId: string) {
    this.#rig = rig;
    this.#model = model;
    this.#reportId = reportId;
  }

  #follow(name: string, arn: string): void {
    const ended = this.#rig.system.waitForExecution(arn).then(({ status, error, cause }) => {
      this.#running.delete(arn);
      this.#model.note(`operator: ${name} ${status} ${error ?? ''} ${cause ?? ''}`);
      if (error !== undefined && FAULTS.includes(error))
        this.#faults.push(`${name} failed: ${error} ${cause}`);
    });
    this.#running.set(arn, ended);
  }

  async take(command: OperatorCommand): Promise<void> {
    this.#model.note(`operator: ${JSON.stringify(command)}`);
    const { system } = this.#rig;
    switch (command.do) {
      case 'flag':
        return setFlag(this.#rig, command.flag, command.value);
      case 'cutover': {
        const { do: name, ...input } = command;
        const given = {
          ...QUICK,
          ...input,
          actor: ACTOR,
          reportId: this.#reportId,
          rehearsalRows: 5,
        };
        return this.#follow(name, await system.startCutover(given));
      }
      case 'rollback':
        return this.#follow(command.do, await system.startRollback({ actor: ACTOR }));
      case 'abort': {
        const [executionArn] = this.#running.keys();
        if (executionArn !== undefined)
          await system.sfn.send(new StopExecutionCommand({ executionArn }));
        return;
      }
      case 'prove': {
        const binding = await installed(this.#rig.legacy);
        await drain(this.#rig.legacy.db, binding, Date.now() + 10_000);
        const { batchId } = await this.#rig.legacy.db.transaction({}, readStage);
        if (batchId !== null) await parity(this.#rig.legacy.db, binding);
        return;
      }
      case 'pause':
        return sleep(command.milliseconds);
      case 'wait': {
        await Promise.race([Promise.all(this.#running.values()), sleep(PATIENCE_MS)]);
        return;
      }
    }
  }

  /** Aborts what runs, and goes back to where it all began. */
  async goBack(): Promise<void> {
    const { sfn, aws } = this.#rig.system;
    for (const executionArn of this.#running.keys())
      await sfn.send(new StopExecutionCommand({ executionArn }));
    await Promise.all(this.#running.values());
    // What an aborted execution had called goes on by itself, and may begin what is then to be undone.
    for (let tries = 1, quiet = 0; quiet < QUIET_ROLLBACKS; tries += 1) {
      if (tries > 60) this.#model.fail('no rollback leads back to "legacy"');
      const { status, error } = await rollBack(this.#rig);
      this.#model.note(`operator: the last rollback ${status} ${error ?? ''}`);
      const done = status === 'SUCCEEDED' || error === 'BatchNotFound';
      quiet = done && (await stageOf(this.#rig)) === 'legacy' ? quiet + 1 : 0;
      await sleep(400);
    }
    await aws.parameterChangesHandled();
    const [fault] = this.#faults;
    if (fault !== undefined) this.#model.fail(fault);
  }
}

/** Each actor's commands, again and again until the operator has done theirs, and once at least. */
const play = async (
  { operator: wishes, people: said, sql }: Round,
  operator: Operator,
  people: readonly Person[],
  writers: readonly SqlWriter[],
): Promise<void> => {
  let operating = true;
  const repeated = async <Command>(
    commands: readonly Command[],
    take: (command: Command) => Promise<void>,
  ) => {
    do {
      for (const command of commands) await take(command);
      // What there is nothing to do for takes no time.
      await sleep(5);
    } while (operating);
  };
  const operates = async () => {
    try {
      for (const wish of wishes) await operator.take(wish);
    } finally {
      operating = false;
    }
  };
  const results = await Promise.allSettled([
    operates(),
    ...people.map((person, index) => repeated(said[index] ?? [], (one) => person.take(one))),
    ...writers.map((writer, index) => repeated(sql[index] ?? [], (one) => writer.take(one))),
  ]);
  for (const result of results) if (result.status === 'rejected') throw result.reason;
};

const run = async ({ from, rounds }: Script): Promise<void> => {
  const legacy = await legacyDatabase(60);
  const rig = await apiOn(legacy, { scheduleSeconds: 1 });
  try {
    const reportId = await approvedReport(rig);
    if (from !== 'legacy') {
      await migrateTo(legacy.db, await installed(legacy), from);
      await flagsFollowStage(rig);
    }
    const model = new Model(await storedKits(rig));
    const untouched = await rowsOf(rig);
    const operator = new Operator(rig, model, reportId);
    const person = async (n: number, source: 'kit' | 'practitioner_kits') =>
      new Person(
        rig,
        model,
        await (source === 'kit' ? clientOf(legacy, n) : practitionerOf(legacy, n)),
        source,
      );
    const people = [
      await person(1, 'kit'),
      await person(2, 'kit'),
      await person(1, 'practitioner_kits'),
      await person(3, 'practitioner_kits'),
      // Another device of the first one.
      await person(1, 'kit'),
    ];
    const writers = [];
    for (let n = 0; n < WRITERS; n += 1)
      writers.push(new SqlWriter(await appSession(legacy), model));
    for (const [index, one] of rounds.entries()) {
      model.note(`round ${index + 1} in stage ${await stageOf(rig)}`);
      await play(one, operator, people, writers);
      await assertHolds(rig, model);
    }
    await operator.goBack();
    expect(await stageOf(rig)).toBe('legacy');
    await assertHolds(rig, model);
    const rows = await rowsOf(rig);
    for (const [key, row] of untouched)
      if (model.kits.get(key)?.version === 0) expect(rows.get(key), key).toBe(row);
    expect(await rig.system.flags.read()).toMatchObject({
      unifiedReads: false,
      unifiedWrites: false,
    });
    expect(metricTotal(rig.log, METRICS.ApiErrors)).toBe(0);
    expect(metricTotal(rig.log, METRICS.ShadowDifferences)).toBe(0);
  } finally {
    await rig.close();
    await legacy.drop();
  }
};

/** The legacy rows as text, bit for bit. */
const rowsOf = async ({ legacy }: ApiRig): Promise<ReadonlyMap<string, string>> => {
  const { rows } = await legacy.pool.query(
    `select 'kit ' || id as key, t::text as row from kit t union all select 'practitioner_kits ' || id, t::text from practitioner_kits t`,
  );
  return new Map(rows.map(({ key, row }) => [key, row]));
};

it('loses no acknowledged write and reads none stale, whatever an operator thinks of while clients write', async () => {
  await fc.assert(fc.asyncProperty(script, run), {
    numRuns: RUNS,
    // A failure is a matter of timing, too: shrinking it is worth the time only when it is asked for.
    endOnFailure: process.env.MODEL_SHRINK === undefined,
  });
}, 3_600_000);
