import { recordEvent } from '../batch/record-event.ts';
import type { Session } from '../connection/database.ts';

/** A pause of the workers that nobody has ended yet. */
export interface WorkersPause {
  /** The execution of a workflow that asked for it last; null for an operator. */
  readonly execution: string | null;
  /** Whether the workers have come to rest since. */
  readonly atRest: boolean;
}

/** Who pauses or resumes. */
export interface Pauser {
  readonly phase: string;
  readonly actor: string;
  readonly execution: string | null;
}

/** The pause that lasts; undefined when the workers were resumed since, or never paused. */
export const readPause = async (session: Session): Promise<WorkersPause | undefined> => {
  const { rows } = await session.query(
    `select action, detail ->> 'execution' as execution from migration.event
      where action in ('workers-pausing', 'workers-paused', 'workers-resumed') order by id desc limit 1`,
  );
  const [latest] = rows;
  if (latest === undefined || latest.action === 'workers-resumed') return undefined;
  return { execution: latest.execution, atRest: latest.action === 'workers-paused' };
};

const record = (
  session: Session,
  action: string,
  { phase, actor, execution }: Pauser,
  detail: Readonly<Record<string, unknown>> = {},
) => recordEvent(session, { phase, action, actor, detail: { execution, ...detail } });

const isBy = (pause: WorkersPause | undefined, { execution }: Pauser): boolean =>
  pause !== undefined && pause.execution === execution;

/** Before anything is switched: a pause that fails half way is somebody's to end. Again changes nothing. */
export const notePausing = async (session: Session, by: Pauser): Promise<void> => {
  if (!isBy(await readPause(session), by)) await record(session, 'workers-pausing', by);
};

/** The workers are at rest. Again changes nothing. */
export const notePaused = async (session: Session, by: Pauser): Promise<void> => {
  const pause = await readPause(session);
  if (!isBy(pause, by) || pause?.atRest !== true) await record(session, 'workers-paused', by);
};

/** @param mapping the state of what feeds the workers, when they were let go on */
export const noteResumed = (session: Session, by: Pauser, mapping: string): Promise<void> =>
  record(session, 'workers-resumed', by, { mapping });

/**
 * Whether a pause is an execution's to end: its own, or one that an execution has left behind which drove the
 * same batch before it. Not an operator's, who may have had reasons of another kind, and not one of a
 * migration that is just about to begin.
 */
export const mayEndPause = async (
  session: Session,
  pause: WorkersPause,
  execution: string,
): Promise<boolean> => {
  if (pause.execution === execution) return true;
  const { rowCount } = await session.query(
    `select from (select distinct on (batch_id) batch_id, detail ->> 'execution' as execution
                    from migration.event where action = 'lead-taken' order by batch_id, id desc) lead
      where lead.execution = $1 and exists (
            select from migration.event before
             where before.action = 'lead-taken' and before.batch_id = lead.batch_id
               and before.detail ->> 'execution' = $2)`,
    [execution, pause.execution],
  );
  return rowCount === 1;
};
