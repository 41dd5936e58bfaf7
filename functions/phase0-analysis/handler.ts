import {
  analyse,
  approveReport,
  assertApproved,
  bindMapping,
  installTracking,
  readReport,
  storeReport,
} from '@unified-kits/data';
import {
  blockersOf,
  describeFinding,
  InvalidInput,
  NoGo,
  type Severity,
} from '@unified-kits/domain';
import { z } from 'zod';
import { resumable } from '../runtime/batch-of-run.ts';
import { mappingOf } from '../runtime/bound.ts';
import { type Call, phaseHandler } from '../runtime/phase-handler.ts';
import { cutoverInput, laneNumbers, type Run, runSchema } from '../runtime/run.ts';

const event = z.discriminatedUnion('action', [
  z.object({ action: z.literal('accept'), execution: z.string(), input: z.unknown() }),
  z.object({ action: z.literal('analyse'), run: runSchema }),
  z.object({ action: z.literal('verify-approval'), run: runSchema, analysisId: z.string() }),
  z.object({
    action: z.literal('approve'),
    reportId: z.string(),
    digest: z.string(),
    actor: z.string(),
  }),
]);

const accept = (execution: string, input: unknown): Run => {
  const parsed = cutoverInput.safeParse(input);
  if (!parsed.success)
    throw new InvalidInput(`input of the cutover: ${z.prettifyError(parsed.error)}`);
  const { reportId, batchId, ...given } = parsed.data;
  return {
    ...given,
    execution,
    reportId: reportId ?? null,
    batchId: batchId ?? null,
    laneNumbers: laneNumbers(given.lanes),
  };
};

/** What a resumed cutover answers: its batch was let in by an analysis before it began. */
const resumed = (batchId: string) =>
  ({ done: true, resumed: true, batchId, verdict: 'GO', analysisId: null }) as const;

const analysed = async (run: Run, call: Call) => {
  const { db, deadline } = call;
  await installTracking(db);
  if (run.mode === 'cutover') {
    const batch = await db.transaction({ asEngine: true, readOnly: true }, (session) =>
      resumable(session, run),
    );
    if (batch !== undefined) return resumed(batch.id);
  }
  const mapping = await mappingOf(call);
  const binding = await db.transaction({}, (session) => bindMapping(session, mapping));
  const outcome = await analyse(db, binding, { deadline });
  if (!outcome.done) return { done: false, ...outcome.progress };
  const report = await storeReport(db, outcome.analysis, run.actor);
  const { findings, verdict, sources, estimate } = outcome.analysis;
  const blockers = blockersOf(findings);
  const count = (severity: Severity) =>
    findings.filter((finding) => finding.severity === severity).length;
  return {
    done: true,
    resumed: false,
    verdict,
    analysisId: report.id,
    digest: report.digest,
    blockers: blockers.length,
    unifiedBlockers: count('unified-blocker'),
    warnings: count('warning'),
    message: `report ${report.id}: ${blockers.length} blockers. ${blockers.map(describeFinding).join('; ')}`,
    rows: { kit: sources.kit.rows, practitioner_kits: sources.practitioner_kits.rows },
    estimate,
  };
};

const verified = async (run: Run, analysisId: string, call: Call) => {
  const { db } = call;
  const mapping = await mappingOf(call);
  const binding = await db.transaction({}, (session) => bindMapping(session, mapping));
  const fresh = await readReport(db, analysisId);
  if (run.reportId === null)
    throw fresh.analysis.verdict === 'GO'
      ? new InvalidInput(
          'input of the cutover: "reportId" is missing. Name the approved report that the migration rests on.',
        )
      : new NoGo(`the analysis found blockers: read report ${analysisId}`);
  const report = await assertApproved(db, binding, run.reportId, fresh.analysis);
  return { approved: true, reportId: report.id, approvedBy: report.approvedBy };
};

/** The operator's sign-off; no workflow calls this, a person does. */
const approved = async (
  { reportId, digest, actor }: { reportId: string; digest: string; actor: string },
  { db }: Call,
) => {
  const { id, approvedAt, approvedBy } = await approveReport(db, { reportId, digest, actor });
  return { reportId: id, digest, approvedAt, approvedBy };
};

/** Phase 0: the input, the analysis, the sign-off, and the sign-off as the cutover's entry condition. */
export const handler = phaseHandler('phase0-analysis', event, async (asked, call) => {
  switch (asked.action) {
    case 'accept':
      return { run: accept(asked.execution, asked.input) };
    case 'analyse':
      return analysed(asked.run, call);
    case 'verify-approval':
      return verified(asked.run, asked.analysisId, call);
    case 'approve':
      return approved(asked, call);
  }
});
