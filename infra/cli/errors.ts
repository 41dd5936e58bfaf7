import { UnifiedKitsError } from '@unified-kits/domain';

/** What the command line asks for cannot be. */
export class UsageError extends UnifiedKitsError {
  constructor(message: string) {
    super('UsageError', message);
  }
}

/** The operator did not confirm, or named something else than what was shown. Nothing was done. */
export class NotConfirmed extends UnifiedKitsError {
  constructor(message: string) {
    super('NotConfirmed', message);
  }
}

/** There is no system to operate, or it cannot be reached. */
export class NoSystem extends UnifiedKitsError {
  constructor(message: string, options?: ErrorOptions) {
    super('NoSystem', message, options);
  }
}

/** What was asked for would be put back, or is not to be had now. Nothing was done. */
export class Refused extends UnifiedKitsError {
  constructor(message: string) {
    super('Refused', message);
  }
}

/** What was asked for is under way, and was not seen to end. */
export class NotYet extends UnifiedKitsError {
  constructor(message: string) {
    super('NotYet', message);
  }
}

/** A function, or an execution, ended with an error; it has that error's own name. */
export class RemoteError extends UnifiedKitsError {}

/** The operator does not wait any longer. */
export class Interrupted extends UnifiedKitsError {
  constructor(message: string) {
    super('Interrupted', message);
  }
}
