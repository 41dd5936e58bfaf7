import { z } from 'zod';

const lanes = z.int().min(1).max(16);

/** What an operator gives `StartExecution` of the cutover; the defaults suit a production run. */
export const cutoverInput = z
  .strictObject({
    /** `analyse` ends after phase 0 with its report. */
    mode: z.enum(['analyse', 'cutover']).default('cutover'),
    /** The approved report that this cutover rests on. */
    reportId: z.string().min(1).optional(),
    /** Who sets the flags: this workflow, or the operator in the console while it waits. */
    flags: z.enum(['auto', 'manual']).default('auto'),
    /** Copy and parity lanes. */
    lanes: lanes.default(2),
    /** Whether to pass through the dual-write window. */
    dualWrite: z.boolean().default(true),
    /** Seconds between two checks of a monitoring window, and how many: 24 hours by default. */
    monitor: z
      .strictObject({
        seconds: z.int().min(1).max(86_400).default(300),
        checks: z.int().min(1).max(1_000).default(288),
      })
      .prefault({}),
    /** Rows of each source in the rehearsal. */
    rehearsalRows: z.int().min(1).max(10_000).default(200),
    /** Kits of each source that the contract check asks about. */
    contractKits: z.int().min(1).max(2_000).default(100),
    actor: z.string().trim().min(1).max(200),
    /** Resumes this batch, whoever began it. */
    batchId: z.string().min(1).optional(),
    /** The stage to stop at. */
    until: z.enum(['mirrored', 'dual-write', 'unified', 'closed']).default('closed'),
  })
  .refine(({ until, dualWrite }) => until !== 'dual-write' || dualWrite, {
    path: ['until'],
    message: 'a cutover with "dualWrite": false never reaches "dual-write"',
  });

/** The validated input as the states hand it on; nothing is missing, for a path to nothing fails. */
export const runSchema = z.object({
  execution: z.string().min(1),
  mode: z.enum(['analyse', 'cutover']),
  reportId: z.string().nullable(),
  batchId: z.string().nullable(),
  flags: z.enum(['auto', 'manual']),
  lanes,
  laneNumbers: z.array(z.int()),
  dualWrite: z.boolean(),
  monitor: z.object({ seconds: z.int(), checks: z.int() }),
  rehearsalRows: z.int(),
  contractKits: z.int().default(100),
  actor: z.string().min(1),
  until: z.enum(['mirrored', 'dual-write', 'unified', 'closed']),
});
export type Run = z.output<typeof runSchema>;

/** What an operator gives `StartExecution` of the rollback. */
export const rollbackInput = z.strictObject({
  actor: z.string().trim().min(1).max(200),
  /** The batch to roll back; by default the active one, or the one that was closed last. */
  batchId: z.string().min(1).optional(),
  lanes: lanes.default(2),
});

export const rollbackRunSchema = z.object({
  execution: z.string().min(1),
  actor: z.string().min(1),
  batchId: z.string().min(1),
  laneNumbers: z.array(z.int()),
});
export type RollbackRun = z.output<typeof rollbackRunSchema>;

export const laneNumbers = (count: number): number[] => Array.from({ length: count }, (_, n) => n);
