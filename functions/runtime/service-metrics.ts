import { Metrics, MetricUnit } from '@aws-lambda-powertools/metrics';
import type { MiddlewareObj } from '@middy/core';
import { currentScope, environmentName, writeLog } from './environment.ts';
import type { MetricName } from './metric-names.ts';

/** Few values each, for every combination is a metric of its own; never an id. */
export type Dimensions = Readonly<Record<string, string>>;

/** What a service function measures. With dimensions it is counted twice: with them, and in the total. */
export interface ServiceMetrics {
  count(name: MetricName, n?: number, dimensions?: Dimensions): void;
  duration(name: MetricName, milliseconds: number, dimensions?: Dimensions): void;
  /** How much there is now. With dimensions it is told with them alone: a part is no total. */
  level(name: MetricName, n: number, dimensions?: Dimensions): void;
}

/** Powertools writes to the process's output; here a metric goes where its environment's log goes. */
class ScopedMetrics extends Metrics {
  readonly #dimensions: Dimensions;
  readonly #totalled: boolean;

  constructor(phase: string, dimensions: Dimensions, totalled: boolean) {
    super({
      namespace: 'UnifiedKits',
      serviceName: phase,
      defaultDimensions: { Environment: environmentName() },
    });
    this.#dimensions = dimensions;
    this.#totalled = totalled;
  }

  /** Also called by Powertools itself, when a hundred values of one metric have come together. */
  override publishStoredMetrics(): this {
    if (!this.hasStoredMetrics()) return this;
    try {
      if (Object.keys(this.#dimensions).length > 0) {
        if (this.#totalled) this.addDimensions({});
        this.addDimensions({ ...this.#dimensions });
      }
      if (!this.isDisabled()) writeLog(this.serializeMetrics());
    } finally {
      this.clearMetrics();
      this.clearDimensions();
    }
    return this;
  }
}

/** By scope, so that systems in one process do not count for one another. */
const gathered = new WeakMap<object, Map<string, Metrics>>();

const metricsOf = (phase: string, dimensions: Dimensions, totalled = true): Metrics => {
  const scope = currentScope();
  const known = gathered.get(scope) ?? new Map<string, Metrics>();
  gathered.set(scope, known);
  const key = JSON.stringify([phase, dimensions, totalled]);
  const metrics = known.get(key) ?? new ScopedMetrics(phase, dimensions, totalled);
  known.set(key, metrics);
  return metrics;
};

/** @param phase the function's folder; the dimension `service`, beside `Environment` */
export const serviceMetrics = (phase: string): ServiceMetrics => ({
  count(name, n = 1, dimensions = {}) {
    metricsOf(phase, dimensions).addMetric(name, MetricUnit.Count, n);
  },
  duration(name, milliseconds, dimensions = {}) {
    metricsOf(phase, dimensions).addMetric(name, MetricUnit.Milliseconds, milliseconds);
  },
  level(name, n, dimensions = {}) {
    metricsOf(phase, dimensions, false).addMetric(name, MetricUnit.Count, n);
  },
});

/** Writes what was measured since the last time, as lines that CloudWatch makes metrics of. */
export const flushMetrics = (): void => {
  for (const metrics of gathered.get(currentScope())?.values() ?? [])
    metrics.publishStoredMetrics();
};

/** Flushes when an invocation ends, well or not. The first in the chain, so that it is the last to see the end. */
export const metricsMiddleware: MiddlewareObj = { after: flushMetrics, onError: flushMetrics };
