import pg from 'pg';

/** SQLSTATEs that the engine tells apart. */
export const SQLSTATE = {
  uniqueViolation: '23505',
  notNullViolation: '23502',
  checkViolation: '23514',
  foreignKeyViolation: '23503',
  lockNotAvailable: '55P03',
  queryCanceled: '57014',
  deadlockDetected: '40P01',
  serializationFailure: '40001',
  insufficientPrivilege: '42501',
  undefinedTable: '42P01',
  undefinedColumn: '42703',
  invalidSchemaName: '3F000',
  duplicateObject: '42710',
  raiseException: 'P0001',
} as const;

/** Whether an error came from the server with one of these SQLSTATEs. */
export const hasSqlState = (
  error: unknown,
  ...states: readonly string[]
): error is pg.DatabaseError =>
  error instanceof pg.DatabaseError && error.code !== undefined && states.includes(error.code);

/** Integrity violations and malformed data: trying again will not help until somebody changes a row. */
export const isRowFault = (error: unknown): error is pg.DatabaseError =>
  error instanceof pg.DatabaseError &&
  (error.code?.startsWith('23') === true ||
    error.code?.startsWith('22') === true ||
    error.code === 'KF002');
