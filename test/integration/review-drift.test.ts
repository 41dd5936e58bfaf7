import { afterEach, expect, it } from 'vitest';
import { approvedReport, cutOver, type Rig, rigOf, rollBack, stageOf } from '../support/system.ts';

let rig: Rig;
afterEach(() => rig.close());

it('rolls back from "mirrored" although a column was added to a legacy table meanwhile', async () => {
  rig = await rigOf(50);
  const reportId = await approvedReport(rig);
  expect((await cutOver(rig, { reportId, until: 'mirrored' })).status).toBe('SUCCEEDED');
  await rig.legacy.pool.query(
    `alter table kit add column shelf text; update kit set shelf = 'A' || id`,
  );
  const ended = await rollBack(rig);
  expect(ended.status).toBe('SUCCEEDED');
  expect(await stageOf(rig)).toBe('legacy');
  expect((await rig.legacy.pool.query('select from kits')).rowCount).toBe(0);
  expect((await rig.legacy.pool.query(`select from kit where shelf = 'A' || id`)).rowCount).toBe(
    50,
  );
});
