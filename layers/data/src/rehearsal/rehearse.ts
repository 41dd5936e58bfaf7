import { RehearsalFailed, SOURCES, type Source } from '@unified-kits/domain';
import { activeBatch, beginBatch, endBatch } from '../batch/batch.ts';
import { recordEvent } from '../batch/record-event.ts';
import type { Binding } from '../catalog/bind-mapping.ts';
import type { Database, Session } from '../connection/database.ts';
import { isRowFault } from '../connection/sqlstate.ts';
import { copyStatement } from '../copy/copy-chunk.ts';
import { openKeys } from '../parity/compare-range.ts';
import { type Projection, project } from '../projection/projection.ts';
import { deleteBatch } from '../rollback/delete-batch.ts';
import { readStage } from '../stage/read-stage.ts';

const PHASE = 'phase6-validation';

export interface Rehearsal {
  readonly batchId: string;
  readonly rows: number;
  /** Legacy rows of the canary that clients changed meanwhile. */
  readonly changedByOthers: number;
}

/** A row's content and the transaction that wrote it: if the one changed, so did the other. */
type Fingerprints = ReadonlyMap<string, { readonly hash: string; readonly writer: string }>;

const canaryKeys = async (
  session: Session,
  { source, legacyKey }: Projection,
  rows: number,
): Promise<string[]> => {
  const half = Math.ceil(rows / 2);
  const end = (direction: string) =>
    `(select ${legacyKey}::text as key from ${source.relation} s order by ${legacyKey} ${direction} limit ${half})`;
  const found = await session.query(
    `select key from ${end('asc')} oldest union select key from ${end('desc')} newest`,
  );
  return found.rows.map(({ key }) => key);
};

const fingerprints = async (
  session: Session,
  { source, legacyKey, legacyIdText }: Projection,
  keys: readonly string[],
): Promise<Fingerprints> => {
  const { rows } = await session.query(
    `select ${legacyIdText} as key, hashtextextended((s.*)::text, 0)::text as hash, s.xmin::text as writer from ${source.relation} s
      where ${legacyKey} = any ($1::text[]::${source.idType}[])`,
    [keys],
  );
  return new Map(rows.map(({ key, hash, writer }) => [key, { hash, writer }]));
};

/** Copies and verifies within one snapshot: what clients do meanwhile cannot look like a fault of ours. */
const copyAndVerify = async (
  session: Session,
  projection: Projection,
  batchId: string,
  keys: readonly string[],
): Promise<number> => {
  const { source, legacyKey } = projection;
  const copied = await session.query(
    copyStatement(projection, `${legacyKey} = any ($3::text[]::${source.idType}[])`),
    [batchId, [], keys],
  );
  const [mismatch] = await openKeys(session, projection, keys);
  if (mismatch !== undefined)
    throw new RehearsalFailed(
      `the canary copy of ${source.source} ${mismatch.legacyId} differs from its legacy row in ${mismatch.columns.join(', ')}`,
    );
  if (copied.rowCount !== keys.length)
    throw new RehearsalFailed(
      `the canary copied ${copied.rowCount} of ${keys.length} rows of ${source.source}; kits holds rows of another batch`,
    );
  return keys.length;
};

/** Legacy rows of the canary that changed without anybody else having written them. */
const unexplained = (
  before: Fingerprints,
  after: Fingerprints,
): { keys: string[]; changedByOthers: number } => {
  const changed = [...before].filter(([key, { hash }]) => after.get(key)?.hash !== hash);
  const keys = changed
    .filter(([key, { writer }]) => after.get(key)?.writer === writer)
    .map(([key]) => key);
  return { keys, changedByOthers: changed.length - keys.length };
};

/** A rehearsal that died leaves its canary batch behind; it is cleared away like any other. */
const clearCanary = async (
  db: Database,
  binding: Binding,
  batchId: string,
  actor: string,
): Promise<void> => {
  await deleteBatch(db, binding, batchId, Number.POSITIVE_INFINITY);
  await db.transaction({ asEngine: true }, async (session) => {
    const { rows } = await session.query(
      `select count(*)::int as n from ${binding.kits} where migration_batch_id = $1`,
      [batchId],
    );
    if (rows[0].n > 0)
      throw new RehearsalFailed(
        `${rows[0].n} rows of canary batch ${batchId} are left after its rollback`,
      );
    await endBatch(session, batchId, 'rolled-back', actor, PHASE);
  });
};

/**
 * The rehearsal: in stage `legacy` a small batch is copied, verified and rolled back, and the legacy rows
 * it read are proved unchanged by content hash. Run it as often as you like.
 *
 * @param rows rows of each source, half of them the oldest and half the newest
 * @throws {RehearsalFailed} in any other stage, or naming what did not come back as it went in; the canary is gone all the same.
 */
export const rehearse = async (
  db: Database,
  binding: Binding,
  { rows, actor, reportId }: { rows: number; actor: string; reportId: string | null },
): Promise<Rehearsal> => {
  const projections = SOURCES.map((source) => project(binding, binding.sources[source]));
  const { stage } = await db.transaction({ asEngine: true, readOnly: true }, readStage);
  if (stage !== 'legacy')
    throw new RehearsalFailed(
      `a rehearsal copies into an empty kits and empties it again, in stage "legacy" only; stage "${stage}" holds`,
    );
  const left = await db.transaction({ asEngine: true }, activeBatch);
  if (left?.kind === 'canary') await clearCanary(db, binding, left.id, actor);
  const { id: batchId } = await db.transaction({ asEngine: true }, (session) =>
    beginBatch(session, binding, { kind: 'canary', reportId, actor, phase: PHASE }),
  );
  const before = new Map<Source, Fingerprints>();
  let copied = 0;
  try {
    await db.transaction({ asEngine: true, isolation: 'repeatable read' }, async (session) => {
      for (const projection of projections) {
        const keys = await canaryKeys(session, projection, rows);
        before.set(projection.source.source, await fingerprints(session, projection, keys));
        copied += await copyAndVerify(session, projection, batchId, keys);
      }
    });
  } catch (error) {
    if (!isRowFault(error)) throw error;
    throw new RehearsalFailed(
      `kits refuses a row of the canary: ${[error.code, error.constraint ?? error.column].filter(Boolean).join(' ')}. Run the analysis again; it names the keys.`,
      { cause: error },
    );
  } finally {
    await clearCanary(db, binding, batchId, actor);
  }
  return db.transaction({ asEngine: true }, async (session) => {
    let changedByOthers = 0;
    for (const projection of projections) {
      const was = before.get(projection.source.source) ?? new Map();
      const verdict = unexplained(was, await fingerprints(session, projection, [...was.keys()]));
      if (verdict.keys.length > 0)
        throw new RehearsalFailed(
          `legacy rows changed during the rehearsal though nobody wrote them: ${projection.source.source} ${verdict.keys.slice(0, 20).join(', ')}`,
        );
      changedByOthers += verdict.changedByOthers;
    }
    await recordEvent(session, {
      phase: PHASE,
      action: 'rehearsed',
      actor,
      batchId,
      detail: { rows: copied, changedByOthers },
    });
    return { batchId, rows: copied, changedByOthers };
  });
};
