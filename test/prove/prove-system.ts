import { SFNClient } from '@aws-sdk/client-sfn';
import { SQSClient } from '@aws-sdk/client-sqs';
import { PutParameterCommand, SSMClient } from '@aws-sdk/client-ssm';
import { bindMapping, type Database, installTracking, openDatabase } from '@unified-kits/data';
import { FLAG_PARAMETERS, type FlagName, referenceMapping } from '@unified-kits/domain';
import { FlagStore } from '../../functions/runtime/flag-store.ts';
import { FunctionError, type LambdaHandler } from '../../infra/local/aws/functions.ts';
import { type LocalAws, startLocalAws } from '../../infra/local/aws/start.ts';
import { type Gateway, startGateway } from '../../infra/local/http/gateway.ts';
import type { Queues } from '../../infra/local/queues/start-queues.ts';
import { JOBS_MAPPING_ID, queueVariables, startServiceQueues } from '../../infra/local/service.ts';
import { writerLogin } from '../../infra/local/writers/login.ts';
import { JOBS_CONSUMER, QUEUES } from '../../infra/queues.ts';
import { loadWorkflow, WORKFLOWS, type Workflow } from '../../infra/workflows/load-workflow.ts';
import { FUNCTION_NAMES, type FunctionName } from './function-calls.ts';
import type { FunctionsProcess } from './functions-process.ts';
import { Network } from './network.ts';

/** Where functions run: those of the workflows and flags, and those of the service. */
export interface Processes {
  readonly phases: FunctionsProcess;
  readonly service: FunctionsProcess;
}

const ENVIRONMENT = 'prove';
/** Fixed pauses of the workflows, of those on AWS. */
const WAIT_SCALE = 0.01;
/** As long as a job that failed stays hidden; the consumer may take as long. */
const JOBS_VISIBILITY_SECONDS = 4;
const PHASE_SECONDS = 60;
const SCHEDULE_MS = 1_000;
const RELAY_MS = 400;
const GATEWAY_SECONDS = 15;

const SERVICE: readonly FunctionName[] = ['phase4-api', 'phase5-jobs', 'phase5-relay'];

/** A call of a function, as who makes faults sees it. */
export interface SeenCall {
  readonly name: FunctionName;
  readonly event: Readonly<Record<string, unknown>>;
}

/** What faults do to the next calls of functions. */
export interface CallFaults {
  /** How many are made twice, the second beside the first or after it. */
  twice: number;
  /** How many are made, and their answers lost. */
  lost: number;
  /** Whether changes of parameters reach nobody. */
  deaf: boolean;
}

/**
 * The whole system, its functions in processes of their own that reach Postgres through a network of ours. The Parameter
 * Store, Step Functions and SQS are here, in this process: as on AWS they outlive any function.
 */
export interface ProveSystem {
  readonly aws: LocalAws;
  readonly sfn: SFNClient;
  readonly sqs: SQSClient;
  readonly queues: Queues;
  readonly api: Gateway;
  readonly network: Network;
  readonly processes: Processes;
  readonly stateMachineArns: Readonly<Record<Workflow, string>>;
  readonly faults: CallFaults;
  /** Of the service's login, through the network. */
  readonly serviceUrl: string;
  /** The same past the network. */
  readonly directServiceUrl: string;
  /** Past the network, as a superuser. */
  readonly admin: Database;
  /** Told of each call of a workflow's function before it begins, and may keep it waiting. */
  readonly listeners: Set<(call: SeenCall) => void | Promise<void>>;
  /** Calls a function of the workflows as somebody does who may. */
  invoke(name: FunctionName, event: unknown): Promise<unknown>;
  setFlag(flag: FlagName, value: boolean | number | undefined): Promise<void>;
  /** Resolves when every call that is under way has ended. */
  idle(): Promise<void>;
  close(): Promise<void>;
}

/** A schedule. One pool serves all functions here, so calls that wait for one another must not pile up. */
const oneAtATime = (call: () => Promise<unknown>, everyMs: number): NodeJS.Timeout => {
  let underWay = false;
  return setInterval(() => {
    if (underWay) return;
    underWay = true;
    call()
      .catch(() => undefined)
      .finally(() => {
        underWay = false;
      });
  }, everyMs);
};

