import { drain, flip } from '@unified-kits/data';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  FLAG_PUT_BACK,
  FLIP_HELD,
  type FunctionMetric,
  MIGRATION_METRICS,
  NAMESPACE,
  SERVICE_METRICS,
} from '../../infra/metrics.ts';
import { type ApiClient, apiClient } from '../support/api.ts';
import { putFlag } from '../support/flags.ts';
import { type JobsSystem, jobsSystem } from '../support/jobs-system.ts';
import { clientOf } from '../support/kits-service.ts';
import { installed } from '../support/legacy.ts';
import { metricLines, metricTotal, metricValues } from '../support/metric-lines.ts';
import { parity } from '../support/migration.ts';
import { statusJob } from '../support/service-functions.ts';
import { approvedReport, cutOver, eventually, rollBack, stageOf } from '../support/system.ts';

const ROWS = 40;
/** The client's kit that everything happens to. */
const KIT = '1';

let rig: JobsSystem;
let client: ApiClient;

/** Past every trigger of ours that asks who writes. */
const asEngine = async (sql: string): Promise<void> => {
  const engine = await rig.legacy.client();
  await engine.query('set role kits_owner');
  await engine.query(sql);
  await engine.end();
};

const seen = ({ name, service }: FunctionMetric): boolean =>
  metricLines(rig.log, name).some((line) => line.service === service);
const become = (metric: FunctionMetric) =>
  eventually(
    async () => seen(metric),
    (is) => is,
  );

const workAtJobs = async (): Promise<void> => {
  const { rows } = await rig.legacy.pool.query(
    `select id::text as "kitsId" from kits where source = 'kit' and legacy_id = '5'`,
  );
  const byKitsId = statusJob('by-kits-id', rows[0]);
  await rig.send([
    byKitsId,
    statusJob('by-legacy-id', { kitId: '9' }),
    statusJob('by-number', { kitNumber: 'K13' }),
    statusJob('conflicting', { kitId: '17', kitNumber: 'K21' }),
    'garbage',
  ]);
  await eventually(
    () => rig.handled(),
    ({ length }) => length === 4,
  );
  await rig.send([byKitsId, statusJob('stale', rows[0], 'registered', '2020-01-01T00:00:00Z')]);
};

/** A fault that a comparison sees, and a shadow read: a row of the store behind, written past the mirror. */
const plantDifference = () => asEngine(`update kit set order_id = 'planted' where id = ${KIT}`);

/** One check of the monitoring window, as a step of the execution that drives the batch. */
const checkOfTheWindow = async (): Promise<unknown> => {
  const { rows } = await rig.legacy.pool.query(
    `select detail ->> 'execution' as execution, batch_id as "batchId" from migration.event
      where action = 'worked' and batch_id is not null order by id desc limit 1`,
  );
  const { execution, batchId } = rows[0];
  const run = {
    ...{ execution, mode: 'cutover', reportId: null, batchId, flags: 'auto', dualWrite: true },
    ...{ lanes: 1, laneNumbers: [0], monitor: { seconds: 1, checks: 1 }, rehearsalRows: 10 },
    ...{ actor: 'operator', until: 'closed' },
  };
  return rig.system.invoke('phase7-cleanup', { action: 'monitor', run, batchId, checks: 0 });
};

beforeAll(async () => {
  rig = await jobsSystem(ROWS, { jobsVisibilitySeconds: 15 });
  const { api } = rig.system;
  if (api === undefined) throw new TypeError('a system with a service has an API');
  client = apiClient(api, await clientOf(rig.legacy, 1));
  await putFlag(rig, 'shadowReads', 100);
  const reportId = await approvedReport(rig);
  const input = { reportId, contractKits: 5 };
  await cutOver(rig, { ...input, until: 'dual-write' });
  await workAtJobs();

  await plantDifference();
  await client.get(`/kits/${KIT}`);
  await become(SERVICE_METRICS.shadowDifferences);
  await expect(checkOfTheWindow()).rejects.toThrow(/1 of \d+ sampled rows differ/);

  // Another one flips behind the flags' back: the API's write meets the fence.
  const binding = await installed(rig.legacy);
  await drain(rig.legacy.db, binding, Date.now() + 10_000);
  await parity(rig.legacy.db, binding);
  await flip(rig.legacy.db, binding, { to: 'mirrored', phase: 'test', actor: 'test' });
  const { status } = await client.patch(`/kits/${KIT}`, { orderId: 'elsewhere' });
  expect(status).toBe(200);

  expect(await cutOver(rig, input)).toMatchObject({ status: 'SUCCEEDED' });
  await putFlag(rig, 'unifiedReads', false);
  await rig.legacy.pool.query('revoke select on kits from kits_app');
  expect((await client.get(`/kits/${KIT}`)).status).toBeGreaterThanOrEqual(500);
  await rig.legacy.pool.query('grant select on kits to kits_app');
  await become(SERVICE_METRICS.eventsRelayed);
  await become(SERVICE_METRICS.jobsStale);
  expect(await rollBack(rig)).toMatchObject({ status: 'SUCCEEDED' });
  expect(await stageOf(rig)).toBe('legacy');
});
afterAll(() => rig.close());

