import { hasSqlState, isLostConnection, SQLSTATE } from '@unified-kits/data';
import { DatabaseUnwell, UnifiedKitsError } from '@unified-kits/domain';
import pg from 'pg';

/** A statement failed for a reason that nobody foresaw; the message has no value of any row. */
export class DatabaseFault extends UnifiedKitsError {
  constructor(message: string, options?: ErrorOptions) {
    super('DatabaseFault', message, options);
  }
}

const isPassing = (error: pg.DatabaseError): boolean =>
  isLostConnection(error) ||
  // No room for it just now, or the operating system failed the server.
  /^(53|58)/.test(error.code ?? '') ||
  hasSqlState(
    error,
    SQLSTATE.lockNotAvailable,
    SQLSTATE.deadlockDetected,
    SQLSTATE.serializationFailure,
    SQLSTATE.queryCanceled,
  );

/** Whether the same may well succeed when it is tried again. */
export const isPassingFault = (error: unknown): boolean =>
  error instanceof pg.DatabaseError ? isPassing(error) : isLostConnection(error);

const where = ({ code, schema, table, constraint, column }: pg.DatabaseError): string =>
  [code, schema, table, constraint ?? column].filter(Boolean).join(' ');

/**
 * The error that leaves a function: its name decides what the workflow does, and its message ends in logs
 * and in the execution's history. A message of the server's, and the detail of an error that is the cause of
 * one of ours, may quote a row's value, so both stay behind: the server's own log has them.
 */
export const publicError = (error: unknown): unknown => {
  if (error instanceof pg.DatabaseError)
    return isPassing(error)
      ? new DatabaseUnwell(`the database stopped a statement (${where(error)}): try again`)
      : new DatabaseFault(
          `the database refused a statement (${where(error)}): look at its log for the statement`,
        );
  if (!(error instanceof Error)) return error;
  if (!(error instanceof UnifiedKitsError) && isLostConnection(error))
    return new DatabaseUnwell('the connection to the database was lost: try again');
  delete error.cause;
  return error;
};
