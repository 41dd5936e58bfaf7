import { type RunReport, renderRunReport, runReport } from '@unified-kits/domain';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { approvedReport, cutOver, type Rig, rigOf, rollBack } from '../support/system.ts';

const readReport = async ({ system }: Rig, runId?: string): Promise<RunReport> =>
  runReport.parse(await system.invoke('reports', { action: 'read', runId }));

const keptPage = ({ system }: Rig, runId: string): Promise<string | undefined> =>
  system.reports.read(`reports/${runId}.html`);

/** What the database says, beside what the report says. */
const query = async ({ legacy }: Rig, text: string, values: readonly unknown[] = []) =>
  (await legacy.pool.query(text, [...values])).rows;

describe('the report of a run', () => {
  let rig: Rig;
  let reportId: string;
  let batchId: string;
  beforeAll(async () => {
    rig = await rigOf(120);
  });
  afterAll(() => rig.close());

  it('is there as soon as the analysis is, and tells of the approval once there is one', async () => {
    reportId = await approvedReport(rig);
    // Written by the workflow, before anybody approved.
    expect(await keptPage(rig, reportId)).toContain('GO, awaiting approval');
    const report = await readReport(rig, reportId);
    const [stored] = await query(rig, 'select digest, body from migration.report where id = $1', [
      reportId,
    ]);
    expect(report).toMatchObject({
      id: reportId,
      state: 'approved',
      stage: 'legacy',
      environment: 'test',
      batch: null,
      analysis: { digest: stored.digest, approvedBy: 'operator', rows: { kit: 120 } },
      phases: [{ name: 'phase0-analysis' }],
    });
    expect(report.analysis?.findings).toHaveLength(stored.body.findings.length);
    expect(report.events.map(({ action }) => action)).toEqual(['report-stored', 'report-approved']);
  });

  it('says by which error a cutover stopped, and where production works', async () => {
    // The dual-write window cannot end while a foreign key points at a legacy table.
    await query(rig, 'create table result (kit_id bigint references kit (id))');
    expect(await cutOver(rig, { reportId, contractKits: 5 })).toMatchObject({ status: 'FAILED' });
    const report = await readReport(rig);
    expect(report).toMatchObject({
      state: 'stopped',
      stoppedBy: 'FlipRefused',
      stage: 'dual-write',
      rollback: null,
    });
    batchId = report.id;
    expect(await keptPage(rig, batchId)).toContain('The migration stopped (FlipRefused)');
  });

  it('holds of a migration what the database holds, nothing more and nothing else', async () => {
    await query(rig, 'drop table result');
    const ended = await cutOver(rig, { contractKits: 5 });
    expect(ended).toMatchObject({ status: 'SUCCEEDED', output: { batchId } });
    expect(await keptPage(rig, batchId)).toContain('Complete');
    const report = await readReport(rig, batchId);
    expect(report).toMatchObject({
      state: 'closed',
      stage: 'closed',
      stoppedBy: null,
      batch: { id: batchId, actor: 'operator', outcome: 'closed' },
      analysis: { reportId, approvedBy: 'operator' },
      copy: { rows: { kit: 120, practitioner_kits: 120 }, expected: 240 },
      contract: { differing: 0, complete: true },
      rehearsal: { rows: 240 },
      clients: null,
      rollback: null,
    });
    const flips = await query(
      rig,
      `select detail ->> 'from' as "from", detail ->> 'to' as "to", at from migration.event where action = 'flip' order by id`,
    );
    expect(report.flips.map(({ from, to, at }) => ({ from, to, at: new Date(at) }))).toEqual(flips);
    expect(report.flips.every(({ writersHeldMs }) => (writersHeldMs ?? 0) > 0)).toBe(true);
    const runs = await query(
      rig,
      `select id as "runId", compared::float8, mismatched::float8 from migration.parity_run where finished_at is not null order by started_at`,
    );
    expect(report.parity?.runs).toMatchObject(runs);
    expect(report.parity?.cells).toEqual([
      { source: 'kit', ranges: 1, compared: 120, mismatched: 0, open: 0 },
      { source: 'practitioner_kits', ranges: 1, compared: 120, mismatched: 0, open: 0 },
    ]);
    const [monitored] = await query(
      rig,
      `select count(*)::int as checks from migration.event where action = 'monitored'`,
    );
    expect(report.monitoring?.checks).toBe(monitored.checks);
    expect(report.copy?.samples.at(0)).toMatchObject({ copied: 0 });
    expect(report.copy?.samples.at(-1)).toMatchObject({ copied: 240, backlog: 0 });
    expect(report.phases.map(({ name }) => name).sort()).toEqual([
      'phase0-analysis',
      'phase1-schema',
      'phase2-migration',
      'phase3-services',
      'phase4-contract-check',
      'phase5-queues',
      'phase6-validation',
      'phase7-cleanup',
    ]);
    const told = await query(
      rig,
      `select action from migration.event where action <> all (array['worked', 'flip-held', 'progress-noted', 'parity-sampled', 'monitored']) order by id`,
    );
    // A cutover analyses anew before it begins, which is a report of its own, and so is the schema's making.
    const own = told
      .map(({ action }) => action)
      .filter(
        (action, at) => action !== 'schema-created' && !(action === 'report-stored' && at > 0),
      );
    expect(
      report.events.map(({ action }) => action).filter((action) => action !== 'monitored'),
    ).toEqual(own);
  });

  it('proves the rollback line by line', async () => {
    const ended = await rollBack(rig);
    const { proof, rowsDeleted } = ended.output as { proof: object; rowsDeleted: number };
    const report = await readReport(rig, batchId);
    expect(report).toMatchObject({
      state: 'rolled-back',
      stage: 'legacy',
      rollback: { rowsDeleted, proof },
    });
    expect(report.flips.at(-1)).toMatchObject({ to: 'legacy' });
    expect((await query(rig, 'select count(*)::int as kits from kits'))[0].kits).toBe(0);
    const page = await keptPage(rig, batchId);
    expect(page).toContain('Rolled back');
    expect(renderRunReport({ ...report, generatedAt: '2026-01-01T00:00:00.000Z' })).toHaveLength(
      page?.length ?? 0,
    );
  });

  it('is refused for what is no run, in words that say what to name', async () => {
    for (const runId of ['nonsense', '00000000-0000-4000-8000-000000000000'])
      await expect(rig.system.invoke('reports', { action: 'read', runId })).rejects.toThrow(
        /neither a batch nor an analysis/,
      );
  });
});

