/**
 * Errors that operators, Step Functions and callers tell apart. A class's name is what a `Retry` or
 * `Catch` matches, so it is set once here and never derived from a bundler's idea of a name.
 */
export class UnifiedKitsError extends Error {
  constructor(name: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = name;
  }
}

const named = (name: string) =>
  class extends UnifiedKitsError {
    constructor(message: string, options?: ErrorOptions) {
      super(name, message, options);
    }
  };

/** An event, argument or setting that cannot be understood. */
export class InvalidInput extends named('InvalidInput') {}
/** The mapping file itself is faulty. */
export class MappingInvalid extends named('MappingInvalid') {}
/** The mapping does not match the live schema; the message lists every mismatch. */
export class MappingMismatch extends named('MappingMismatch') {}
/** The analysis found blockers. */
export class NoGo extends named('NoGo') {}
/** The report was not approved, or what it describes has changed. */
export class ReportNotApproved extends named('ReportNotApproved') {}
/** The database's migration schema is missing, or at another version than the code. */
export class SchemaVersionMismatch extends named('SchemaVersionMismatch') {}
/** A schema rollback while a batch still holds rows. */
export class SchemaInUse extends named('SchemaInUse') {}
/** Another batch is active. */
export class BatchActive extends named('BatchActive') {}
/** No batch, or not the one named. */
export class BatchNotFound extends named('BatchNotFound') {}
/** A stage change between stages that are not neighbours. */
export class IllegalTransition extends named('IllegalTransition') {}
/** A flip whose preconditions do not hold; nothing was changed. */
export class FlipRefused extends named('FlipRefused') {}
/** A flip that could not get its locks; names the sessions that held them. */
export class FlipBlocked extends named('FlipBlocked') {}
/** The same kit number in both stores' rows; names both keys. */
export class DuplicateKitNumber extends named('DuplicateKitNumber') {}
/** A legacy row that `kits` cannot take; names its key and the constraint. */
export class RowRefused extends named('RowRefused') {}
/** The copy lost a lock to a client, as it should; try again. */
export class CopyYielded extends named('CopyYielded') {}
/** Keys that a drain could not re-synchronise. */
export class BacklogStuck extends named('BacklogStuck') {}
/** The two stores differ. */
export class ParityMismatch extends named('ParityMismatch') {}
/** The rehearsal's canary batch did not come back as it went in. */
export class RehearsalFailed extends named('RehearsalFailed') {}
/** Flags that contradict one another. */
export class IllegalWish extends named('IllegalWish') {}
/** The guard is not in the state that the action needs. */
export class GuardRequired extends named('GuardRequired') {}
/** The monitoring window saw something that must be looked at before closing. */
export class MonitorBreach extends named('MonitorBreach') {}
/** The API's two stores do not answer alike. */
export class ContractBroken extends named('ContractBroken') {}
/** Only one of the two stores is kept up to date in this stage. */
export class StoresNotInStep extends named('StoresNotInStep') {}
/** A rollback that would lose or orphan something; nothing was changed. */
export class RollbackRefused extends named('RollbackRefused') {}
/** The database is unwell (lag, long transactions, WAL rate); the work waits. */
export class DatabaseUnwell extends named('DatabaseUnwell') {}

/** No kit that the caller may know of has this id. */
export class KitNotFound extends named('KitNotFound') {}
/** The caller's own kit, but not the caller's to decide. */
export class KitForbidden extends named('KitForbidden') {}
/** A page that is to begin after what is no id of its list. */
export class PositionUnknown extends named('PositionUnknown') {}
/** Another kit has this number. */
export class KitNumberTaken extends named('KitNumberTaken') {}
/** A status that cannot follow the one the kit has. */
export class StatusUnreachable extends named('StatusUnreachable') {}
/** The owner that a new kit is for is not there. */
export class OwnerUnknown extends named('OwnerUnknown') {}
/** A value that a kit cannot take; `field` says which. */
export class KitRefused extends UnifiedKitsError {
  readonly field: string;
  constructor(field: string, message: string, options?: ErrorOptions) {
    super('KitRefused', message, options);
    this.field = field;
  }
}
/** The legacy table needs a value that no request can give. */
export class CreationUnsupported extends named('CreationUnsupported') {}
/** The same idempotency key came with another request. */
export class IdempotencyKeyReused extends named('IdempotencyKeyReused') {}
/** The first request of this idempotency key is still under way. */
export class IdempotencyKeyInUse extends named('IdempotencyKeyInUse') {}
/** No store would take the request just now (a flip forth and back, a lost lock): try again. */
export class StoreUnsettled extends named('StoreUnsettled') {}

/** Why a job can never be applied as it is. */
export type JobRejection =
  | 'malformed'
  | 'unknown-type'
  | 'unknown-version'
  | 'unknown-kit'
  | 'ambiguous-kit'
  | 'unknown-status';
/** A job that goes to the dead-letter queue; `reason` goes with it. */
export class JobRejected extends UnifiedKitsError {
  readonly reason: JobRejection;
  constructor(reason: JobRejection, message: string, options?: ErrorOptions) {
    super('JobRejected', message, options);
    this.reason = reason;
  }
}
/** Workers that were still at work when the time to wait for them was over. */
export class WorkersBusy extends named('WorkersBusy') {}

/** SQLSTATE of a write that the fence refused: this store is not authoritative now. */
export const FENCE_SQLSTATE = 'KF001';
/** SQLSTATE of a legacy value that the mapping does not name. */
export const UNMAPPED_VALUE_SQLSTATE = 'KF002';
