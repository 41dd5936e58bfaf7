import { CommanderError } from 'commander';

/** What a command answers a shell with. */
export const EXIT = {
  done: 0,
  failed: 1,
  usage: 2,
  refused: 3,
  notConfirmed: 4,
  noSystem: 5,
  tryAgain: 6,
  interrupted: 130,
} as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** For `--help`. */
export const EXIT_CODES_HELP = `
Exit codes:
  0    done
  1    failed, or doctor found a fault
  2    wrong usage
  3    refused: a precondition does not hold, and nothing was changed
  4    not confirmed, and nothing was done
  5    no system found, or it cannot be reached
  6    not now: the same may succeed when it is tried again
  130  interrupted`;

/** Errors by what a script can do about them; all others are failures. */
const BY_NAME: Readonly<Record<string, ExitCode>> = {
  UsageError: EXIT.usage,
  InvalidInput: EXIT.usage,
  Interrupted: EXIT.interrupted,
  AbortError: EXIT.interrupted,
  NotConfirmed: EXIT.notConfirmed,
  NoSystem: EXIT.noSystem,
  Refused: EXIT.refused,
  NoGo: EXIT.refused,
  ReportNotApproved: EXIT.refused,
  BatchActive: EXIT.refused,
  BatchNotFound: EXIT.refused,
  FlipRefused: EXIT.refused,
  IllegalTransition: EXIT.refused,
  IllegalWish: EXIT.refused,
  GuardRequired: EXIT.refused,
  RollbackRefused: EXIT.refused,
  SchemaInUse: EXIT.refused,
  SchemaVersionMismatch: EXIT.refused,
  MappingInvalid: EXIT.refused,
  MappingMismatch: EXIT.refused,
  StoresNotInStep: EXIT.refused,
  NotYet: EXIT.tryAgain,
  DatabaseUnwell: EXIT.tryAgain,
  FlipBlocked: EXIT.tryAgain,
  CopyYielded: EXIT.tryAgain,
  FlagsUnreadable: EXIT.tryAgain,
  QueuesUnreachable: EXIT.tryAgain,
  WorkersBusy: EXIT.tryAgain,
};

/** The exit code that an error stands for. */
export const exitCodeOf = (error: unknown): ExitCode => {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage;
  return (error instanceof Error ? BY_NAME[error.name] : undefined) ?? EXIT.failed;
};
