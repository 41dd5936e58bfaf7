import { BatchActive } from '@unified-kits/domain';
import pg from 'pg';
import { describe, expect, it } from 'vitest';
import { withEnvironment } from '../../functions/runtime/environment.ts';
import { METRICS } from '../../functions/runtime/metric-names.ts';
import { serviceLog } from '../../functions/runtime/service-log.ts';
import {
  flushMetrics,
  metricsMiddleware,
  serviceMetrics,
} from '../../functions/runtime/service-metrics.ts';

const SECRET = 'KIT-4711 of Ada Lovelace';

/** What is written by work that runs in an environment of its own. */
const written = (work: () => void, environment = 'test'): Record<string, unknown>[] => {
  const lines: string[] = [];
  const scope = {
    variables: { KITS_ENVIRONMENT: environment },
    log: (line: string) => lines.push(line),
  };
  withEnvironment(scope, work);
  return lines.map((line) => JSON.parse(line));
};

describe('the log of a service', () => {
  it('says what happened, when, where, and with which ids', () => {
    const lines = written(() =>
      serviceLog('phase4-api', { requestId: 'r-1' }).info('answered', {
        route: 'GET /kits',
        ms: 12,
      }),
    );
    expect(lines).toEqual([
      {
        level: 'INFO',
        message: 'answered',
        timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
        service: 'phase4-api',
        environment: 'test',
        requestId: 'r-1',
        route: 'GET /kits',
        ms: 12,
      },
    ]);
  });

  it('of one request says nothing of another', () => {
    const lines = written(() => {
      serviceLog('phase4-api', { requestId: 'r-1' }).warn('slow');
      serviceLog('phase4-api').warn('slow');
    });
    expect(lines.map(({ requestId }) => requestId)).toEqual(['r-1', undefined]);
  });

  it('goes where the log of the environment goes that it is written in', () => {
    const log = serviceLog('phase4-api');
    expect(written(() => log.info('one'), 'a')).toMatchObject([
      { message: 'one', environment: 'a' },
    ]);
    expect(written(() => log.info('two'), 'b')).toMatchObject([
      { message: 'two', environment: 'b' },
    ]);
  });

  it('leaves debug lines out', () => {
    expect(written(() => serviceLog('phase4-api').debug('detail'))).toEqual([]);
  });

  it('names an error of ours with its message and where it was thrown', () => {
    const [line] = written(() =>
      serviceLog('phase4-api').error('failed', new BatchActive('batch 7 is active')),
    );
    expect(line).toMatchObject({
      level: 'ERROR',
      error: {
        name: 'BatchActive',
        message: 'batch 7 is active',
        places: expect.arrayContaining([expect.stringContaining('service-output.test.ts')]),
      },
    });
  });

  it.each([
    new TypeError(SECRET),
    new Error(`first line\n    at ${SECRET}`, { cause: new Error(SECRET) }),
    Object.assign(new pg.DatabaseError(SECRET, 1, 'error'), { code: '23505', detail: SECRET }),
    Object.assign(new Error('x'), { detail: SECRET }),
    SECRET,
  ])('%# never repeats what an error of others says', (error) => {
    const lines = written(() => serviceLog('phase4-api').error('failed', error));
    expect(lines).toMatchObject([{ level: 'ERROR', error: { name: expect.any(String) } }]);
    expect(JSON.stringify(lines)).not.toContain(SECRET);
  });
});

