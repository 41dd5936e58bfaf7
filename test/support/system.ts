import { approveReport } from '@unified-kits/data';
import type { Stage } from '@unified-kits/domain';
import { type EndedExecution, type System, startSystem } from '../../infra/local/system.ts';
import { type LegacyDatabase, legacyDatabase } from './legacy.ts';

/** A database with the reference schema, and the whole system beside it. */
export interface Rig {
  readonly legacy: LegacyDatabase;
  readonly system: System;
  /** The functions' log, parsed. */
  readonly log: Record<string, unknown>[];
  close(): Promise<void>;
}

/** Starts a system on a database that is there already. */
export const systemOn = async (
  legacy: LegacyDatabase,
  options: { readonly stateFile?: string } = {},
): Promise<Rig> => {
  const log: Record<string, unknown>[] = [];
  const system = await startSystem({
    databaseUrl: legacy.url,
    environment: 'test',
    waitScale: 0.01,
    log: (line) => log.push(JSON.parse(line)),
    ...options,
  });
  return { legacy, system, log, close: () => system.stop({ graceMs: 3_000 }) };
};

export const rigOf = async (rows = 300): Promise<Rig> => {
  const legacy = await legacyDatabase(rows);
  const rig = await systemOn(legacy);
  return {
    ...rig,
    async close() {
      await rig.close();
      await legacy.drop();
    },
  };
};

/** A monitoring window of one second, and a contract check of few kits, which else is most of a cutover. */
export const QUICK = { actor: 'operator', monitor: { seconds: 1, checks: 1 }, contractKits: 5 };

export const cutOver = async (
  { system }: Rig,
  input: Record<string, unknown>,
): Promise<EndedExecution> =>
  system.waitForExecution(await system.startCutover({ ...QUICK, ...input }));

export const rollBack = async (
  { system }: Rig,
  input: Record<string, unknown> = {},
): Promise<EndedExecution> =>
  system.waitForExecution(await system.startRollback({ actor: 'operator', ...input }));

/** Analyses through the workflow and signs off; the id of the approved report. */
export const approvedReport = async (rig: Rig): Promise<string> => {
  const ended = await rig.system.waitForExecution(
    await rig.system.startCutover({ mode: 'analyse', actor: 'operator' }),
  );
  const { analysisId, digest } = ended.output as { analysisId: string; digest: string };
  await approveReport(rig.legacy.db, { reportId: analysisId, digest, actor: 'operator' });
  return analysisId;
};

export const stageOf = async ({ legacy }: Pick<Rig, 'legacy'>): Promise<Stage> =>
  (await legacy.pool.query('select stage from migration.stage')).rows[0].stage;

/** Both legacy tables, row by row as text. */
export const legacyContent = async ({ legacy }: Rig): Promise<string[]> =>
  (
    await legacy.pool.query(
      `select t::text as row from kit t union all select t::text from practitioner_kits t order by 1`,
    )
  ).rows.map(({ row }) => row);

/** Waits until something is so; fails with what was seen last. */
export const eventually = async <Value>(
  read: () => Promise<Value>,
  isSo: (value: Value) => boolean,
  withinMs = 20_000,
): Promise<Value> => {
  const until = Date.now() + withinMs;
  for (;;) {
    const value = await read();
    if (isSo(value)) return value;
    if (Date.now() > until)
      throw new Error(`it never came to that; last seen: ${JSON.stringify(value)}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
};
