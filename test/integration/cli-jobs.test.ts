import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { handledAre, type JobsSystem, jobsSystem } from '../support/jobs-system.ts';
import { type KitsCli, kitsCliOf } from '../support/kits-cli.ts';
import { statusJob } from '../support/service-functions.ts';
import { eventually } from '../support/system.ts';

let rig: JobsSystem;
let cli: KitsCli;
beforeAll(async () => {
  rig = await jobsSystem(20);
  cli = await kitsCliOf(rig.system, 'test');
});
afterAll(async () => {
  await cli?.close();
  await rig?.close();
});

const areDead = (count: number) =>
  eventually(
    () => rig.counts('dead'),
    ({ visible }) => visible === count,
  );

interface Listed {
  readonly deadLetters: readonly {
    readonly messageId: string;
    readonly reason: string;
    readonly jobId?: string;
  }[];
}

describe('kits jobs', () => {
  it('says that there are no dead letters', async () => {
    const { code, output } = await cli.kits('jobs', 'dlq');
    expect([code, output]).toEqual([0, 'no dead letters\n']);
  });

  it('lists what was given up by reason, without content, and leaves it where it is', async () => {
    await rig.send(['P-4711 of somebody', statusJob('lost', { kitId: 999, kitNumber: 'K999' })]);
    await areDead(2);
    const { code, output, remarks } = await cli.kits('jobs', 'dlq');
    expect(code).toBe(0);
    expect(output).toMatch(/^MESSAGE +REASON +TYPE +FAILED AT \(UTC\) +JOB: DETAIL$/m);
    expect(output).toMatch(/malformed +- .* the body is not JSON/);
    expect(output).toMatch(/unknown-kit +kit\.status-changed .* lost: /);
    expect(output + remarks).not.toMatch(/4711|somebody|K999/);
  });

  it('wants to know which, and to be told the environment, before it puts any back', async () => {
    const [which, both, unasked, other] = await Promise.all([
      cli.kits('jobs', 'redrive'),
      cli.kits('jobs', 'redrive', '--all', '--reason', 'malformed'),
      cli.kits('jobs', 'redrive', '--all'),
      cli.kits('jobs', 'redrive', '--all', '--yes', 'production'),
    ]);
    expect(which.remarks).toMatch(/^UsageError: say which dead letters/);
    expect([which.code, both.code, unasked.code, other.code]).toEqual([2, 2, 4, 4]);
    expect(unasked.remarks).toMatch(
      /^Puts all dead letters back on the queue of jobs, in the local system "test" at http:.*\nNotConfirmed: .* say --yes test$/m,
    );
    expect(other.remarks).toMatch(
      /--yes production is not the environment that this is about: test/,
    );
    await areDead(2);
  });

  it('puts back those of a reason whose cause is gone, and they are applied', async () => {
    await rig.legacy.pool.query(
      `insert into kit (id, kit_number, user_id, status) overriding system value select 999, 'K999', user_id, 'registered' from kit where id = 1`,
    );
    const { code, json } = await cli.kits(
      ...['jobs', 'redrive', '--reason', 'unknown-kit', '--yes', 'test', '--json'],
    );
    expect(code).toBe(0);
    expect(json()).toEqual({ done: true, redriven: 1, failed: 0, missing: [] });
    expect(await handledAre(rig, 1)).toEqual(['lost']);
    expect(await rig.events('redrive')).toMatchObject([
      { actor: 'operator', detail: { reason: 'unknown-kit' } },
    ]);
    await areDead(1);
  });

  it('puts back messages by their ids, and names those that are not there', async () => {
    const [letter] = (await cli.kits('jobs', 'dlq', '--json')).json<Listed>().deadLetters;
    expect(letter).toMatchObject({ reason: 'malformed', receiveCount: expect.any(Number) });
    const { code, output } = await cli.kits(
      ...['jobs', 'redrive', letter?.messageId ?? '', 'not-there', '--yes', 'test'],
    );
    expect(code).toBe(1);
    expect(output).toBe('put back: 1\nnot found among the dead letters: not-there\n');
    // Nothing has been mended: it comes back.
    await areDead(1);
  });
});
