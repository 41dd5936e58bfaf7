import { setTimeout as sleep } from 'node:timers/promises';
import {
  DescribeExecutionCommand,
  type ExecutionStatus,
  SFNClient,
  StartExecutionCommand,
} from '@aws-sdk/client-sfn';
import { SSMClient } from '@aws-sdk/client-ssm';
import { handler as flagChanged } from '../../functions/flag-changed/handler.ts';
import { handler as operations } from '../../functions/operations/handler.ts';
import { handler as phase0 } from '../../functions/phase0-analysis/handler.ts';
import { handler as phase1 } from '../../functions/phase1-schema/handler.ts';
import { handler as phase2 } from '../../functions/phase2-migration/handler.ts';
import { handler as phase3 } from '../../functions/phase3-services/handler.ts';
import { handler as phase4 } from '../../functions/phase4-contract-check/handler.ts';
import { handler as phase5 } from '../../functions/phase5-queues/handler.ts';
import { handler as phase6 } from '../../functions/phase6-validation/handler.ts';
import { handler as phase7 } from '../../functions/phase7-cleanup/handler.ts';
import { handler as reports } from '../../functions/reports/handler.ts';
import { handler as rollback } from '../../functions/rollback/handler.ts';
import { closeDatabaseAt } from '../../functions/runtime/database.ts';
import { withEnvironment } from '../../functions/runtime/environment.ts';
import { FlagStore } from '../../functions/runtime/flag-store.ts';
import {
  loadWorkflow,
  WORKFLOWS,
  type Workflow,
  type WorkflowFunction,
} from '../workflows/load-workflow.ts';
import { type LambdaHandler, localFunctions } from './aws/functions.ts';
import { type LocalAws, startLocalAws } from './aws/start.ts';
import type { Gateway } from './http/gateway.ts';
import { type ReportStore, startReportStore } from './report-store.ts';
import {
  JOBS_MAPPING_ID,
  type LocalService,
  queueVariables,
  type ServiceOptions,
  startService,
  startServiceQueues,
} from './service.ts';

export interface SystemOptions {
  readonly databaseUrl: string;
  /** Keeps the flags here, so that they survive the process; in memory only by default. */
  readonly stateFile?: string | undefined;
  /** `local` by default. */
  readonly environment?: string | undefined;
  /** The reference schema's mapping by default. */
  readonly mappingPath?: string | undefined;
  /** Factor for the pauses between tries, and for the waits on an operator; 1 by default. */
  readonly waitScale?: number | undefined;
  /** Seconds between two runs of the schedule that reconciles flags and stage; 60 by default. */
  readonly scheduleSeconds?: number | undefined;
  /** As configured on AWS: 900 s by default. */
  readonly functionTimeoutSeconds?: number | undefined;
  /** The kits service, as the application's own login; none by default. */
  readonly service?: ServiceOptions | undefined;
  /** Of the local AWS; a free one by default. */
  readonly awsPort?: number | undefined;
  /** Where the functions' log lines go; nowhere by default. */
  readonly log?: ((line: string) => void) | undefined;
}

export interface EndedExecution {
  readonly status: Exclude<ExecutionStatus, 'RUNNING'>;
  /** Parsed; undefined unless it succeeded. */
  readonly output: unknown;
  readonly error: string | undefined;
  readonly cause: string | undefined;
}

/** The functions that workflows and operators call. */
export type OperatedFunction = WorkflowFunction | 'operations';

/** The whole system on one machine: the same workflows and handlers as on AWS. */
export interface System {
  readonly aws: LocalAws;
  readonly sfn: SFNClient;
  readonly ssm: SSMClient;
  /** The flags as an operator sees and sets them. */
  readonly flags: FlagStore;
  readonly stateMachineArns: Readonly<Record<Workflow, string>>;
  /** The kits API over HTTP; undefined without a service. */
  readonly api: Gateway | undefined;
  /** The API, the queues and who works on them; undefined without a service. */
  readonly service: LocalService | undefined;
  /** The bucket that the workflows write their reports into. */
  readonly reports: ReportStore;
  /** Calls a function as an operator does; returns what it answers. */
  invoke(name: OperatedFunction, event: Readonly<Record<string, unknown>>): Promise<unknown>;
  /** Starts an execution of the cutover; returns its ARN. */
  startCutover(input: Readonly<Record<string, unknown>>): Promise<string>;
  /** Starts an execution of the rollback; returns its ARN. */
  startRollback(input: Readonly<Record<string, unknown>>): Promise<string>;
  /** Resolves when an execution has ended, however it did. */
  waitForExecution(executionArn: string): Promise<EndedExecution>;
  /** Aborts what runs and closes everything; again is harmless. */
  stop(options?: { readonly graceMs?: number }): Promise<void>;
}

const HANDLERS: Readonly<Record<OperatedFunction, LambdaHandler>> = {
  'phase0-analysis': phase0,
  'phase1-schema': phase1,
  'phase2-migration': phase2,
  'phase3-services': phase3,
  'phase4-contract-check': phase4,
  'phase5-queues': phase5,
  'phase6-validation': phase6,
  'phase7-cleanup': phase7,
  rollback,
  reports,
  operations,
};

/** How soon a finished execution is noticed, in milliseconds. */
const POLL_MS = 50;

