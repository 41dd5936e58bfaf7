import {
  type Binding,
  beginParity,
  type Database,
  deleteBatch,
  drain,
  finishCopy,
  finishParity,
  flip,
  parityLane,
  readStage,
} from '@unified-kits/data';
import { percentile, startLoad } from './load.ts';

const forever = Number.POSITIVE_INFINITY;
const who = { phase: 'bench', actor: 'bench' };

export const seconds = async (work: () => Promise<unknown>): Promise<number> => {
  const began = performance.now();
  await work();
  return (performance.now() - began) / 1000;
};

/** A whole parity run in two lanes. */
const compareAll = async (db: Database, binding: Binding) => {
  const runId = await beginParity(db, binding, who);
  const lane = () => parityLane(db, binding, runId, forever);
  await Promise.all([lane(), lane()]);
  return finishParity(db, runId, who);
};

/** The time of an exact parity run, in seconds. */
export const measureParity = (db: Database, binding: Binding): Promise<number> =>
  seconds(async () => {
    const outcome = await compareAll(db, binding);
    if (outcome.mismatched > 0 || !outcome.done)
      throw new Error(`parity is not exact: ${JSON.stringify(outcome)}`);
  });

const capture = async (db: Database, binding: Binding, switched: 'capture' | 'mirror' | 'none') => {
  const tables = ['kit', 'practitioner_kits'] as const;
  for (const source of tables)
    for (const duty of ['capture', 'mirror'] as const) {
      const { relation } = binding.sources[source];
      const { rows } = await db.pool.query(
        `select tgname from pg_trigger where tgrelid = $1::regclass and tgname like $2`,
        [relation, `uk_${duty}_%`],
      );
      for (const { tgname } of rows)
        await db.pool.query(
          `alter table ${relation} ${switched === duty ? 'enable always' : 'disable'} trigger ${tgname}`,
        );
    }
};

/** Long slices see the machine change between them; these do not. */
const SLICES = 5;
const SLICE_MS = 2_000;

/**
 * What a trigger costs saturating writers: short slices with and without it, in turn, so that both see the
 * same machine. Needs stage `mirrored`; leaves it as it was.
 *
 * @returns the throughput with the trigger as a share of that without
 */
export const measureTrigger = async (
  url: string,
  db: Database,
  binding: Binding,
  duty: 'capture' | 'mirror',
  rows: number,
  rounds: number,
): Promise<number[]> => {
  const shares: number[] = [];
  for (let slice = 0; slice < rounds * SLICES; slice += 1) {
    const rate = { none: 0, with: 0 };
    for (const which of slice % 2 === 0
      ? (['none', 'with'] as const)
      : (['with', 'none'] as const)) {
      await capture(db, binding, which === 'none' ? 'none' : duty);
      const load = await startLoad(url, { clients: 4, rows });
      await new Promise((resolve) => setTimeout(resolve, SLICE_MS));
      rate[which] = (await load.stop()).perSecond;
    }
    shares.push(rate.with / rate.none);
    await db.pool.query('truncate migration.pending_sync');
  }
  // Rounds without the mirror left the stores apart: parity notes the keys, a drain repairs them.
  await capture(db, binding, 'mirror');
  await compareAll(db, binding);
  await drain(db, binding, forever);
  return shares;
};

/**
 * Drains `keys` noted rows, against plain SQL that brings as many rows of `kits` up to date from the legacy
 * table, and against plain SQL that merely touches two columns of as many.
 *
 * @returns rows per second of each
 */
export const measureDrain = async (
  db: Database,
  binding: Binding,
  keys: number,
  rows: number,
  round: number,
): Promise<{ drain: number; plain: number; touch: number }> => {
  const half = Math.floor(rows / 2);
  const pick = (salt: number) =>
    `select distinct 1 + abs(hashint8(n * 7919 + ${salt})) % ${half} as id from generate_series(1, ${keys}) n`;
  const key = `(case when k.source = 'kit' then cast(k.legacy_id as bigint) end)`;
  /** Ten statements over rows picked by a salt of their own; rows per second. */
  const update = async (salt: number, set: string, from: string, join: string) => {
    let updated = 0;
    const took = await seconds(async () => {
      for (let part = 0; part < 10; part += 1)
        updated += await db.transaction(
          { asEngine: true, statementTimeoutMs: 0 },
          async (session) =>
            (
              await session.query(
                `update ${binding.kits} k set ${set} ${from}
                  where ${join} k.source = 'kit' and ${key} in (select id from (${pick(salt)}) p where id % 10 = ${part})`,
              )
            ).rowCount ?? 0,
        );
    });
    return updated / took;
  };
  const touch = await update(
    round * 3 + 1,
    `order_id = k.order_id || '.', updated_at = now()`,
    '',
    '',
  );
  const plain = await update(
    round * 3 + 2,
    `kit_number = s.kit_number, status = s.status, kit_type = s.kit_type, order_id = s.order_id, metadata = s.metadata,
     registered_at = s.registered_at, collected_at = s.collected_at, received_at = s.received_at, resulted_at = s.resulted_at,
     created_at = s.created_at, updated_at = s.updated_at, user_id = s.user_id, legacy_attributes = jsonb_build_object('notes', s.notes)`,
    'from public.kit s',
    `s.id = ${key} and`,
  );
  await db.pool.query(
    `update kit set order_id = order_id || '.', updated_at = now() where id in (${pick(round * 3)})`,
  );
  await db.pool.query('vacuum kit');
  const { rows: noted } = await db.pool.query(
    `select count(*)::int as n from migration.pending_sync`,
  );
  const drained = await seconds(() => drain(db, binding, forever));
  return { drain: noted[0].n / drained, plain, touch };
};

/** Flips back and forth under a load; every time that writers were held. */
export const measureFlips = async (
  url: string,
  db: Database,
  binding: Binding,
  rows: number,
  cycles: number,
): Promise<number[]> => {
  const held: number[] = [];
  let table: 'legacy' | 'kits' = 'legacy';
  const load = await startLoad(url, { clients: 8, rows, perSecond: 500, table: () => table });
  const step = async (to: 'mirrored' | 'dual-write' | 'unified') => {
    await drain(db, binding, forever);
    held.push((await flip(db, binding, { to, ...who })).writersHeldMs);
    table = to === 'mirrored' ? 'legacy' : 'kits';
    await new Promise((resolve) => setTimeout(resolve, 200));
  };
  try {
    for (let cycle = 0; cycle < cycles; cycle += 1) {
      await measureParity(db, binding);
      await step('dual-write');
      await step('unified');
      await step('dual-write');
      await step('mirrored');
    }
  } finally {
    await load.stop();
  }
  return held;
};

/** From a finished copy to `mirrored`: the drain and the flip. */
export const toMirrored = async (db: Database, binding: Binding): Promise<void> => {
  const { batchId } = await db.transaction({}, readStage);
  if (batchId === null) throw new Error('no batch');
  await finishCopy(db, binding, batchId, 'bench');
  await drain(db, binding, forever);
  await flip(db, binding, { to: 'mirrored', ...who });
};

/** Deletion of a batch, in rows per second. */
export const measureRollback = async (db: Database, binding: Binding): Promise<number> => {
  const { batchId } = await db.transaction({}, readStage);
  if (batchId === null) throw new Error('no batch');
  await flip(db, binding, { to: 'legacy', ...who });
  let rows = 0;
  const took = await seconds(async () => {
    rows = (await deleteBatch(db, binding, batchId, forever)).rows;
  });
  return rows / took;
};

export const median = (values: readonly number[]): number => percentile(values, 0.5);
