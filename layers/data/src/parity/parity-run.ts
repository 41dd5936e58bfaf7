import { BatchNotFound, SOURCES } from '@unified-kits/domain';
import { recordEvent } from '../batch/record-event.ts';
import type { Binding } from '../catalog/bind-mapping.ts';
import type { Database, Session } from '../connection/database.ts';
import { type KeyRange, walkRanges } from '../copy/walk-ranges.ts';
import { project } from '../projection/projection.ts';
import { readStage } from '../stage/read-stage.ts';
import { compareRange, openRange } from './compare-range.ts';

const ROWS_PER_RANGE = 20_000;

export interface ParityOutcome {
  readonly runId: string;
  readonly compared: number;
  readonly mismatched: number;
  readonly done: boolean;
}

/**
 * Begins a parity run: cuts both legacy tables into ranges which any number of lanes then claim.
 *
 * @param sample at most so many ranges of each source, drawn at random; undefined for all
 */
export const beginParity = (
  db: Database,
  binding: Binding,
  options: { phase: string; actor: string; sample?: number | undefined },
): Promise<string> =>
  db.transaction({ asEngine: true, statementTimeoutMs: 120_000 }, async (session) => {
    const { batchId, epoch, stage } = await readStage(session);
    if (batchId === null)
      throw new BatchNotFound(`parity needs a batch; in stage "${stage}" there is none`);
    const { rows } = await session.query(
      `insert into migration.parity_run (batch_id, epoch, seed) values ($1, $2, (random() * 9e18)::bigint) returning id`,
      [batchId, epoch],
    );
    const runId: string = rows[0].id;
    for (const source of SOURCES) {
      const all = await walkRanges(session, binding.sources[source], ROWS_PER_RANGE);
      const cut = options.sample === undefined ? all : draw(all, options.sample);
      await session.query(
        `insert into migration.parity_range (run_id, source, ordinal, lower, upper)
         select $1, $2, ordinal - 1, lower, upper from unnest($3::text[], $4::text[]) with ordinality as cut(lower, upper, ordinal)`,
        [runId, source, cut.map(({ lower }) => lower), cut.map(({ upper }) => upper)],
      );
    }
    return runId;
  });

const draw = (ranges: readonly KeyRange[], count: number): readonly KeyRange[] =>
  ranges
    .map((range) => ({ range, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .slice(0, count)
    .map(({ range }) => range);

/**
 * Differences are kept with the run for the operator, and noted for the drain, whichever way it goes. A run
 * that outlives its stage (the cutover's, while its operator rolls back) notes nothing: what differs in the
 * next one is no fault, and in `legacy` nobody would ever drain it.
 */
const recordMismatches = async (
  session: Session,
  runId: string,
  source: string,
  mismatches: readonly { legacyId: string; columns: readonly string[] }[],
) => {
  for (const { legacyId, columns } of mismatches)
    await session.query(
      'insert into migration.parity_mismatch (run_id, source, legacy_id, columns) values ($1, $2, $3, $4) on conflict do nothing',
      [runId, source, legacyId, columns],
    );
  // Locked, so that no flip comes between the look and the note.
  await session.query('select from migration.stage for share');
  await session.query(
    `insert into migration.pending_sync (source, legacy_id, cause) select $1, key, 'parity' from unnest($2::text[]) noted(key)
      where (select epoch from migration.stage) = (select epoch from migration.parity_run where id = $3)`,
    [source, mismatches.map(({ legacyId }) => legacyId), runId],
  );
};

/** Compares one claimed range; undefined when none is left to claim. */
const compareNext = (db: Database, binding: Binding, runId: string) =>
  db.transaction(
    { asEngine: true, statementTimeoutMs: 60_000, synchronousCommit: false },
    async (session) => {
      const { rows } = await session.query(
        `select r.source, r.ordinal, r.lower, r.upper, p.seed::text as seed from migration.parity_range r join migration.parity_run p on p.id = r.run_id
        where r.run_id = $1 and r.done_at is null order by r.ordinal, r.source for update of r skip locked limit 1`,
        [runId],
      );
      const [claimed] = rows;
      if (claimed === undefined) return undefined;
      const projection = project(binding, binding.sources[claimed.source as 'kit']);
      const { stage } = await readStage(session);
      const { compared, equal } = await compareRange(session, projection, claimed, claimed.seed);
      // While changes are only captured, what was noted and not yet drained differs by design.
      const mismatches = equal
        ? []
        : await openRange(session, projection, claimed, stage === 'unified' || stage === 'copying');
      if (mismatches.length > 0) await recordMismatches(session, runId, claimed.source, mismatches);
      await session.query(
        'update migration.parity_range set compared = $4, mismatched = $5, done_at = clock_timestamp() where run_id = $1 and source = $2 and ordinal = $3',
        [runId, claimed.source, claimed.ordinal, compared, mismatches.length],
      );
      return { compared };
    },
  );

/** Compares range after range until none can be claimed or the deadline (milliseconds of `Date.now()`) is near. */
export const parityLane = async (
  db: Database,
  binding: Binding,
  runId: string,
  deadline: number,
  onProgress: (rows: number) => void = () => {},
): Promise<{ done: boolean }> => {
  while (Date.now() < deadline) {
    const result = await compareNext(db, binding, runId);
    if (result === undefined) return { done: true };
    onProgress(result.compared);
  }
  return { done: false };
};

/**
 * Adds up a run. It is finished, and counts as a proof, only when every range was compared.
 * A sample never finishes: it proves nothing about the rest.
 */
export const finishParity = (
  db: Database,
  runId: string,
  options: { phase: string; actor: string; sample?: boolean },
): Promise<ParityOutcome> =>
  db.transaction({ asEngine: true }, async (session) => {
    const { rows } = await session.query(
      `select coalesce(sum(compared), 0)::float8 as compared, coalesce(sum(mismatched), 0)::float8 as mismatched,
              bool_and(done_at is not null) is true as done, (select batch_id from migration.parity_run where id = $1) as "batchId"
         from migration.parity_range where run_id = $1`,
      [runId],
    );
    const { compared, mismatched, done, batchId } = rows[0];
    if (done) {
      await session.query(
        `update migration.parity_run set compared = $2, mismatched = $3, finished_at = case when $4 then null else clock_timestamp() end where id = $1`,
        [runId, compared, mismatched, options.sample === true],
      );
      await recordEvent(session, {
        phase: options.phase,
        action: options.sample === true ? 'parity-sampled' : 'parity-compared',
        actor: options.actor,
        batchId,
        detail: { runId, compared, mismatched },
      });
    }
    return { runId, compared, mismatched, done };
  });

/** Mismatches of a run, by key and column; never a value. */
export const readMismatches = (session: Session, runId: string, limit = 20) =>
  session
    .query(
      'select source, legacy_id as "legacyId", columns from migration.parity_mismatch where run_id = $1 order by source, legacy_id limit $2',
      [runId, limit],
    )
    .then(({ rows }) => rows as { source: string; legacyId: string; columns: string[] }[]);