/** Calls `flag-changed` for each parameter change, and by a schedule because events may be lost. */
const wireFlagChanged = (
  aws: LocalAws,
  call: (event: unknown) => Promise<unknown>,
  scheduleSeconds: number,
): (() => void) => {
  const unsubscribe = aws.onParameterChange(async (event) => {
    await call(event);
  });
  let running = false;
  const scheduled = setInterval(() => {
    // Those that wait for one another would hold all of the pool's connections, which here are everybody's.
    if (running) return;
    running = true;
    call({ source: 'aws.scheduler' })
      .catch((error: unknown) => {
        process.emitWarning(`The schedule of flag-changed failed: ${String(error)}`);
      })
      .finally(() => {
        running = false;
      });
  }, scheduleSeconds * 1000);
  scheduled.unref();
  return () => {
    clearInterval(scheduled);
    unsubscribe();
  };
};

/**
 * Starts the loopback AWS, binds the functions and the workflows to it, and wires the flags.
 *
 * @throws {LocalStateError} when the state file cannot be read.
 */
export const startSystem = async (options: SystemOptions): Promise<System> => {
  const {
    databaseUrl,
    stateFile,
    environment = 'local',
    mappingPath,
    waitScale = 1,
    scheduleSeconds = 60,
    functionTimeoutSeconds = 900,
    service,
    awsPort,
    log = () => {},
  } = options;
  const queues = service === undefined ? undefined : await startServiceQueues(service);
  const aws = await startLocalAws({
    waitScale,
    ...(queues === undefined ? {} : { queues }),
    ...(stateFile === undefined ? {} : { stateFile }),
    ...(awsPort === undefined ? {} : { port: awsPort }),
  });
  const reportStore = await startReportStore(aws);
  const variables = {
    DATABASE_URL: databaseUrl,
    KITS_ENVIRONMENT: environment,
    KITS_MAPPING: mappingPath,
    AWS_ENDPOINT_URL: aws.endpoint,
    AWS_REGION: aws.region,
    AWS_ACCESS_KEY_ID: aws.credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: aws.credentials.secretAccessKey,
    AWS_ENDPOINT_URL_S3: reportStore.endpoint,
    REPORT_BUCKET: reportStore.bucket,
    ...(queues === undefined ? {} : queueVariables(queues, JOBS_MAPPING_ID)),
  };
  const local =
    (handler: LambdaHandler): LambdaHandler =>
    (event, context) =>
      withEnvironment({ variables, log }, () => handler(event, context));
  const arnOf = (name: string) => aws.functionArn(`unified-kits-${environment}-${name}`);
  for (const [name, handler] of Object.entries(HANDLERS))
    aws.registerFunction(arnOf(name), local(handler), { timeoutSeconds: functionTimeoutSeconds });
  const register = (workflow: Workflow) =>
    aws.registerStateMachine({
      name: `unified-kits-${environment}-${workflow}`,
      definition: loadWorkflow(workflow, arnOf),
    });
  const [cutover, rolledBack] = WORKFLOWS.map(register);
  if (cutover === undefined || rolledBack === undefined) throw new TypeError('two workflows');

  const { endpoint, region, credentials } = aws;
  const sfn = new SFNClient({ endpoint, region, credentials });
  const ssm = new SSMClient({ endpoint, region, credentials });
  const flags = new FlagStore(ssm, environment);
  // As the stack does: a guard that is missing would count as on.
  await flags.ensure();
  // What EventBridge and operators call, beside what Step Functions calls.
  const rules = localFunctions();
  for (const [name, handler] of Object.entries(HANDLERS))
    rules.register(arnOf(name), local(handler), { timeoutSeconds: functionTimeoutSeconds });
  rules.register(arnOf('flag-changed'), local(flagChanged), {
    timeoutSeconds: functionTimeoutSeconds,
  });
  const unwire = wireFlagChanged(
    aws,
    (event) => rules.invoke(arnOf('flag-changed'), JSON.stringify(event)),
    scheduleSeconds,
  );

  const running =
    service === undefined || queues === undefined
      ? undefined
      : await startService(service, aws, queues, { variables, log });

  const start = async (stateMachineArn: string, input: unknown): Promise<string> => {
    const { executionArn } = await sfn.send(
      new StartExecutionCommand({ stateMachineArn, input: JSON.stringify(input) }),
    );
    if (executionArn === undefined) throw new TypeError('StartExecution answers with an ARN');
    return executionArn;
  };
  let stopping: Promise<void> | undefined;
  return {
    aws,
    sfn,
    ssm,
    flags,
    stateMachineArns: { cutover, rollback: rolledBack },
    api: running?.api,
    service: running,
    reports: reportStore,
    async invoke(name, event) {
      return JSON.parse(await rules.invoke(arnOf(name), JSON.stringify(event)));
    },
    startCutover: (input) => start(cutover, input),
    startRollback: (input) => start(rolledBack, input),
    async waitForExecution(executionArn) {
      for (;;) {
        const { status, output, error, cause } = await sfn.send(
          new DescribeExecutionCommand({ executionArn }),
        );
        if (status !== undefined && status !== 'RUNNING')
          return {
            status,
            output: output === undefined ? undefined : JSON.parse(output),
            error,
            cause,
          };
        await sleep(POLL_MS);
      }
    },
    stop(given) {
      stopping ??= (async () => {
        unwire();
        await running?.stop(given);
        await aws.stop(given);
        await queues?.stop();
        await rules.idle();
        await reportStore.stop();
        sfn.destroy();
        ssm.destroy();
        await closeDatabaseAt(databaseUrl);
        // Last: the consumer was at work until the local AWS had stopped.
        if (service !== undefined) await closeDatabaseAt(service.databaseUrl);
      })();
      return stopping;
    },
  };
};
