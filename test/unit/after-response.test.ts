import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Context } from 'aws-lambda';
import { describe, expect, it } from 'vitest';
import {
  afterResponse,
  settled,
  withAfterResponse,
} from '../../functions/runtime/after-response.ts';
import { withEnvironment } from '../../functions/runtime/environment.ts';
import { METRICS } from '../../functions/runtime/metric-names.ts';
import { flushMetrics, serviceMetrics } from '../../functions/runtime/service-metrics.ts';

const CONTEXT: Context = Object.create(null);

/** Invokes a function that does no more than this; what it and its work write is parsed. */
const invoke = async (handle: () => void, environment = 'test') => {
  const log: Record<string, unknown>[] = [];
  const handler = await withAfterResponse('phase4-api', async () => handle());
  const scope = {
    variables: { KITS_ENVIRONMENT: environment },
    log: (line: string) => log.push(JSON.parse(line)),
  };
  return { log, answered: withEnvironment(scope, () => handler(undefined, CONTEXT)) };
};

/** Work that waits until it is let go on. */
const held = () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { work: () => promise, letEnd: resolve };
};

describe('work after a response', () => {
  it('begins when the caller has had its answer for a turn of the event loop', async () => {
    const order: string[] = [];
    const { answered } = await invoke(() =>
      afterResponse(async () => {
        order.push('work');
      }),
    );
    await answered;
    order.push('answered');
    await nextTurn();
    order.push('sent');
    await settled();
    expect(order).toEqual(['answered', 'sent', 'work']);
  });

  it('does not begin while the handler is at work', async () => {
    const order: string[] = [];
    const handler = await withAfterResponse('phase4-api', async () => {
      afterResponse(async () => {
        order.push('work');
      });
      for (let turn = 0; turn < 5; turn += 1) await nextTurn();
      order.push('handler');
    });
    await handler(undefined, CONTEXT);
    await settled();
    expect(order).toEqual(['handler', 'work']);
  });

  it('is done in the order asked for, two at once', async () => {
    const works = Array.from({ length: 5 }, held);
    const begun: number[] = [];
    const { answered } = await invoke(() => {
      for (const [n, { work }] of works.entries())
        afterResponse(async () => {
          begun.push(n);
          await work();
        });
    });
    await answered;
    for (const [n, { letEnd }] of works.entries()) {
      for (let turn = 0; turn < 5; turn += 1) await nextTurn();
      expect(begun).toEqual([0, 1, 2, 3, 4].slice(0, n + 2));
      letEnd();
    }
    await settled();
  });

  it('is dropped and counted where it would pile up', async () => {
    const { work, letEnd } = held();
    let done = 0;
    const { log, answered } = await invoke(() => {
      for (let n = 0; n < 53; n += 1)
        afterResponse(async () => {
          await work();
          done += 1;
        });
    });
    await answered;
    const late = await invoke(() => afterResponse(work), 'another');
    await late.answered;
    letEnd();
    await settled();
    expect(done).toBe(50);
    expect(log).toHaveLength(3);
    expect(late.log).toMatchObject([
      { AfterResponseDropped: 1, service: 'phase4-api', Environment: 'another' },
    ]);
  });

  it.each([
    [
      'at once',
      () => {
        throw new RangeError('of Ada Lovelace');
      },
    ],
    [
      'later',
      async () => {
        await nextTurn();
        throw new RangeError('of Ada Lovelace');
      },
    ],
  ])('that throws %s is logged by name, and the next is done', async (_when, fails) => {
    let done = false;
    const { log, answered } = await invoke(() => {
      afterResponse(fails);
      afterResponse(fails);
      afterResponse(async () => {
        done = true;
      });
    });
    await answered;
    await settled();
    expect(done).toBe(true);
    const line = { level: 'WARN', environment: 'test', error: 'RangeError' };
    expect(log).toMatchObject([line, line]);
    expect(JSON.stringify(log)).not.toContain('Ada');
  });

  it('writes and counts in the environment of its own invocation', async () => {
    const count = () =>
      afterResponse(async () => {
        await nextTurn();
        serviceMetrics('phase4-api').count(METRICS.ShadowReads);
      });
    const [a, b] = await Promise.all([invoke(count, 'a'), invoke(count, 'b')]);
    await Promise.all([a.answered, b.answered]);
    await settled();
    flushMetrics();
    expect(a.log).toMatchObject([{ Environment: 'a', ShadowReads: 1 }]);
    expect(b.log).toMatchObject([{ Environment: 'b', ShadowReads: 1 }]);
  });

  it('may ask for more work', async () => {
    const order: string[] = [];
    const { answered } = await invoke(() =>
      afterResponse(async () => {
        afterResponse(async () => {
          order.push('second');
        });
        order.push('first');
      }),
    );
    await answered;
    await settled();
    expect(order).toEqual(['first', 'second']);
  });

  it('is done when the handler fails, and outside of any invocation', async () => {
    const done: string[] = [];
    const { answered } = await invoke(() => {
      afterResponse(async () => {
        done.push('failed');
      });
      throw new TypeError('no answer');
    });
    await expect(answered).rejects.toThrow('no answer');
    afterResponse(async () => {
      done.push('outside');
    });
    await settled();
    expect(done).toEqual(['failed', 'outside']);
  });
});
