import type { Session } from '../connection/database.ts';

export interface AuditEvent {
  readonly phase: string;
  readonly action: string;
  readonly actor: string;
  readonly batchId?: string | undefined;
  /** Ids, counters and keys; never a row's content. */
  readonly detail?: Readonly<Record<string, unknown>>;
}

/** Appends to the audit log, in the transaction of what it tells of. */
export const recordEvent = async (session: Session, event: AuditEvent): Promise<void> => {
  await session.query(
    'insert into migration.event (phase, action, actor, batch_id, detail) values ($1, $2, $3, $4, $5)',
    [
      event.phase,
      event.action,
      event.actor,
      event.batchId ?? null,
      JSON.stringify(event.detail ?? {}),
    ],
  );
};
