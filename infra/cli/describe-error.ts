import { UnifiedKitsError } from '@unified-kits/domain';
import { anchorOf } from '../runbook.ts';
import { NoSystem } from './errors.ts';

/** Headings of RUNBOOK.md that say what to do about an error, where its name is not the heading itself. */
const HEADINGS: Readonly<Record<string, string>> = {
  NoGo: 'NoGo',
  ReportNotApproved: 'ReportNotApproved',
  MappingInvalid: 'MappingMismatch, MappingInvalid',
  MappingMismatch: 'MappingMismatch, MappingInvalid',
  SchemaVersionMismatch: 'SchemaVersionMismatch',
  BatchActive: 'BatchActive',
  DuplicateKitNumber: 'DuplicateKitNumber',
  RowRefused: 'RowRefused',
  CopyYielded: 'CopyYielded',
  FlipRefused: 'FlipRefused',
  FlipBlocked: 'FlipBlocked',
  BacklogStuck: 'BacklogStuck: backlog not draining',
  ParityMismatch: 'ParityMismatch: parity mismatch',
  RehearsalFailed: 'RehearsalFailed',
  MonitorBreach: 'MonitorBreach: monitor breach',
  IllegalWish: 'IllegalWish, flag put back',
  ContractBroken: 'ContractBroken',
  StoresNotInStep: 'StoresNotInStep',
  WorkersBusy: 'WorkersBusy',
  QueuesUnreachable: 'QueuesUnreachable',
  RollbackRefused: 'RollbackRefused',
  FlagsUnreadable: 'FlagsUnreadable: guard unreadable',
  SecretUnusable: 'SecretUnusable',
  DatabaseFault: 'DatabaseFault, DatabaseUnwell',
  DatabaseUnwell: 'DatabaseFault, DatabaseUnwell',
};
export const RUNBOOK_HEADINGS: readonly string[] = [...new Set(Object.values(HEADINGS))];

/** An error as an operator reads it. */
export interface ToldError {
  readonly name: string;
  readonly message: string;
  /** Where to read on. */
  readonly next?: string;
}

/** Of the SDK and the network: the way to the system, and not the system, is at fault. */
const isUnreachable = (error: Error): boolean =>
  [
    'CredentialsProviderError',
    'ExpiredTokenException',
    'ExpiredToken',
    'UnrecognizedClientException',
    'InvalidSignatureException',
    'AccessDeniedException',
    'TimeoutError',
  ].includes(error.name) ||
  ('code' in error &&
    ['ECONNREFUSED', 'ECONNRESET', 'ENOTFOUND', 'ETIMEDOUT', 'EAI_AGAIN'].includes(
      String(error.code),
    ));

/** The error that a command ends with: one of the way to the system says so. */
export const knownError = (error: unknown): Error => {
  if (!(error instanceof Error)) return new Error(String(error));
  if (error instanceof UnifiedKitsError || !isUnreachable(error)) return error;
  return new NoSystem(
    `the system does not answer (${error.name}: ${error.message}): check that it is up, AWS_REGION and your AWS credentials and permissions`,
    { cause: error },
  );
};

/** What an operator is told of an error. */
export const toldOf = ({ name, message }: Error): ToldError => {
  const heading = HEADINGS[name];
  return {
    name,
    message,
    ...(heading === undefined ? {} : { next: `see RUNBOOK.md#${anchorOf(heading)}` }),
  };
};
