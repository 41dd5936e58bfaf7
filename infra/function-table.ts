import type { FlagName } from '@unified-kits/domain';
import type { LoginName } from './constructs/database-access.ts';
import { JOBS_CONSUMER } from './queues.ts';

/** What a function is, before it is anything of AWS's. */
export interface FunctionDeclaration {
  /** Below `functions/`, with a `handler.ts` in it; the last part of the function's name. */
  readonly folder: string;
  readonly description: string;
  readonly timeoutSeconds: number;
  /** Of which Lambda also gives the share of a processor: 1,769 MB is one. */
  readonly memoryMb: number;
  readonly login: LoginName;
  /** Whether it reads the flags. */
  readonly readsFlags: boolean;
  /** The flags that it writes. */
  readonly writesFlags: readonly FlagName[];
  /** Whether it creates flags that are missing; it can overwrite none by that. */
  readonly createsFlags?: boolean;
}

/** As long as Lambda lets a function work; they stop shortly before, and are called again. */
const LONGEST_SECONDS = 900;

/** What the phases have in common. The work is the database's: what waits for it needs little. */
const phase = {
  timeoutSeconds: LONGEST_SECONDS,
  memoryMb: 512,
  login: 'migration',
  readsFlags: true,
  writesFlags: [],
} as const satisfies Partial<FunctionDeclaration>;

/** Those that say which store is read and written. */
const STORE_FLAGS = ['unifiedReads', 'unifiedWrites', 'dualWrite'] as const;

/** The functions of the migration, by folder. What none of them names here it may not do. */
export const MIGRATION_FUNCTIONS: readonly FunctionDeclaration[] = [
  { ...phase, folder: 'phase0-analysis', description: 'Proves the data safe to migrate' },
  {
    ...phase,
    folder: 'phase1-schema',
    description: 'Creates kits, its id map and the flags that are missing',
    createsFlags: true,
  },
  {
    ...phase,
    folder: 'phase2-migration',
    description: 'Copies both legacy tables into kits',
    writesFlags: [...STORE_FLAGS, 'migrationInProgress'],
  },
  {
    ...phase,
    folder: 'phase3-services',
    description: 'Switches reads, then writes, to kits',
    writesFlags: [...STORE_FLAGS, 'migrationInProgress'],
  },
  {
    ...phase,
    folder: 'phase4-contract-check',
    description: 'Compares what the API answers from both stores',
    memoryMb: 1024,
  },
  {
    ...phase,
    folder: 'phase5-queues',
    description: 'Pauses and resumes the consumer of kit jobs',
  },
  { ...phase, folder: 'phase6-validation', description: 'Rehearses; proves parity' },
  { ...phase, folder: 'phase7-cleanup', description: 'Monitors, closes, sums up' },
  {
    ...phase,
    folder: 'operations',
    description: 'Tells operators where the migration stands',
    timeoutSeconds: 60,
  },
  {
    ...phase,
    folder: 'rollback',
    description: 'Leads back from any stage',
    writesFlags: [...STORE_FLAGS, 'migrationInProgress'],
  },
  {
    ...phase,
    folder: 'flag-changed',
    description: 'Brings flags and stage together',
    writesFlags: STORE_FLAGS,
  },
  {
    ...phase,
    folder: 'reports',
    description: 'Writes the reports of runs',
    timeoutSeconds: 120,
    readsFlags: false,
  },
];

/** What the functions of the service have in common. */
const service = {
  login: 'service',
  readsFlags: true,
  writesFlags: [],
} as const satisfies Partial<FunctionDeclaration>;

/** The functions of the service, which outlives the migration. */
export const SERVICE_FUNCTIONS = {
  api: {
    ...service,
    folder: 'phase4-api',
    description: 'The kits API',
    // API Gateway waits for thirty seconds.
    timeoutSeconds: 25,
    memoryMb: 1024,
  },
  jobs: {
    ...service,
    folder: 'phase5-jobs',
    description: 'Applies kit jobs',
    timeoutSeconds: JOBS_CONSUMER.timeoutSeconds,
    memoryMb: 512,
  },
  relay: {
    ...service,
    folder: 'phase5-relay',
    description: 'Hands the outbox on to kit-events',
    timeoutSeconds: 55,
    memoryMb: 512,
    readsFlags: false,
  },
} as const satisfies Readonly<Record<string, FunctionDeclaration>>;
