import { afterEach, describe, expect, it } from 'vitest';
import type { Order } from '../fixtures/after-response-handler.ts';
import {
  type LambdaEnvironment,
  type LambdaOptions,
  lambdaEnvironment,
} from '../support/lambda-environment.ts';

const started: LambdaEnvironment[] = [];
const start = async (options?: LambdaOptions): Promise<LambdaEnvironment> => {
  const environment = await lambdaEnvironment(options);
  started.push(environment);
  return environment;
};
afterEach(async () => {
  for (const environment of started.splice(0)) await environment.close();
});

const order = (...names: string[]): Order => ({ works: names.map((name) => ({ name })) });
const times = ({ happened }: LambdaEnvironment, what: string) =>
  happened.filter((one) => one === what).length;

/** When a metric was written. */
const timestampOf = ({ _aws }: Record<string, unknown>) =>
  (_aws as { readonly Timestamp: number }).Timestamp;

describe('on Lambda', () => {
  it('an extension is registered before the runtime asks for the first invocation', async () => {
    const environment = await start();
    await environment.seen('runtime asks');
    expect(environment.happened[0]).toBe('registers');
    await environment.seen('extension asks');
  });

  it('the answer leaves while the work is under way, and the process is kept awake until it is done', async () => {
    const environment = await start();
    expect(await environment.invoke(order('a', 'b', 'c'))).toEqual({ works: 3 });
    await environment.seen('runtime asks', 2);
    await environment.seen('begins b');
    environment.letEnd('b');
    await environment.seen('begins c');
    environment.letEnd('c');
    await environment.seen('ends c');
    expect(times(environment, 'extension asks')).toBe(1);
    environment.letEnd('a');
    await environment.seen('extension asks', 2);
    expect(environment.happened.indexOf('ends a')).toBeLessThan(
      environment.happened.lastIndexOf('extension asks'),
    );
  });

  it('an invocation without work is followed by the next at once', async () => {
    const environment = await start();
    await environment.invoke(order());
    await environment.seen('extension asks', 2);
  });

  it('each invocation waits for its own work', async () => {
    const environment = await start();
    environment.letEnd('a');
    await environment.invoke(order('a'));
    await environment.invoke(order('b'));
    await environment.seen('begins b');
    expect(environment.happened).toContain('ends a');
    expect(times(environment, 'extension asks')).toBe(2);
    environment.letEnd('b');
    await environment.seen('extension asks', 3);
    expect(environment.happened).toContain('ends b');
  });

  it('work that takes too long is given up before the function times out', async () => {
    const environment = await start();
    await environment.seen('runtime asks');
    const deadline = Date.now() + 2_000;
    await environment.invoke(order('a', 'b', 'c'), 2_000);
    await environment.seen('extension asks', 2);
    await expect
      .poll(() => environment.log)
      .toMatchObject(Array(3).fill({ AfterResponseDropped: 1 }));
    expect(environment.log.map(timestampOf).toSorted().at(-1)).toBeLessThan(deadline);

    environment.letEnd('d');
    await environment.invoke(order('d'));
    await environment.seen('extension asks', 3);
    expect(environment.happened).toContain('ends d');
    expect(environment.happened).not.toContain('begins c');
  });

  it('work that throws is logged by name and keeps nobody', async () => {
    const environment = await start();
    environment.letEnd('a');
    await environment.invoke({ works: [{ name: 'a', throws: true }] } satisfies Order);
    await environment.invoke(order());
    await expect
      .poll(() => environment.log)
      .toMatchObject([
        { level: 'WARN', service: 'fixture', message: expect.any(String), error: 'RangeError' },
      ]);
    expect(JSON.stringify(environment.log)).not.toContain('Ada');
  });

  it('a function that fails has its work done too', async () => {
    const environment = await start();
    environment.letEnd('a');
    const failing: Order = { ...order('a'), fails: true };
    expect(await environment.invoke(failing)).toEqual({ errorType: 'TypeError' });
    await environment.seen('extension asks', 2);
    expect(environment.happened).toContain('ends a');
  });

  it('without the extension the function works, and the work is dropped and counted', async () => {
    const environment = await start({ extension: 'not-registered' });
    expect(await environment.invoke(order('a'))).toEqual({ works: 1 });
    await environment.invoke(order());
    expect(environment.happened).not.toContain('begins a');
    await expect
      .poll(() => environment.log)
      .toMatchObject([
        { level: 'ERROR', error: { name: 'ExtensionFailed' } },
        { AfterResponseDropped: 1, service: 'fixture' },
      ]);
  });

  it('an extension that is not served ends the process, so that Lambda starts another', async () => {
    const environment = await start({ extension: 'not-served' });
    expect(await environment.exited).not.toBe(0);
  });
});
