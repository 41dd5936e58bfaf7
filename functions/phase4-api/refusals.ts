import {
  CreationUnsupported,
  IdempotencyKeyInUse,
  IdempotencyKeyReused,
  KitForbidden,
  KitNotFound,
  KitNumberTaken,
  KitRefused,
  OwnerUnknown,
  PositionUnknown,
  StatusUnreachable,
  StoreUnsettled,
} from '@unified-kits/domain';
import { invalidCursor } from './http/cursor.ts';
import { jsonPointer } from './http/json-pointer.ts';
import { asProblem, Problem, tryAgain } from './http/problem.ts';

/** The problem that tells a client of what the service refused; of anything else, what `asProblem` says. */
export const problemOf = (error: unknown): Problem => {
  if (error instanceof KitNotFound) return new Problem('not-found');
  if (error instanceof PositionUnknown) return invalidCursor();
  if (error instanceof KitForbidden) return new Problem('forbidden', { detail: error.message });
  if (error instanceof OwnerUnknown) return new Problem('forbidden', { detail: error.message });
  if (error instanceof KitNumberTaken)
    return new Problem('kit-number-taken', {
      errors: [{ pointer: jsonPointer(['kitNumber']), detail: 'choose another' }],
    });
  if (error instanceof StatusUnreachable) return new Problem('illegal-transition');
  if (error instanceof KitRefused)
    return new Problem('invalid-body', {
      errors: [
        { pointer: error.field === '' ? '' : jsonPointer([error.field]), detail: error.message },
      ],
    });
  // Which column is missing is the operator's to know: the log has it.
  if (error instanceof CreationUnsupported) return new Problem('not-creatable', { cause: error });
  if (error instanceof IdempotencyKeyReused) return new Problem('idempotency-key-reused');
  if (error instanceof IdempotencyKeyInUse) return new Problem('idempotency-key-in-use');
  if (error instanceof StoreUnsettled) return tryAgain(1, { cause: error });
  return asProblem(error);
};
