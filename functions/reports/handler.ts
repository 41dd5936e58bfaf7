import { readRunReport } from '@unified-kits/data';
import { renderRunReport } from '@unified-kits/domain';
import { z } from 'zod';
import { type Call, phaseHandler } from '../runtime/phase-handler.ts';
import { required } from '../runtime/queues.ts';
import { keepReport, reportKey } from './report-archive.ts';

/** Of a batch, or of an analysis' report; without it the newest run. */
const runId = z.string().min(1).nullish();
const event = z.discriminatedUnion('action', [
  z.object({ action: z.literal('read'), runId }),
  z.object({ action: z.literal('write'), runId }),
]);

const read = ({ db, environment }: Call, id: string | null | undefined) =>
  readRunReport(db, { id: id ?? undefined, environment: environment.name });

const write = async (call: Call, id: string | null | undefined) => {
  const { environment } = call;
  const bucket = required(environment.reportBucket, 'REPORT_BUCKET');
  const report = await read(call, id);
  const key = reportKey(report.id);
  await keepReport(environment, bucket, key, renderRunReport(report));
  return { runId: report.id, state: report.state, bucket, key };
};

/** A run's report: as JSON, or as a page in the report bucket. It changes nothing in the database. */
export const handler = phaseHandler('reports', event, async ({ action, runId: id }, call) =>
  action === 'read' ? read(call, id) : write(call, id),
);