/** @param log the file for the functions' log lines */
export const startProveSystem = async (
  databaseUrl: string,
  processes: Processes,
  log: string,
): Promise<ProveSystem> => {
  const admin = openDatabase(databaseUrl, 4);
  await installTracking(admin);
  const binding = await admin.transaction({}, (session) => bindMapping(session, referenceMapping));
  const directServiceUrl = await writerLogin(admin, binding, databaseUrl);
  const network = await Network.open(databaseUrl);
  const serviceUrl = network.through(directServiceUrl);
  const phasesUrl = network.through(databaseUrl);
  const queues = await startServiceQueues({
    databaseUrl: serviceUrl,
    jobsVisibilitySeconds: JOBS_VISIBILITY_SECONDS,
  });
  // What fails here fails on purpose.
  const quiet = () => undefined;
  const aws = await startLocalAws({
    waitScale: WAIT_SCALE,
    queues,
    onListenerError: quiet,
    onMappingError: quiet,
  });
  const { endpoint, region, credentials } = aws;
  const variables = {
    KITS_ENVIRONMENT: ENVIRONMENT,
    AWS_ENDPOINT_URL: endpoint,
    AWS_REGION: region,
    AWS_ACCESS_KEY_ID: credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
    ...queueVariables(queues, JOBS_MAPPING_ID),
  };
  const faults: CallFaults = { twice: 0, lost: 0, deaf: false };
  const underWay = new Set<Promise<unknown>>();

  const callOnce = (name: FunctionName, event: string, seconds: number): Promise<string> => {
    const ofService = SERVICE.includes(name);
    const call = processes[ofService ? 'service' : 'phases'].call({
      name,
      event,
      seconds,
      variables: { ...variables, DATABASE_URL: ofService ? serviceUrl : phasesUrl },
      log,
    });
    underWay.add(call);
    const done = () => underWay.delete(call);
    call.then(done, done);
    return call;
  };
  const call = async (name: FunctionName, event: string, seconds: number): Promise<string> => {
    const twice = faults.twice > 0;
    const lost = faults.lost > 0;
    if (twice) faults.twice -= 1;
    if (lost) faults.lost -= 1;
    const first = callOnce(name, event, seconds);
    if (twice) callOnce(name, event, seconds).catch(quiet);
    const result = await first;
    if (lost) throw new FunctionError('Lambda.ServiceException', 'the answer got lost');
    return result;
  };

  const arnOf = (name: string) => aws.functionArn(`unified-kits-${ENVIRONMENT}-${name}`);
  const handlerOf =
    (name: FunctionName, seconds: number): LambdaHandler =>
    async (event) => {
      const seen = { name, event: event as SeenCall['event'] };
      await Promise.all([...system.listeners].map((listener) => listener(seen)));
      return JSON.parse(await call(name, JSON.stringify(event), seconds));
    };
  for (const name of FUNCTION_NAMES)
    aws.registerFunction(arnOf(name), handlerOf(name, PHASE_SECONDS), {
      timeoutSeconds: PHASE_SECONDS,
    });
  const register = (workflow: Workflow) =>
    aws.registerStateMachine({
      name: `unified-kits-${ENVIRONMENT}-${workflow}`,
      definition: loadWorkflow(workflow, arnOf),
    });
  const [cutover, rollback] = WORKFLOWS.map(register);
  if (cutover === undefined || rollback === undefined) throw new TypeError('two workflows');
  const ssm = new SSMClient({ endpoint, region, credentials });
  await new FlagStore(ssm, ENVIRONMENT).ensure();
  const changed = (event: unknown) => call('flag-changed', JSON.stringify(event), PHASE_SECONDS);
  const unsubscribe = aws.onParameterChange(async (event) => {
    if (!faults.deaf) await changed(event);
  });
  const scheduled = oneAtATime(() => changed({ source: 'aws.scheduler' }), SCHEDULE_MS);

  const api = await startGateway({
    handler: async (event) =>
      JSON.parse(await call('phase4-api', JSON.stringify(event), GATEWAY_SECONDS)),
    timeoutSeconds: GATEWAY_SECONDS,
    onError: quiet,
  });
  aws.registerFunction(
    aws.functionArn('phase5-jobs'),
    handlerOf('phase5-jobs', JOBS_VISIBILITY_SECONDS),
    { timeoutSeconds: JOBS_VISIBILITY_SECONDS },
  );
  await aws.registerEventSourceMapping({
    uuid: JOBS_MAPPING_ID,
    queueArn: queues.queueArn(QUEUES.jobs.name),
    functionArn: aws.functionArn('phase5-jobs'),
    batchSize: JOBS_CONSUMER.batchSize,
    maximumConcurrency: JOBS_CONSUMER.maximumConcurrency,
    functionResponseTypes: ['ReportBatchItemFailures'],
  });
  const relayed = oneAtATime(() => call('phase5-relay', '{}', GATEWAY_SECONDS), RELAY_MS);

  const sfn = new SFNClient({ endpoint, region, credentials });
  const sqs = new SQSClient({
    endpoint: queues.endpoint,
    region,
    credentials,
    useQueueUrlAsEndpoint: false,
  });
  const system: ProveSystem = {
    aws,
    sfn,
    sqs,
    queues,
    api,
    network,
    processes,
    stateMachineArns: { cutover, rollback },
    faults,
    serviceUrl,
    directServiceUrl,
    admin,
    listeners: new Set(),
    async invoke(name, event) {
      return JSON.parse(await call(name, JSON.stringify(event), PHASE_SECONDS));
    },
    async setFlag(flag, value) {
      await ssm.send(
        new PutParameterCommand({
          Name: `/unified-kits/${ENVIRONMENT}/${FLAG_PARAMETERS[flag].parameter}`,
          Value: value === undefined ? 'unlimited' : String(value),
          Type: 'String',
          Overwrite: true,
        }),
      );
    },
    async idle() {
      await aws.parameterChangesHandled();
      // Others go on all the time: those that are under way now.
      await Promise.allSettled([...underWay]);
    },
    async close() {
      clearInterval(scheduled);
      clearInterval(relayed);
      unsubscribe();
      await api.stop({ graceMs: 2_000 });
      await aws.stop({ graceMs: 2_000 });
      await queues.stop();
      await Promise.race([
        Promise.allSettled(underWay),
        new Promise((resolve) => setTimeout(resolve, 2_000)),
      ]);
      sfn.destroy();
      ssm.destroy();
      sqs.destroy();
      for (const one of [processes.phases, processes.service]) one.forget([serviceUrl, phasesUrl]);
      await network.close();
      await admin.close();
    },
  };
  return system;
};
