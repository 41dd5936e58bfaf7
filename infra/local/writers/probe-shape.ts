import { type Binding, type Session, SQLSTATE } from '@unified-kits/data';
import { SOURCES, type Source } from '@unified-kits/domain';
import pg from 'pg';
import { storeStatements } from './statements.ts';
import { statusPairs, type TokenColumn, tokenCandidates, type WriteShape } from './write-shape.ts';

/** A try that the table's own rules refuse says what cannot be written; anything else is a fault. */
const refused = (error: unknown): boolean =>
  error instanceof pg.DatabaseError &&
  error.severity === 'ERROR' &&
  error.code !== SQLSTATE.lockNotAvailable &&
  error.code !== SQLSTATE.queryCanceled;

const tried = async (
  session: Session,
  sql: string,
  values: readonly unknown[],
): Promise<boolean> => {
  await session.query('savepoint probe');
  try {
    const { rowCount } = await session.query(sql, [...values]);
    return (rowCount ?? 0) > 0;
  } catch (error) {
    if (!refused(error)) throw error;
    return false;
  } finally {
    await session.query('rollback to savepoint probe');
  }
};

const PROBE_TOKEN = 'probe-000000';
const PROBE_NUMBER = 'W-probe-00000';

const probeSource = async (
  session: Session,
  binding: Binding,
  source: Source,
  key: string,
): Promise<WriteShape | undefined> => {
  const bound = binding.sources[source];
  const shapeWith = (token: TokenColumn): WriteShape => ({
    source,
    bound,
    kits: binding.kits,
    token,
    statuses: [],
    inserts: true,
  });
  for (const token of tokenCandidates(bound)) {
    const bare = shapeWith(token);
    if (!(await tried(session, storeStatements(bare).legacy.update, [key, PROBE_TOKEN]))) continue;
    const statuses: { legacy: string; unified: string }[] = [];
    for (const pair of statusPairs(bound)) {
      const { update } = storeStatements({ ...bare, statuses: [pair] }).legacy;
      if (await tried(session, update, [key, PROBE_TOKEN, pair.legacy])) statuses.push(pair);
    }
    const shape = { ...bare, statuses };
    const { insert } = storeStatements(shape).legacy;
    const status = statuses[0] === undefined ? [] : [statuses[0].legacy];
    const values = [key, PROBE_TOKEN, PROBE_NUMBER, ...status];
    const inserts = insert !== undefined && (await tried(session, insert, values));
    return { ...shape, inserts };
  }
  return undefined;
};

/**
 * Finds by trying, in a transaction that is rolled back, what a writer's session may do with each legacy
 * table: a unique key, a check, a foreign key or a trigger of the organisation's decides that, and no
 * catalog query would tell it all. It must run while the legacy tables are authoritative.
 *
 * @param session a writer's own session, outside any transaction
 * @param samples a legacy id of each source to try with; a source without one is not written
 */
export const probeShapes = async (
  session: Session,
  binding: Binding,
  samples: Readonly<Partial<Record<Source, string>>>,
): Promise<Record<Source, WriteShape | undefined>> => {
  const shapes: Record<Source, WriteShape | undefined> = {
    kit: undefined,
    practitioner_kits: undefined,
  };
  await session.query(`begin; set local lock_timeout = '2s'`);
  try {
    for (const source of SOURCES) {
      const key = samples[source];
      if (key !== undefined) shapes[source] = await probeSource(session, binding, source, key);
    }
  } finally {
    await session.query('rollback');
  }
  return shapes;
};
