import { approveReport } from '@unified-kits/data';
import { afterEach, describe, expect, it } from 'vitest';
import { type System, startSystem } from '../../infra/local/system.ts';
import { type LegacyDatabase, legacyDatabase } from '../support/legacy.ts';

interface Rig {
  readonly legacy: LegacyDatabase;
  readonly system: System;
  readonly log: string[];
}

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const rig = async (rows = 300): Promise<Rig> => {
  const legacy = await legacyDatabase(rows);
  closing.push(() => legacy.drop());
  const log: string[] = [];
  const system = await startSystem({
    databaseUrl: legacy.url,
    environment: 'test',
    waitScale: 0.01,
    log: (line) => log.push(line),
  });
  closing.push(() => system.stop({ graceMs: 2_000 }));
  return { legacy, system, log };
};

const quick = { actor: 'operator', monitor: { seconds: 1, checks: 1 } };

const run = async ({ system }: Rig, input: Record<string, unknown>) =>
  system.waitForExecution(await system.startCutover(input));

const rollBack = async ({ system }: Rig, input: Record<string, unknown> = { actor: 'operator' }) =>
  system.waitForExecution(await system.startRollback(input));

/** Analyses and signs off; returns the id of the approved report. */
const approved = async (given: Rig): Promise<string> => {
  const { status, output } = await run(given, { mode: 'analyse', actor: 'operator' });
  expect({ status, output }).toMatchObject({ status: 'SUCCEEDED', output: { verdict: 'GO' } });
  const { analysisId, digest } = output as { analysisId: string; digest: string };
  await approveReport(given.legacy.db, { reportId: analysisId, digest, actor: 'operator' });
  return analysisId;
};

const stageOf = async ({ legacy }: Rig): Promise<string> =>
  (await legacy.pool.query('select stage from migration.stage')).rows[0].stage;

describe('the cutover workflow', () => {
  it('takes a database from its analysis to closed, and back by the rollback workflow', async () => {
    const given = await rig();
    const reportId = await approved(given);
    const ended = await run(given, { ...quick, reportId });
    expect(ended).toMatchObject({ status: 'SUCCEEDED', output: { stage: 'closed' } });
    const back = await rollBack(given);
    expect(back).toMatchObject({ status: 'SUCCEEDED', output: { stage: 'legacy' } });
    expect(await stageOf(given)).toBe('legacy');
  });
});
