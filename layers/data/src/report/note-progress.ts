import { recordEvent } from '../batch/record-event.ts';
import type { Session } from '../connection/database.ts';
import { readProgress } from '../copy/read-progress.ts';

/** A look is due when the last one is older than this part of the batch's age: a long copy needs no more looks than a short one. */
const PART_OF_AGE = 200;

const IS_DUE = `
select not exists (
  select from migration.event e
   where e.batch_id = b.id and e.action = 'progress-noted'
     and e.at > clock_timestamp() - (clock_timestamp() - b.started_at) / ${PART_OF_AGE}) as due
  from migration.batch b where b.id = $1`;

/** Who looks, at which batch. */
export interface ProgressNote {
  readonly batchId: string;
  readonly phase: string;
  readonly actor: string;
  /** Whether it is noted in any case: at the beginning or the end of a piece of work. */
  readonly always: boolean;
}

/** Notes how many rows are copied and how many keys wait, for the report's plots; only if a look is due. */
export const noteProgress = async (
  session: Session,
  { batchId, phase, actor, always }: ProgressNote,
): Promise<void> => {
  if (!always && (await session.query(IS_DUE, [batchId])).rows[0]?.due !== true) return;
  const { copied } = await readProgress(session, batchId);
  const { rows } = await session.query(
    'select count(*)::float8 as backlog from migration.pending_sync',
  );
  await recordEvent(session, {
    phase,
    action: 'progress-noted',
    actor,
    batchId,
    detail: { copied, backlog: rows[0].backlog },
  });
};
