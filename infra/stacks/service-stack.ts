import type { Mapping } from '@unified-kits/domain';
import { CfnOutput, Stack, type StackProps } from 'aws-cdk-lib';
import type { IAlarm } from 'aws-cdk-lib/aws-cloudwatch';
import type { IFunction } from 'aws-cdk-lib/aws-lambda';
import { Construct } from 'constructs';
import { CodeLayers } from '../constructs/code-layers.ts';
import { DeadLetteredQueue, grantSend } from '../constructs/dead-lettered-queue.ts';
import { DeploymentCalls } from '../constructs/deployment-calls.ts';
import { eachMinute, ONCE } from '../constructs/each-minute.ts';
import { type Foundation, nameOf } from '../constructs/foundation.ts';
import { KitsApi } from '../constructs/kits-api.ts';
import { KitsFunction } from '../constructs/kits-function.ts';
import { QueueConsumer } from '../constructs/queue-consumer.ts';
import { ServiceAlarms } from '../constructs/service-alarms.ts';
import { type FunctionDeclaration, SERVICE_FUNCTIONS } from '../function-table.ts';
import { JOBS_CONSUMER, QUEUES } from '../queues.ts';
import { type ApiSettings, legacyApiVariables } from '../settings.ts';

interface ServiceStackProps extends StackProps {
  readonly foundation: Foundation;
  readonly mapping: Mapping;
}

/** What the migration pauses and resumes, and the dashboard shows. */
export interface ServiceParts {
  readonly jobs: DeadLetteredQueue;
  readonly consumer: IFunction;
  /** Of the mapping between the jobs and their consumer. */
  readonly mappingId: string;
  readonly events: DeadLetteredQueue;
  readonly alarms: readonly IAlarm[];
}

/** The kits service on either store: its API, the consumer of its jobs, and the relay of its events. */
export class ServiceStack extends Stack {
  readonly parts: ServiceParts;
  readonly #foundation: Foundation;
  readonly #layers: CodeLayers;
  readonly #functions: Construct;

  constructor(scope: Construct, id: string, { foundation, mapping, ...props }: ServiceStackProps) {
    super(scope, id, props);
    this.#foundation = foundation;
    const { settings, database } = foundation;
    const { authorities } = database;
    this.#layers = new CodeLayers(this, 'Layers', { mapping, authorities });
    this.#functions = new Construct(this, 'Functions');
    if (settings.api !== undefined) this.api(settings.api);
    const { jobs, consumer, mappingId } = this.jobs();
    const { events, relay } = this.events();
    const watched = { foundation, jobs, events, relay };
    const { all: alarms } = new ServiceAlarms(this, 'Alarms', watched);
    this.parts = { jobs, consumer, mappingId, events, alarms };
  }

  private api(settings: ApiSettings): void {
    const handler = this.function(SERVICE_FUNCTIONS.api, legacyApiVariables(settings));
    const name = nameOf(this.#foundation.settings, 'api');
    const { key } = this.#foundation;
    const { api } = new KitsApi(this, 'Api', { name, settings, handler, key });
    new CfnOutput(this, 'ApiUrl', { value: api.apiEndpoint });
  }

  private jobs(): Pick<ServiceParts, 'jobs' | 'consumer' | 'mappingId'> {
    const { key } = this.#foundation;
    const jobs = new DeadLetteredQueue(this, 'Jobs', { key, ...QUEUES.jobs });
    const { queue, deadLetters } = jobs;
    const consumer = this.function(SERVICE_FUNCTIONS.jobs, {
      JOBS_QUEUE_URL: queue.queueUrl,
      JOBS_DEAD_LETTER_QUEUE_URL: deadLetters.queueUrl,
      JOBS_MOST_RECEIVES: String(JOBS_CONSUMER.mostReceives),
    });
    // Puts back what arrives while the guard is on, and gives up with a reason what it cannot apply.
    grantSend(consumer, queue, key);
    grantSend(consumer, deadLetters, key);
    const { mappingId } = new QueueConsumer(this, 'JobsConsumer', {
      queue,
      consumer,
      calls: new DeploymentCalls(this, 'Calls', key),
      batchSize: JOBS_CONSUMER.batchSize,
      mostConcurrent: JOBS_CONSUMER.maximumConcurrency,
    });
    new CfnOutput(this, 'JobsQueueUrl', { value: queue.queueUrl });
    return { jobs, consumer, mappingId };
  }

  private events(): { readonly events: DeadLetteredQueue; readonly relay: IFunction } {
    const { key } = this.#foundation;
    const events = new DeadLetteredQueue(this, 'Events', { key, ...QUEUES.events });
    const { queue } = events;
    const relay = this.function(SERVICE_FUNCTIONS.relay, { EVENTS_QUEUE_URL: queue.queueUrl });
    grantSend(relay, queue, key);
    eachMinute(this, 'Relay', relay);
    relay.configureAsyncInvoke(ONCE);
    new CfnOutput(this, 'EventsQueueUrl', { value: queue.queueUrl });
    return { events, relay };
  }

  private function(
    declaration: FunctionDeclaration,
    variables: Readonly<Record<string, string>>,
  ): KitsFunction {
    return new KitsFunction(this.#functions, declaration.folder, {
      declaration,
      foundation: this.#foundation,
      layers: this.#layers,
      variables,
    });
  }
}
