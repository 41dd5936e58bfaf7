import { randomUUID } from 'node:crypto';

/** The EventBridge event that Systems Manager sends when a parameter changes. */
export type ParameterStoreChange = {
  readonly version: '0';
  readonly id: string;
  readonly 'detail-type': 'Parameter Store Change';
  readonly source: 'aws.ssm';
  readonly account: string;
  readonly time: string;
  readonly region: string;
  readonly resources: readonly [string];
  readonly detail: {
    readonly operation: 'Create' | 'Update' | 'Delete';
    readonly name: string;
    readonly type: string;
    readonly description?: string;
  };
};

export type ParameterListener = (event: ParameterStoreChange) => void | Promise<void>;

export type ParameterEvents = {
  /** Returns the function that ends the subscription. */
  subscribe(listener: ParameterListener): () => void;
  publish(change: ParameterStoreChange['detail'], arn: string): void;
  /** Resolves when every event published so far has been handled. */
  settled(): Promise<void>;
};

/**
 * Delivers changes to the listeners one after the other and never within the call that made the change:
 * on AWS, too, the writer has its answer before anybody hears of it.
 */
export function parameterEvents(place: {
  readonly region: string;
  readonly accountId: string;
  readonly onListenerError: (error: unknown) => void;
}): ParameterEvents {
  const listeners = new Set<ParameterListener>();
  let tail: Promise<void> = Promise.resolve();
  const deliver = async (event: ParameterStoreChange) => {
    await new Promise(setImmediate);
    for (const listener of listeners) {
      try {
        await listener(event);
      } catch (error) {
        // One rule's failing target does not keep the event from the others.
        place.onListenerError(error);
      }
    }
  };
  return {
    subscribe(listener) {
      listeners.add(listener);
      return () => {
        listeners.delete(listener);
      };
    },
    publish(detail, arn) {
      const event: ParameterStoreChange = {
        version: '0',
        id: randomUUID(),
        'detail-type': 'Parameter Store Change',
        source: 'aws.ssm',
        account: place.accountId,
        time: `${new Date().toISOString().slice(0, 19)}Z`,
        region: place.region,
        resources: [arn],
        detail,
      };
      tail = tail.then(() => deliver(event));
    },
    async settled() {
      let seen: Promise<void> | undefined;
      // A listener may change a parameter, which publishes again.
      while (seen !== tail) {
        seen = tail;
        await seen;
      }
    },
  };
}
