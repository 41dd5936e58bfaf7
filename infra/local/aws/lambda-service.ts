import { z } from 'zod';
import type { EventSourceMappings } from './event-source-mappings.ts';
import { FunctionError, type Functions } from './functions.ts';
import { page } from './paging.ts';
import { type RestService, WithHeaders } from './service.ts';
import { epochSeconds, parseInput, ServiceError } from './service-error.ts';

/** AWS lists at most so many at a time, whatever is asked for. */
const MOST_LISTED = 100;

const getInput = z.strictObject({ UUID: z.string() });
const updateInput = z.strictObject({
  UUID: z.string(),
  Enabled: z.boolean().optional(),
  BatchSize: z.number().int().min(1).max(10_000).optional(),
});
// All of it stands in the query, so numbers are texts.
const listInput = z.strictObject({
  FunctionName: z.string().optional(),
  EventSourceArn: z.string().optional(),
  Marker: z.string().optional(),
  MaxItems: z.coerce.number().int().min(1).max(10_000).default(MOST_LISTED),
});

/** The rest is the payload. */
const invokeInput = z.looseObject({
  FunctionName: z.string(),
  InvocationType: z.literal('RequestResponse').optional(),
  LogType: z.literal('None').optional(),
  Qualifier: z.literal('$LATEST').optional(),
});

const INVOCATIONS = /^\/2015-03-31\/functions\/(?<FunctionName>[^/]+)\/invocations$/;
const COLLECTION = /^\/2015-03-31\/event-source-mappings\/?$/;
const ONE = /^\/2015-03-31\/event-source-mappings\/(?<UUID>[^/]+)$/;

type Mapping = ReturnType<EventSourceMappings['get']>;

/** Lambda, as far as operators need it: calling functions, pausing and resuming queue consumers. */
export function lambdaService(
  mappings: EventSourceMappings,
  functions: Functions,
  place: { readonly region: string; readonly accountId: string },
): RestService {
  const prefix = `arn:aws:lambda:${place.region}:${place.accountId}`;

  const shape = ({ definition, mapping }: Mapping) => ({
    UUID: definition.uuid,
    EventSourceMappingArn: `${prefix}:event-source-mapping:${definition.uuid}`,
    EventSourceArn: definition.queueArn,
    FunctionArn: definition.functionArn,
    BatchSize: mapping.settings.batchSize,
    MaximumBatchingWindowInSeconds: definition.maximumBatchingWindowSeconds,
    FunctionResponseTypes: definition.functionResponseTypes,
    ScalingConfig: { MaximumConcurrency: definition.maximumConcurrency },
    State: mapping.state,
    StateTransitionReason: 'USER_INITIATED',
    LastModified: epochSeconds(mapping.changedAt),
  });

  /** The ARN of the function that is meant: by it, by a part of it, or by the function's name. */
  const functionArn = (name: string): string => {
    const candidates = [
      name,
      `arn:aws:lambda:${place.region}:${name}`,
      `${prefix}:function:${name}`,
    ];
    const arn = candidates.find((one) => functions.timeoutSeconds(one) !== undefined);
    if (arn !== undefined) return arn;
    throw new ServiceError('ResourceNotFoundException', `Function not found: ${name}`, 404);
  };

  const operations = {
    async Invoke(input: unknown) {
      const { FunctionName, InvocationType, LogType, Qualifier, ...payload } = parseInput(
        invokeInput,
        input,
      );
      const arn = functionArn(decodeURIComponent(FunctionName));
      try {
        return Object(JSON.parse(await functions.invoke(arn, JSON.stringify(payload))));
      } catch (error) {
        if (!(error instanceof FunctionError)) throw error;
        return new WithHeaders(JSON.parse(error.message), { 'x-amz-function-error': 'Unhandled' });
      }
    },

    GetEventSourceMapping: (input: unknown) =>
      shape(mappings.get(parseInput(getInput, input).UUID)),

    async UpdateEventSourceMapping(input: unknown) {
      const { UUID, Enabled, BatchSize } = parseInput(updateInput, input);
      return shape(
        await mappings.update(UUID, {
          ...(Enabled === undefined ? {} : { enabled: Enabled }),
          ...(BatchSize === undefined ? {} : { batchSize: BatchSize }),
        }),
      );
    },

    ListEventSourceMappings(input: unknown) {
      const asked = parseInput(listInput, input);
      const arn = asked.FunctionName === undefined ? undefined : functionArn(asked.FunctionName);
      const { items, nextToken } = page(
        mappings
          .all()
          .filter((one) => arn === undefined || one.definition.functionArn === arn)
          .filter(
            (one) => !asked.EventSourceArn || one.definition.queueArn === asked.EventSourceArn,
          ),
        (one) => one.definition.uuid,
        (key, last) => key > last,
        {
          limit: Math.min(asked.MaxItems, MOST_LISTED),
          token: asked.Marker,
          tokenError: 'InvalidParameterValueException',
        },
      );
      return { EventSourceMappings: items.map(shape), NextMarker: nextToken };
    },
  };

  return {
    routes: [
      {
        name: 'Invoke',
        method: 'POST',
        path: INVOCATIONS,
        headers: { 'x-amz-invocation-type': 'InvocationType', 'x-amz-log-type': 'LogType' },
        status: 200,
        run: operations.Invoke,
      },
      {
        name: 'GetEventSourceMapping',
        method: 'GET',
        path: ONE,
        status: 200,
        run: operations.GetEventSourceMapping,
      },
      {
        name: 'UpdateEventSourceMapping',
        method: 'PUT',
        path: ONE,
        status: 202,
        run: operations.UpdateEventSourceMapping,
      },
      {
        name: 'ListEventSourceMappings',
        method: 'GET',
        path: COLLECTION,
        status: 200,
        run: operations.ListEventSourceMappings,
      },
    ],
  };
}
