import { PutParameterCommand, SSMClient } from '@aws-sdk/client-ssm';
import { FLAG_NAMES } from '@unified-kits/domain';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FlagStore } from '../../functions/runtime/flag-store.ts';
import { type LocalAws, startLocalAws } from '../../infra/local/aws/start.ts';

let aws: LocalAws;
let ssm: SSMClient;
let now: number;
let flags: FlagStore;
beforeEach(async () => {
  aws = await startLocalAws();
  ssm = new SSMClient({ ...aws, maxAttempts: 1 });
  now = 1_000_000;
  flags = new FlagStore(ssm, 'test', () => now);
});
afterEach(async () => {
  ssm.destroy();
  await aws.stop({ graceMs: 100 });
});

const put = (flag: string, value: string) =>
  ssm.send(
    new PutParameterCommand({
      Name: `/unified-kits/test/${flag}`,
      Value: value,
      Type: 'String',
      Overwrite: true,
    }),
  );

describe('the flag store', () => {
  it('creates the parameters that are missing and overwrites none', async () => {
    await put('unified-reads', 'true');
    expect(await flags.ensure()).toEqual(FLAG_NAMES.filter((name) => name !== 'unifiedReads'));
    expect(await flags.ensure()).toEqual([]);
    expect(await flags.read()).toEqual({
      unifiedReads: true,
      unifiedWrites: false,
      dualWrite: false,
      migrationInProgress: false,
      shadowReads: 0,
      copyRowsPerSecond: undefined,
    });
  });

  it('lets the console set only what a flag may be', async () => {
    await flags.ensure();
    await expect(put('unified-writes', 'yes')).rejects.toMatchObject({
      name: 'ParameterPatternMismatchException',
    });
  });

  it('answers services from what is at most five seconds old, and phases never', async () => {
    await flags.ensure();
    expect(await flags.cached()).toMatchObject({ unifiedReads: false });
    await put('unified-reads', 'true');
    now += 4_999;
    expect(await flags.cached()).toMatchObject({ unifiedReads: false });
    now += 1;
    expect(await flags.cached()).toMatchObject({ unifiedReads: true });
    await put('unified-reads', 'false');
    expect(await flags.read()).toMatchObject({ unifiedReads: false });
  });

  it('writes only what differs', async () => {
    await flags.ensure();
    expect(await flags.write({ unifiedReads: true, dualWrite: false })).toEqual(['unifiedReads']);
    expect(await flags.write({ unifiedReads: true, copyRowsPerSecond: 500 })).toEqual([
      'copyRowsPerSecond',
    ]);
    expect(await flags.write({ copyRowsPerSecond: undefined })).toEqual(['copyRowsPerSecond']);
  });

  it('never shows a wish between two writes that was not meant', async () => {
    await flags.ensure();
    const seen: unknown[] = [];
    aws.onParameterChange(async () => {
      const { unifiedReads, unifiedWrites, dualWrite } = await flags.read();
      seen.push([unifiedReads, unifiedWrites, dualWrite]);
    });
    const store = async (reads: boolean, writes: boolean, dual: boolean) => {
      const written = await flags.write({
        unifiedReads: reads,
        unifiedWrites: writes,
        dualWrite: dual,
      });
      return written;
    };
    expect((await store(true, true, true)).at(-1)).toBe('unifiedWrites');
    await aws.parameterChangesHandled();
    expect((await store(false, false, false)).at(0)).toBe('unifiedWrites');
    await aws.parameterChangesHandled();
    // Writes without reads, or writes without the window that was asked for, at no moment.
    expect(seen).not.toContainEqual([false, true, expect.anything()]);
    expect(seen.slice(0, 3)).not.toContainEqual([true, true, false]);
  });

  it('says which parameters did not answer, and that nothing was switched', async () => {
    await flags.ensure();
    aws.failNext('GetParameters', 'InternalServerError');
    await expect(flags.read()).rejects.toMatchObject({
      name: 'FlagsUnreadable',
      message: expect.stringContaining('/unified-kits/test/unified-reads'),
    });
    aws.failNext('PutParameter', 'TooManyUpdates');
    await expect(flags.write({ unifiedReads: true })).rejects.toMatchObject({
      name: 'FlagsUnreadable',
      message: expect.stringContaining('TooManyUpdates'),
    });
    expect(await flags.read()).toMatchObject({ unifiedReads: false });
  });
});

describe('the guard', () => {
  it('is off only when it can be read and is false', async () => {
    // Not there yet: a worker that starts before the schema phase waits.
    expect(await flags.guard()).toBe(true);
    expect((await flags.read()).migrationInProgress).toBe(true);
    await flags.ensure();
    expect(await flags.guard()).toBe(false);
    await put('MIGRATION_IN_PROGRESS', 'true');
    expect(await flags.guard()).toBe(true);
    await put('MIGRATION_IN_PROGRESS', 'false');
    aws.failNext('GetParameter', 'ThrottlingException');
    expect(await flags.guard()).toBe(true);
    expect(await flags.guard()).toBe(false);
  });

  it('counts as on when nobody answers at all', async () => {
    await flags.ensure();
    const gone = new SSMClient({ ...aws, endpoint: 'http://127.0.0.1:9', maxAttempts: 1 });
    expect(await new FlagStore(gone, 'test').guard()).toBe(true);
    gone.destroy();
  });
});
