import { createHash } from 'node:crypto';
import { SQSClient } from '@aws-sdk/client-sqs';
import {
  type EventSourceMapping,
  eventSourceMapping,
  type MappingSettings,
} from '../queues/event-source-mapping.ts';
import { startPoller } from '../queues/poller.ts';
import type { Queues } from '../queues/start-queues.ts';
import type { Functions } from './functions.ts';
import {
  invalid,
  requireBatch,
  requireConcurrency,
  requireFittingQueue,
  requireNew,
} from './mapping-rules.ts';
import { ServiceError } from './service-error.ts';
import type { State } from './state.ts';

/** Which queue feeds which function, and how. The defaults are AWS'. */
export type EventSourceMappingDeclaration = {
  /** Made from the two ARNs by default, so that a restarted process knows it again. */
  readonly uuid?: string;
  readonly queueArn: string;
  /** Of a registered function. */
  readonly functionArn: string;
  /** Most messages of one invocation; 10 by default, above that only with a window. */
  readonly batchSize?: number;
  /** How long messages may be gathered for one invocation, 0 to 300; 0 by default. */
  readonly maximumBatchingWindowSeconds?: number;
  /** Whether it begins enabled, unless an operator has decided since; true by default. */
  readonly enabled?: boolean;
  /** None by default. */
  readonly functionResponseTypes?: readonly 'ReportBatchItemFailures'[];
  /** Most invocations at a time, 2 to 1,000; 5 by default, with which Lambda begins. */
  readonly maximumConcurrency?: number;
};

/** A declaration with everything in it, checked. */
type MappingDefinition = Required<Omit<EventSourceMappingDeclaration, 'batchSize' | 'enabled'>> & {
  readonly queueUrl: string;
  /** As an operator left them, or else as declared. */
  readonly settings: MappingSettings;
};

type RegisteredMapping = {
  readonly definition: Omit<MappingDefinition, 'settings'>;
  readonly mapping: EventSourceMapping;
};

export type EventSourceMappings = {
  /**
   * Creates a mapping; it begins as an operator left it, or else as declared. Returns its UUID.
   *
   * @throws ServiceError where CreateEventSourceMapping refuses, and when there are no queues.
   * @throws QueueDeclarationError for an unknown queue.
   */
  register(declaration: EventSourceMappingDeclaration): Promise<string>;
  /** @throws ServiceError `ResourceNotFoundException` */
  get(uuid: string): RegisteredMapping;
  /** By their UUIDs. */
  all(): readonly RegisteredMapping[];
  /**
   * @throws ServiceError `ResourceNotFoundException`; `ResourceInUseException` during an earlier change;
   * `InvalidParameterValueException` for a batch size that needs a window.
   */
  update(uuid: string, change: Partial<MappingSettings>): Promise<RegisteredMapping>;
  /** Resolves when no poll and no invocation of a mapping is under way any more. */
  stop(): Promise<void>;
};

const DEFAULT_BATCH_SIZE = 10;
const DEFAULT_CONCURRENCY = 5;

/** The event source mappings of this process; what operators change of them is kept in the state. */
export function eventSourceMappings(options: {
  readonly queues: Queues | undefined;
  readonly functions: Functions;
  readonly state: State;
  readonly onError: (error: Error) => void;
}): EventSourceMappings {
  const { queues, functions, state } = options;
  const registered = new Map<string, RegisteredMapping>();
  const sqs = new SQSClient({
    ...(queues && { endpoint: queues.endpoint, region: queues.region }),
    credentials: { accessKeyId: 'lambda', secretAccessKey: 'lambda' },
  });

  const get = (uuid: string): RegisteredMapping => {
    const found = registered.get(uuid);
    if (found) return found;
    throw new ServiceError(
      'ResourceNotFoundException',
      'The resource you requested does not exist.',
      404,
    );
  };

  const define = async (declared: EventSourceMappingDeclaration): Promise<MappingDefinition> => {
    if (!queues) {
      throw invalid('This endpoint was started without queues: give them to startLocalAws.');
    }
    const { queueArn, functionArn } = declared;
    const uuid = declared.uuid ?? uuidOf(queueArn, functionArn);
    const kept = state.current.eventSourceMappings.get(uuid);
    const definition = {
      uuid,
      queueArn,
      queueUrl: queues.queueUrl(queueArn.split(':').at(-1) ?? ''),
      functionArn,
      maximumBatchingWindowSeconds: declared.maximumBatchingWindowSeconds ?? 0,
      functionResponseTypes: declared.functionResponseTypes ?? [],
      maximumConcurrency: declared.maximumConcurrency ?? DEFAULT_CONCURRENCY,
      settings: {
        enabled: kept?.enabled ?? declared.enabled ?? true,
        batchSize: kept?.batchSize ?? declared.batchSize ?? DEFAULT_BATCH_SIZE,
      },
    };
    requireBatch(definition.settings.batchSize, definition.maximumBatchingWindowSeconds);
    requireConcurrency(definition.maximumConcurrency);
    await requireFittingQueue(sqs, definition, functions.timeoutSeconds(functionArn));
    return definition;
  };

  const begin = ({ settings, ...definition }: MappingDefinition): EventSourceMapping =>
    eventSourceMapping({
      settings,
      startPoller: (batchSize) =>
        startPoller({
          sqs,
          queueUrl: definition.queueUrl,
          queueArn: definition.queueArn,
          batchSize,
          windowSeconds: definition.maximumBatchingWindowSeconds,
          concurrency: definition.maximumConcurrency,
          reportsFailures: definition.functionResponseTypes.includes('ReportBatchItemFailures'),
          invoke: (payload) => functions.invoke(definition.functionArn, payload),
          onError: options.onError,
        }),
      save: (change) =>
        state.change(({ eventSourceMappings: kept }) => {
          kept.set(definition.uuid, { ...kept.get(definition.uuid), ...change });
        }),
    });

  return {
    get,
    all: () =>
      [...registered.values()].sort((a, b) => (a.definition.uuid < b.definition.uuid ? -1 : 1)),
    async register(declaration) {
      const definition = await define(declaration);
      const { uuid } = definition;
      requireNew(registered, uuid);
      registered.set(uuid, { definition, mapping: begin(definition) });
      return uuid;
    },
    async update(uuid, change) {
      const { definition, mapping } = get(uuid);
      const { batchSize } = { ...mapping.settings, ...change };
      requireBatch(batchSize, definition.maximumBatchingWindowSeconds);
      await mapping.update(change);
      return get(uuid);
    },
    async stop() {
      await Promise.all([...registered.values()].map(({ mapping }) => mapping.stop()));
      sqs.destroy();
    },
  };
}

/** A UUID of version 8: the same for the same pair, always. */
function uuidOf(queueArn: string, functionArn: string): string {
  const hash = createHash('sha256').update(`${queueArn} ${functionArn}`).digest('hex');
  const variant = ((Number.parseInt(hash.slice(16, 17), 16) & 0x3) | 0x8).toString(16);
  return [
    hash.slice(0, 8),
    hash.slice(8, 12),
    `8${hash.slice(13, 16)}`,
    variant + hash.slice(17, 20),
    hash.slice(20, 32),
  ].join('-');
}