it.each(
  [...Object.values(MIGRATION_METRICS), ...Object.values(SERVICE_METRICS)].map(
    (metric) => [metric.service, metric.name, metric] as const,
  ),
)('%s measures %s, with the dimensions that alarms and dashboard ask for', (service, name) => {
  const lines = metricLines(rig.log, name).filter((line) => line.service === service);
  expect(lines).not.toEqual([]);
  for (const line of lines) {
    expect(line).toMatchObject({ Environment: 'test' });
    expect(line._aws).toMatchObject({ CloudWatchMetrics: [{ Namespace: NAMESPACE }] });
    const [{ Dimensions, Metrics }] = (
      line._aws as {
        CloudWatchMetrics: [{ Dimensions: string[][]; Metrics: { Name: string }[] }];
      }
    ).CloudWatchMetrics;
    expect(Metrics.map((one) => one.Name)).toContain(name);
    expect(Dimensions.map((set) => set.toSorted())).toContainEqual(['Environment', 'service']);
  }
});

describe('what is measured', () => {
  it('of the copy is every row, and no second left in the end', () => {
    const { copiedRows, copySecondsLeft } = MIGRATION_METRICS;
    expect(metricTotal(rig.log, copiedRows.name)).toBe(2 * ROWS);
    expect(metricValues(rig.log, copySecondsLeft.name).at(-1)).toBe(0);
  });

  it('of parity is every row compared by the workflows, and no difference of theirs', async () => {
    const runs = await rig.events('parity-compared');
    const compared = runs.reduce(
      (sum, { actor, detail }) =>
        actor === 'test' ? sum : sum + (detail as { compared: number }).compared,
      0,
    );
    expect(metricTotal(rig.log, MIGRATION_METRICS.parityCompared.name)).toBe(compared);
    expect(metricTotal(rig.log, MIGRATION_METRICS.parityMismatches.name)).toBe(0);
  });

  it('of the monitoring window is its one breach', () => {
    expect(metricTotal(rig.log, MIGRATION_METRICS.monitorBreaches.name)).toBe(1);
    expect(metricValues(rig.log, MIGRATION_METRICS.monitorBreaches.name)).toContain(0);
  });

  it('of flips is how long each held writers, by the function that flipped', async () => {
    const { rows } = await rig.legacy.pool.query(
      `select phase as service, array_agg((detail ->> 'writersHeldMs')::float8) as held
         from migration.event where action = 'flip-held' group by phase`,
    );
    const declared = FLIP_HELD.map(({ service }) => service);
    for (const { service, held } of rows) {
      expect(declared).toContain(service);
      const measured = metricValues(rig.log, 'FlipHeld', { service });
      expect(measured.toSorted()).toEqual(held.toSorted());
    }
    expect(rows.length).toBeGreaterThanOrEqual(4);
    expect(metricValues(rig.log, 'FlipHeld')).toHaveLength(rows.flatMap(({ held }) => held).length);
  });

  it('of flags put back is by whom', async () => {
    const put = await rig.events('flag-put-back', 'flag-put-back-alarm');
    expect(put.length).toBeGreaterThan(0);
    const total = FLAG_PUT_BACK.flatMap(({ name, service }) =>
      metricValues(rig.log, name, { service }),
    ).reduce((sum, n) => sum + n, 0);
    expect(total).toBe(put.length);
  });
});
