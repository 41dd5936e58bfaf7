import {
  type Binding,
  copyChunk,
  copyLane,
  drain,
  finishCopy,
  flip,
  planCopy,
  project,
} from '@unified-kits/data';
import { SOURCES, STAGE_DEFINITIONS, type Stage } from '@unified-kits/domain';
import fc from 'fast-check';
import type pg from 'pg';
import { expect, it } from 'vitest';
import { installed, type LegacyDatabase, legacyDatabase } from '../support/legacy.ts';
import { begin, parity } from '../support/migration.ts';

const far = () => Date.now() + 60_000;
const ROWS = 12;

/** What may happen at any moment; what the stage does not allow is passed over. */
type Command =
  | {
      do: 'insert' | 'update' | 'delete' | 'late';
      source: 'kit' | 'practitioner_kits';
      at: number;
      value: string;
    }
  | { do: 'swap'; at: number; to: number }
  | { do: 'owner'; at: number; to: number }
  | { do: 'copy'; rows: number }
  | { do: 'drain' | 'commit' | 'forward' | 'back' };

const at = fc.nat({ max: 40 });
const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constantFrom('insert' as const, 'update' as const, 'delete' as const, 'late' as const),
      source: fc.constantFrom(...SOURCES),
      at,
      value: fc.constantFrom('', 'x', 'it\'s \\ "q"', 'ü\n'),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('swap' as const), at, to: at }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('owner' as const), at, to: at }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('copy' as const),
      rows: fc.integer({ min: 1, max: 8 }),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constantFrom('drain' as const, 'commit' as const, 'forward' as const, 'back' as const),
    }),
  },
);

/**
 * A migration beside its model: schema `model` holds the legacy tables as they would be without any
 * migration, changed by the same writes as plain SQL.
 */
class Run {
  readonly legacy: LegacyDatabase;
  readonly binding: Binding;
  batchId = '';
  #stage: Stage = 'copying';
  #copied = false;
  #born = 0;
  #late: pg.Client | undefined;

  constructor(legacy: LegacyDatabase, binding: Binding) {
    this.legacy = legacy;
    this.binding = binding;
  }