describe('the report of a NO-GO', () => {
  let rig: Rig;
  beforeAll(async () => {
    rig = await rigOf(20);
    await rig.legacy.pool.query(
      'insert into kit (kit_number, user_id, status) select kit_number, user_id, status from kit where id = 3',
    );
  });
  afterAll(() => rig.close());

  it.each(['analyse', 'cutover'])('is written in mode "%s", with keys and advice', async (mode) => {
    const ended = await cutOver(rig, { mode });
    expect(ended.status).toBe(mode === 'analyse' ? 'SUCCEEDED' : 'FAILED');
    const report = await readReport(rig);
    expect(report).toMatchObject({
      state: 'no-go',
      analysis: {
        verdict: 'NO-GO',
        findings: expect.arrayContaining([
          expect.objectContaining({
            code: 'DUPLICATE_IN_KIT',
            keys: expect.arrayContaining(['3', '21']),
          }),
        ]),
      },
    });
    const page = await keptPage(rig, report.id);
    expect(page).toContain('Decide which of these rows keeps the kit number');
    expect(page).not.toContain('K3');
  });

  it('that cannot be written changes nothing about how a run ends', async () => {
    await rig.system.reports.stop();
    const before = rig.log.length;
    expect(await cutOver(rig, { mode: 'analyse' })).toMatchObject({
      status: 'SUCCEEDED',
      output: { verdict: 'NO-GO' },
    });
    expect(rig.log.slice(before)).toContainEqual(
      expect.objectContaining({ function: 'reports', level: 'error', error: 'ReportNotKept' }),
    );
  });
});
