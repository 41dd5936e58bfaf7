import {
  isTracked,
  listBatches,
  listEvents,
  type MigrationStanding,
  readReport,
  readStanding,
  type Session,
} from '@unified-kits/data';
import { InvalidInput } from '@unified-kits/domain';
import { z } from 'zod';
import { type Call, phaseHandler } from '../runtime/phase-handler.ts';
import { doctor } from './doctor.ts';

const limit = z.int().min(1).max(1_000);

const event = z.discriminatedUnion('action', [
  /** Where the migration stands, with so many of its last events. */
  z.object({ action: z.literal('status'), events: z.int().min(0).max(100).default(8) }),
  z.object({ action: z.literal('batches'), limit: limit.default(20) }),
  z.object({
    action: z.literal('events'),
    limit: limit.default(50),
    batchId: z.uuid().optional(),
    /** The id of an event: those before it. */
    before: z.int().positive().optional(),
    /** Without those that only keep count of time and progress. */
    notable: z.boolean().default(false),
  }),
  /** The newest report by default. */
  z.object({ action: z.literal('report'), reportId: z.uuid().optional() }),
  z.object({ action: z.literal('doctor') }),
]);

/** Before phase 0 has run there is nothing to list. */
const listed = async <Row>(
  { db }: Call,
  read: (session: Session) => Promise<readonly Row[]>,
): Promise<readonly Row[]> =>
  (await isTracked(db)) ? db.transaction({ asEngine: true, readOnly: true }, read) : [];

const report = async ({ db }: Call, reportId: string | undefined) => {
  const id = reportId ?? (await readStanding(db, 0))?.report?.id;
  if (id === undefined)
    throw new InvalidInput('there is no report yet: analyse first (kits analyse)');
  return { report: await readReport(db, id) };
};

const status = async (
  { db }: Call,
  events: number,
): Promise<{ standing: MigrationStanding | null }> => ({
  standing: (await readStanding(db, events)) ?? null,
});

/** What operators ask about a migration. It changes nothing. */
export const handler = phaseHandler('operations', event, async (asked, call): Promise<object> => {
  switch (asked.action) {
    case 'status':
      return status(call, asked.events);
    case 'batches':
      return { batches: await listed(call, (session) => listBatches(session, asked)) };
    case 'events':
      return { events: await listed(call, (session) => listEvents(session, asked)) };
    case 'report':
      return report(call, asked.reportId);
    case 'doctor':
      return doctor(call);
  }
});