  async #sql(text: string, values: unknown[] = []) {
    return (await this.legacy.pool.query(text, values)).rows;
  }

  get #kitsLead() {
    return STAGE_DEFINITIONS[this.#stage].writes === 'kits';
  }

  async #key(source: string, index: number): Promise<string | undefined> {
    const rows = await this.#sql(`select id::text from model.${source} order by id`);
    return rows.length === 0 ? undefined : rows[index % rows.length].id;
  }

  /** The same number in the model and in whichever store leads. */
  async #renumber(source: string, key: string, number: string) {
    await this.#sql(`update model.${source} set kit_number = $2 where id::text = $1`, [
      key,
      number,
    ]);
    await (this.#kitsLead
      ? this.#sql('update kits set kit_number = $3 where source = $1 and legacy_id = $2', [
          source,
          key,
          number,
        ])
      : this.#sql(`update public.${source} set kit_number = $2 where id::text = $1`, [
          key,
          number,
        ]));
  }

  async #write(source: 'kit' | 'practitioner_kits', what: string, index: number, value: string) {
    const key = await this.#key(source, index);
    const note = source === 'kit' ? 'notes' : 'patient_name';
    if (what === 'insert') {
      this.#born += 1;
      const number = `N${this.#born}`;
      const owner = source === 'kit' ? 'user_id' : 'practitioner_id';
      const by = source === 'kit' ? `md5('user1')::uuid` : `md5('practitioner1')::uuid`;
      const rows = await (this.#kitsLead
        ? this.#sql(
            `insert into kits (kit_number, owner_type, ${owner}, status, legacy_attributes) values ($1, $2, ${by}, 'registered', jsonb_build_object('${note}', $3::text)) returning legacy_id as id, created_at::text as at`,
            [number, source === 'kit' ? 'client' : 'practitioner', value],
          )
        : this.#sql(
            `insert into public.${source} (kit_number, ${owner}, status, ${note}) values ($1, ${by}, 'registered', $2) returning id::text, created_at::text as at`,
            [number, value],
          ));
      await this.#sql(
        `insert into model.${source} (id, kit_number, ${owner}, status, ${note}, created_at, updated_at) overriding system value
         values (cast($1::text as ${source === 'kit' ? 'bigint' : 'uuid'}), $2, ${by}, 'registered', $3, $4, $4)`,
        [rows[0].id, number, value, rows[0].at],
      );
    } else if (key !== undefined && what === 'update') {
      await this.#sql(`update model.${source} set ${note} = $2 where id::text = $1`, [key, value]);
      await (this.#kitsLead
        ? this.#sql(
            `update kits set legacy_attributes = legacy_attributes || jsonb_build_object('${note}', $3::text) where source = $1 and legacy_id = $2`,
            [source, key, value],
          )
        : this.#sql(`update public.${source} set ${note} = $2 where id::text = $1`, [key, value]));
    } else if (key !== undefined && what === 'delete') {
      await this.#sql(`delete from model.${source} where id::text = $1`, [key]);
      await (this.#kitsLead
        ? this.#sql('delete from kits where source = $1 and legacy_id = $2', [source, key])
        : this.#sql(`delete from public.${source} where id::text = $1`, [key]));
    }
  }

  /** A transaction that writes now and commits later; only while changes are captured, where nothing waits for it. */
  async #writeLate(source: string, index: number, value: string) {
    if (this.#late !== undefined || this.#stage !== 'copying') return;
    const key = await this.#key(source, index);
    if (key === undefined) return;
    this.#late = await this.legacy.client();
    await this.#late.query('begin');
    const sql = (schema: string) =>
      `update ${schema}.${source} set order_id = $2 where id::text = $1`;
    await this.#late.query(sql('public'), [key, value]);
    await this.#late.query(sql('model'), [key, value]);
  }

  async #commit() {
    await this.#late?.query('commit');
    await this.#late?.end();
    this.#late = undefined;
  }

  async #drained() {
    for (let round = 0; round < 3; round += 1) {
      const { stuck } = await drain(this.legacy.db, this.binding, far());
      if (stuck === 0) return;
    }
    throw new Error(
      `stuck: ${JSON.stringify(await this.#sql('select * from migration.pending_sync'))}`,
    );
  }

  async #flip(to: Stage) {
    await this.#commit();
    await this.#drained();
    if (this.#stage === 'mirrored' && to !== 'legacy') await this.#exact();
    await flip(this.legacy.db, this.binding, { to, phase: 'test', actor: 'test' });
    this.#stage = to;
  }

  async #exact() {
    await this.#drained();
    const outcome = await parity(this.legacy.db, this.binding);
    if (outcome.mismatched > 0)
      throw new Error(
        `parity: ${JSON.stringify(await this.#sql('select source, legacy_id, columns from migration.parity_mismatch where run_id = $1', [outcome.runId]))}`,
      );
  }

  async #chunk(rows: number) {
    if (this.#stage !== 'copying' || this.#copied) return;
    const projections = new Map(
      SOURCES.map((source) => [
        source as string,
        project(this.binding, this.binding.sources[source]),
      ]),
    );
    const { outcome } = await copyChunk(this.legacy.db, projections, this.batchId, rows);
    this.#copied = outcome === 'finished';
  }

  async #finishCopy() {
    await copyLane(this.legacy.db, this.binding, {
      batchId: this.batchId,
      deadline: far(),
      rowsPerSecond: async () => undefined,
      unwell: async () => undefined,
    });
    await finishCopy(this.legacy.db, this.binding, this.batchId, 'test');
    this.#copied = true;
  }

  async #forward() {
    if (this.#stage === 'copying') {
      await this.#commit();
      await this.#finishCopy();
      await this.#flip('mirrored');
    } else if (this.#stage === 'mirrored') await this.#flip('dual-write');
    else if (this.#stage === 'dual-write') await this.#flip('unified');
  }

  async #back() {
    if (this.#stage === 'unified') await this.#flip('dual-write');
    else if (this.#stage === 'dual-write') await this.#flip('mirrored');
  }

  async take(next: Command): Promise<void> {
    switch (next.do) {
      case 'insert':
      case 'update':
      case 'delete':
        // The late writer holds its row, and would be waited for.
        if (next.do !== 'insert') await this.#commit();
        return this.#write(next.source, next.do, next.at, next.value);
      case 'late':
        return this.#writeLate(next.source, next.at, next.value);
      case 'swap': {
        await this.#commit();
        const [one, other] = [await this.#key('kit', next.at), await this.#key('kit', next.to)];
        if (one === undefined || other === undefined || one === other) return;
        const numbers = await this.#sql(
          'select id::text, kit_number as n from model.kit where id::text in ($1, $2)',
          [one, other],
        );
        const number = (key: string) => numbers.find(({ id }) => id === key).n;
        const [first, second] = [number(one), number(other)];
        await this.#renumber('kit', one, 'parked');
        await this.#renumber('kit', other, first);
        return this.#renumber('kit', one, second);
      }
      case 'owner':
        await this.#sql(
          `update practitioners set user_id = md5('user' || $2::int % 50)::uuid where id = md5('practitioner' || $1::int % 10)::uuid`,
          [next.at, next.to],
        );
        return;
      case 'copy':
        return this.#chunk(next.rows);
      case 'drain':
        if (this.#stage !== 'copying') await this.#drained();
        else await drain(this.legacy.db, this.binding, far());
        return;
      case 'commit':
        return this.#commit();
      case 'forward':
        return this.#forward();
      case 'back':
        return this.#back();
    }
  }

  /** Back to legacy, where the tables must be what the model is. */
  async finish(): Promise<void> {
    if (this.#stage === 'copying') await this.#forward();
    while (this.#stage !== 'mirrored') await this.#back();
    await this.#exact();
    const wrong = await this.#sql(
      'select count(*)::int as n from kits k join practitioners p on p.id = k.practitioner_id where p.user_id is distinct from k.user_id',
    );
    expect(wrong).toEqual([{ n: 0 }]);
    await this.#flip('legacy');
    for (const source of SOURCES) {
      const content = (schema: string) =>
        this.#sql(`select t::text from ${schema}.${source} t order by id`);
      expect(await content('public')).toEqual(await content('model'));
    }
  }
}

it('ends exact, and legacy as the model says, whatever is interleaved', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(command, { minLength: 5, maxLength: 40, size: 'max' }),
      async (commands) => {
        const legacy = await legacyDatabase(ROWS);
        try {
          await legacy.pool.query(`
          alter table kit add constraint number_once unique (kit_number);
          create schema model;
          create table model.kit (like public.kit including all);
          create table model.practitioner_kits (like public.practitioner_kits including all);
          insert into model.kit overriding system value select * from public.kit;
          insert into model.practitioner_kits select * from public.practitioner_kits`);
          const binding = await installed(legacy);
          const run = new Run(legacy, binding);
          run.batchId = await begin(legacy.db, binding);
          await planCopy(legacy.db, binding, run.batchId, 'test');
          for (const next of commands) await run.take(next);
          await run.finish();
        } finally {
          await legacy.drop();
        }
      },
    ),
    {
      numRuns: Number(process.env.MODEL_RUNS ?? 15),
      endOnFailure: process.env.MODEL_SHRINK === undefined,
    },
  );
}, 240_000);
