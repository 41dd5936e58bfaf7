import { installTracking } from '@unified-kits/data';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { METRICS } from '../../functions/runtime/metric-names.ts';
import { flagsFollowStage, putFlag } from '../support/flags.ts';
import { installed, type LegacyDatabase, legacyDatabase } from '../support/legacy.ts';
import { metricLines, metricValues } from '../support/metric-lines.ts';
import { migrateTo } from '../support/migration.ts';
import { type Rig, systemOn } from '../support/system.ts';

let legacy: LegacyDatabase;
let rig: Rig;
beforeEach(async () => {
  legacy = await legacyDatabase(20);
  rig = await systemOn(legacy);
  await rig.system.flags.ensure();
});
afterEach(async () => {
  await rig.close();
  await legacy.drop();
});

/** A run of `flag-changed`, as a changed parameter makes one; the lines that it wrote. */
const run = async (): Promise<readonly Record<string, unknown>[]> => {
  const from = rig.log.length;
  await putFlag(rig, 'shadowReads', 0);
  return rig.log.slice(from);
};
const mirroring = async (): Promise<void> => {
  await migrateTo(legacy.db, await installed(legacy), 'dual-write');
  await flagsFollowStage(rig);
};

describe('what flag-changed measures of the backlog', () => {
  it('is nothing before there is one, and zero where it is empty', async () => {
    expect(metricLines(await run(), METRICS.BacklogSize)).toEqual([]);
    await installTracking(legacy.db);
    const log = await run();
    expect(metricValues(log, METRICS.BacklogSize)).toEqual([0]);
    expect(metricValues(log, METRICS.MirrorFailuresSeen)).toEqual([0]);
  });

  it('is how many keys wait, by cause, and how many of them a mirror has failed on', async () => {
    await mirroring();
    await legacy.pool.query(`
      alter table kit add constraint no_orders check (order_id <> 'refused');
      update kits set order_id = 'refused' where source = 'kit' and legacy_id in ('3', '4');
      insert into migration.pending_sync (source, legacy_id, cause) values ('kit', '5', 'parity')`);
    const failed = await run();
    expect(metricValues(failed, METRICS.BacklogSize, { cause: 'mirror' })).toEqual([2]);
    expect(metricValues(failed, METRICS.BacklogSize, { cause: 'parity' })).toEqual([1]);
    expect(metricValues(failed, METRICS.MirrorFailuresSeen)).toEqual([2]);
    expect(metricLines(failed, METRICS.BacklogSize)[0]).toMatchObject({
      _aws: {
        CloudWatchMetrics: [{ Namespace: 'UnifiedKits', Dimensions: [['service', 'Environment']] }],
      },
      service: 'flag-changed',
      Environment: 'test',
      BacklogSize: 3,
      BacklogStuck: 0,
      Stage: 3,
    });
    // The drain of that run could do nothing for them, so the next one sees them stuck, and no new failure.
    const stuck = await run();
    expect(metricValues(stuck, METRICS.BacklogSize)).toEqual([2, 2]);
    expect(metricValues(stuck, METRICS.BacklogSize, { cause: 'stuck' })).toEqual([2]);
    expect(metricValues(stuck, METRICS.BacklogStuck)).toEqual([2]);
    expect(metricValues(stuck, METRICS.MirrorFailuresSeen)).toEqual([0]);
    await legacy.pool.query('alter table kit drop constraint no_orders');
    await run();
    expect(metricValues(await run(), METRICS.BacklogSize)).toEqual([0]);
  });

  it('is there also when the schema is not the one that was installed, which is an error', async () => {
    await mirroring();
    await legacy.pool.query(`
      alter table kit add column surplus text;
      insert into migration.pending_sync (source, legacy_id, cause, error) values ('kit', '5', 'mirror', '42703')`);
    const log = await run();
    expect(metricValues(log, METRICS.BacklogSize, { cause: 'mirror' })).toEqual([1]);
    expect(log).toContainEqual(
      expect.objectContaining({ level: 'error', error: 'SchemaVersionMismatch' }),
    );
  });
});

describe('a flag that asks for kits before there are any', () => {
  it('is put back as soon as there is a stage to put it back by', async () => {
    await putFlag(rig, 'unifiedReads', true);
    expect(await rig.system.flags.read()).toMatchObject({ unifiedReads: true });
    await installTracking(legacy.db);
    await run();
    expect(await rig.system.flags.read()).toMatchObject({ unifiedReads: false });
    const { rows } = await legacy.pool.query(
      `select detail ->> 'reason' as reason from migration.event where action = 'flag-put-back'`,
    );
    expect(rows).toEqual([{ reason: expect.stringContaining('kits is not in step yet') }]);
  });
});
