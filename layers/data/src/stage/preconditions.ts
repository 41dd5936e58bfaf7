import { FlipRefused, SOURCES, type Stage, takesAuthorityFromLegacy } from '@unified-kits/domain';
import type { Binding } from '../catalog/bind-mapping.ts';
import type { Session } from '../connection/database.ts';
import type { StageRow } from './read-stage.ts';

const count = async (
  session: Session,
  sql: string,
  values: readonly unknown[] = [],
): Promise<number> => Number((await session.query(sql, [...values])).rows[0].n);

const copyComplete = async (session: Session, { batchId }: StageRow) => {
  const open = await count(
    session,
    'select count(*) as n from migration.chunk where batch_id = $1 and done_at is null',
    [batchId],
  );
  const all = await count(
    session,
    'select count(*) as n from migration.chunk where batch_id = $1',
    [batchId],
  );
  if (all === 0) return 'the copy has not been planned';
  return open > 0 ? `${open} of ${all} chunks are not copied yet` : undefined;
};

const parityExact = async (session: Session, { batchId, epoch }: StageRow) => {
  const { rows } = await session.query(
    `select mismatched from migration.parity_run
      where batch_id = $1 and epoch = $2 and finished_at is not null order by started_at desc limit 1`,
    [batchId, epoch],
  );
  if (rows[0] === undefined) return 'parity has not been proved in this stage';
  return Number(rows[0].mismatched) > 0
    ? `the last parity run found ${rows[0].mismatched} mismatches`
    : undefined;
};

/** Rows born in `unified` have no legacy row for such a key to point at. */
const noReferences = async (session: Session, binding: Binding) => {
  const { rows } = await session.query(
    `select conname as name, conrelid::regclass::text as table, confrelid::regclass::text as legacy from pg_constraint
      where contype = 'f' and confrelid = any ($1::regclass[]) and conrelid <> confrelid and conparentid = 0 order by 2, 1`,
    [SOURCES.map((source) => binding.sources[source].relation)],
  );
  return rows.length === 0
    ? undefined
    : `foreign keys still point at the legacy tables: ${rows.map(({ name, table, legacy }) => `${table} (${name}) → ${legacy}`).join(', ')}. Re-point them at kits, or stay in dual-write`;
};

/** After `closed` nobody noted what changed: only a comparison of everything does. */
const resynchronised = async (session: Session, { batchId, epoch }: StageRow) => {
  const closed = await count(
    session,
    `select count(*) as n from migration.event where batch_id = $1 and action = 'flip' and detail ->> 'to' = 'closed'`,
    [batchId],
  );
  if (closed === 0) return undefined;
  const runs = await count(
    session,
    'select count(*) as n from migration.parity_run where batch_id = $1 and epoch = $2 and finished_at is not null',
    [batchId, epoch],
  );
  return runs > 0
    ? undefined
    : 'the migration was closed, so nothing noted what changed since: run parity once, which notes every difference';
};

const kitsEmpty = async (session: Session, binding: Binding, batchId: string | null) => {
  const { rows } = await session.query(
    `select migration_batch_id as batch from ${binding.kits} where migration_batch_id is distinct from $1 limit 1`,
    [batchId],
  );
  return rows.length === 0
    ? undefined
    : `kits holds rows of batch ${rows[0].batch}: roll that batch back first`;
};

/**
 * Why a flip may not happen, or undefined. Checked before the tables are locked, so that a flip that
 * must fail holds nobody up, and again under the lock.
 */
const reasonAgainst = async (
  session: Session,
  binding: Binding,
  current: StageRow,
  to: Stage,
  locked: boolean,
): Promise<string | undefined> => {
  const from = current.stage;
  // Not under the lock: in this stage only a batch writes kits, and dead rows would make it a long look.
  if (from === 'legacy') return locked ? undefined : kitsEmpty(session, binding, current.batchId);
  if (from === 'copying' && to === 'mirrored') return copyComplete(session, current);
  if (takesAuthorityFromLegacy(from, to))
    return (
      (await parityExact(session, current)) ??
      (to === 'unified' ? await noReferences(session, binding) : undefined)
    );
  if (from === 'dual-write' && to === 'unified') return noReferences(session, binding);
  if (from === 'unified' && to === 'dual-write') return resynchronised(session, current);
  return undefined;
};

/**
 * @param locked whether the flip holds its locks
 * @throws {FlipRefused} saying what stands against the flip and what to do.
 */
export const assertPreconditions = async (
  session: Session,
  binding: Binding,
  current: StageRow,
  to: Stage,
  locked: boolean,
): Promise<void> => {
  const reason = await reasonAgainst(session, binding, current, to, locked);
  if (reason !== undefined)
    throw new FlipRefused(`no flip from "${current.stage}" to "${to}": ${reason}.`);
};
