import { performance } from 'node:perf_hooks';
import middy from '@middy/core';
import { type Database, hasSqlState, recordEvent, SQLSTATE } from '@unified-kits/data';
import { InvalidInput } from '@unified-kits/domain';
import type { Context } from 'aws-lambda';
import { z } from 'zod';
import { databaseOf } from './database.ts';
import { type Environment, readEnvironment, writeLog } from './environment.ts';
import { publicError } from './faults.ts';
import { type FlagStore, flagStoreOf } from './flag-store.ts';
import { metricsMiddleware } from './service-metrics.ts';

/** What a function's work is given with its event. */
export interface Call {
  /** The function's folder, which names the phase in the audit log. */
  readonly phase: string;
  /** Stop before this, in milliseconds of `Date.now()`. */
  readonly deadline: number;
  readonly environment: Environment;
  readonly db: Database;
  readonly flags: FlagStore;
}

/** SET ROLE to a role that does not exist. */
const ROLE_UNKNOWN = '22023';

/** Time kept back for the last unit of work to end and the answer to leave. */
const MARGIN_MS = 15_000;

const deadlineOf = (context: Context): number => {
  const remaining = context.getRemainingTimeInMillis();
  return Date.now() + remaining - Math.min(MARGIN_MS, remaining / 10);
};

/** What is said of every call: ids, counters and verdicts. Lists and texts may hold more. */
const countersOf = (result: unknown): Record<string, unknown> =>
  typeof result === 'object' && result !== null
    ? Object.fromEntries(
        Object.entries(result).filter(
          ([key, value]) =>
            typeof value === 'number' ||
            typeof value === 'boolean' ||
            ((/Id$/.test(key) || key === 'stage' || key === 'verdict') &&
              typeof value === 'string'),
        ),
      )
    : {};

const ids = z.object({
  action: z.string().optional(),
  batchId: z.string().nullish(),
  run: z
    .object({ execution: z.string(), actor: z.string(), batchId: z.string().nullish() })
    .optional(),
});
type Ids = z.output<typeof ids>;

/** What the closing summary adds up. Before the first phase, and after the last, there is no log to write to. */
const recordWork = async (call: Call, { action, batchId, run }: Ids, milliseconds: number) => {
  if (run === undefined) return;
  try {
    await call.db.transaction({ asEngine: true }, (session) =>
      recordEvent(session, {
        phase: call.phase,
        action: 'worked',
        actor: run.actor,
        batchId: batchId ?? run.batchId ?? undefined,
        detail: { execution: run.execution, step: action, milliseconds },
      }),
    );
  } catch (error) {
    if (!hasSqlState(error, SQLSTATE.undefinedTable, SQLSTATE.invalidSchemaName, ROLE_UNKNOWN))
      throw error;
  }
};

/**
 * A Lambda handler around a phase's work: validates the event, keeps time, logs one line of ids and
 * counters, writes what was measured, and lets only errors out whose name a workflow can match and whose message holds no content.
 *
 * @param phase the function's folder
 * @param schema the event; what does not match is refused as `InvalidInput`
 */
export const phaseHandler = <Schema extends z.ZodType, Result extends object>(
  phase: string,
  schema: Schema,
  work: (event: z.output<Schema>, call: Call) => Promise<Result>,
) =>
  middy<unknown, Result>()
    .use(metricsMiddleware)
    .handler(async (input: unknown, context: Context): Promise<Result> => {
      const began = performance.now();
      const known: Ids = ids.safeParse(input).data ?? {};
      const told = {
        function: phase,
        action: known.action,
        requestId: context.awsRequestId,
        execution: known.run?.execution,
        batchId: known.batchId ?? known.run?.batchId ?? undefined,
      };
      const milliseconds = () => Math.round(performance.now() - began);
      try {
        const parsed = schema.safeParse(input);
        if (!parsed.success)
          throw new InvalidInput(`event of ${phase}: ${z.prettifyError(parsed.error)}`);
        const environment = readEnvironment();
        const call: Call = {
          phase,
          deadline: deadlineOf(context),
          environment,
          db: databaseOf(environment),
          flags: flagStoreOf(environment),
        };
        const result = await work(parsed.data, call);
        await recordWork(call, known, milliseconds());
        writeLog({ level: 'info', ...told, ms: milliseconds(), ...countersOf(result) });
        return result;
      } catch (error) {
        const leaving = publicError(error);
        writeLog({
          level: 'error',
          ...told,
          ms: milliseconds(),
          error: leaving instanceof Error ? leaving.name : 'unknown',
          message: leaving instanceof Error ? leaving.message : undefined,
        });
        throw leaving;
      }
    });