describe('the metrics of a service', () => {
  const metrics = serviceMetrics('phase4-api');

  it('are one line in the embedded format, with service and environment', () => {
    const lines = written(() => {
      metrics.count(METRICS.ApiRequests);
      metrics.count(METRICS.ApiRequests, 2);
      metrics.duration(METRICS.ApiLatency, 12.5);
      flushMetrics();
    });
    expect(lines).toEqual([
      {
        _aws: {
          Timestamp: expect.any(Number),
          CloudWatchMetrics: [
            {
              Namespace: 'UnifiedKits',
              Dimensions: [['service', 'Environment']],
              Metrics: [
                { Name: 'ApiRequests', Unit: 'Count' },
                { Name: 'ApiLatency', Unit: 'Milliseconds' },
              ],
            },
          ],
        },
        service: 'phase4-api',
        Environment: 'test',
        ApiRequests: [1, 2],
        ApiLatency: 12.5,
      },
    ]);
  });

  it('with dimensions count there and in the total', () => {
    const lines = written(() => {
      metrics.count(METRICS.ApiErrors, 1, { route: 'GET /kits' });
      flushMetrics();
      metrics.count(METRICS.ApiErrors, 1, { route: 'GET /kits' });
      flushMetrics();
    });
    const expected = {
      _aws: {
        CloudWatchMetrics: [
          {
            Dimensions: [
              ['service', 'Environment'],
              ['service', 'Environment', 'route'],
            ],
          },
        ],
      },
      route: 'GET /kits',
      ApiErrors: 1,
    };
    expect(lines).toMatchObject([expected, expected]);
  });

  it('that say how much there is are told by their dimensions alone', () => {
    const lines = written(() => {
      metrics.level(METRICS.BacklogSize, 3);
      metrics.level(METRICS.BacklogSize, 2, { cause: 'mirror' });
      flushMetrics();
    });
    const told = (...dimensions: string[]) => ({
      _aws: { CloudWatchMetrics: [{ Dimensions: [['service', 'Environment', ...dimensions]] }] },
    });
    expect(lines).toMatchObject([
      { ...told(), BacklogSize: 3 },
      { ...told('cause'), BacklogSize: 2, cause: 'mirror' },
    ]);
  });

  it('with other dimensions are another line', () => {
    const lines = written(() => {
      metrics.count(METRICS.ApiErrors, 1, { route: 'GET /kits' });
      metrics.count(METRICS.ApiErrors, 1, { route: 'POST /kits' });
      serviceMetrics('phase5-queues').count(METRICS.JobsApplied);
      flushMetrics();
    });
    expect(lines.map(({ service, route }) => [service, route])).toEqual([
      ['phase4-api', 'GET /kits'],
      ['phase4-api', 'POST /kits'],
      ['phase5-queues', undefined],
    ]);
  });

  it('are written once, when the invocation ends, well or not', () => {
    const lines = written(() => {
      metrics.count(METRICS.ApiRequests);
      metricsMiddleware.after?.(Object.create(null));
      metricsMiddleware.onError?.(Object.create(null));
      metrics.count(METRICS.ApiErrors);
      metricsMiddleware.onError?.(Object.create(null));
    });
    expect(lines).toMatchObject([{ ApiRequests: 1 }, { ApiErrors: 1 }]);
  });

  it('that nobody measured are not written', () => {
    expect(written(flushMetrics)).toEqual([]);
  });

  it('lose no value, however many there are', () => {
    const lines = written(() => {
      for (let n = 1; n <= 250; n += 1) metrics.count(METRICS.JobsApplied, n);
      flushMetrics();
    });
    const values = lines.flatMap(({ JobsApplied }) => JobsApplied);
    expect(values).toEqual(Array.from({ length: 250 }, (_, n) => n + 1));
    for (const { JobsApplied } of lines) expect(JobsApplied).toHaveProperty('length');
    expect(lines).toHaveLength(3);
  });

  it('of one environment are not counted in another', () => {
    const [b] = written(() => {
      metrics.count(METRICS.ApiRequests, 7);
      expect(
        written(() => {
          metrics.count(METRICS.ApiRequests, 1);
          flushMetrics();
        }, 'a'),
      ).toMatchObject([{ Environment: 'a', ApiRequests: 1 }]);
      flushMetrics();
    }, 'b');
    expect(b).toMatchObject({ Environment: 'b', ApiRequests: 7 });
  });
});
