import {
  type Analysis,
  type AnalysisOutcome,
  analyse,
  approveReport,
  assertApproved,
  type Binding,
  readReport,
  storeReport,
} from '@unified-kits/data';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { analysed, bound } from '../support/analysis.ts';
import { type LegacyDatabase, legacyDatabase } from '../support/legacy.ts';

const actor = 'operator';
/** Marks that stand for personal data; none may leave the table. */
const MARKS = ['MARKNUMBER', 'MARKNAME', 'MARKMAIL', 'MARKSTATUS', 'MARKNOTE'];

/** One database with every blocker that rows can have. */
const MESS = `
drop index kit_number_idx; -- It would refuse a number that is too long.
insert into practitioners values (md5('p1')::uuid, null), (md5('p2')::uuid, md5('nobody')::uuid),
  (md5('p3')::uuid, md5('user0')::uuid);
alter table kit alter status drop not null, alter collected_at type date;
insert into kit (id, kit_number, user_id, status, notes, collected_at, created_at) values
  (901, 'MARKNUMBER-1', md5('user1')::uuid, 'created', 'MARKNOTE', null, now()),
  (902, 'MARKNUMBER-1', md5('user1')::uuid, 'MARKSTATUS', 'MARKNOTE', null, now()),
  (903, 'MARKNUMBER-2', null, 'created', null, null, now()),
  (904, 'marknumber-2 ', md5('nobody')::uuid, null, null, '300000-01-01', null),
  (905, ' ', md5('user1')::uuid, 'created', null, null, now()),
  (906, (select 'MARKNUMBER-3' || string_agg(md5(n::text), '') from generate_series(1, 100) n), md5('user1')::uuid, 'created', null, null, now());
insert into practitioner_kits (kit_number, practitioner_id, patient_name, patient_email, updated_at) values
  ('MARKNUMBER-2', md5('practitioner1')::uuid, 'MARKNAME', 'MARKMAIL@example.net', now()),
  ('MARKNUMBER-4', md5('practitioner1')::uuid, 'MARKNAME', 'MARKMAIL@example.net', now()),
  ('MARKNUMBER-4', md5('nobody')::uuid, 'MARKNAME', 'MARKMAIL@example.net', null),
  (null, null, 'MARKNAME', 'MARKMAIL@example.net', now());
create rule keep as on delete to practitioner_kits do instead nothing;
create table practitioner_kits_archive () inherits (practitioner_kits);
alter table practitioner_kits alter id drop default`;

describe('the report of phase 0', () => {
  let legacy: LegacyDatabase;
  let binding: Binding;
  beforeEach(async () => {
    legacy = await legacyDatabase(40);
    binding = await bound(legacy.db, legacy.mapping);
  });
  afterEach(() => legacy.drop());

  const fresh = (): Promise<Analysis> => analysed(legacy.db, legacy.mapping);
  const stored = async () => storeReport(legacy.db, await fresh(), actor);
  const approved = async () => {
    const report = await stored();
    return approveReport(legacy.db, { reportId: report.id, digest: report.digest, actor });
  };

  it('finds every blocker of a database that has them all, and can still be read', async () => {
    await legacy.pool.query(MESS);
    const report = await stored();
    const { analysis } = await readReport(legacy.db, report.id);
    expect(analysis.verdict).toBe('NO-GO');
    const codes = new Set(analysis.findings.map(({ code }) => code));
    expect([...codes].sort()).toEqual(
      [
        'CREATED_AT_CLAMPED',
        'DUPLICATE_ACROSS',
        'DUPLICATE_IN_KIT',
        'DUPLICATE_IN_PRACTITIONER_KITS',
        'KIT_NUMBER_MISSING',
        'KIT_OWNER_MISSING',
        'KIT_OWNER_UNKNOWN',
        'LEGACY_ATTRIBUTES',
        'NEAR_DUPLICATE',
        'NO_ID_GENERATOR',
        'PARTITIONED_OR_INHERITED',
        'PRACTITIONERS_SHARE_USER',
        'PRACTITIONER_USER_UNKNOWN',
        'PRACTITIONER_WITHOUT_USER',
        'REWRITE_RULE',
        'STATUS_MISSING',
        'UNMAPPED_VALUE',
        'UPDATED_AT_MISSING',
        'VALUE_OUT_OF_RANGE',
        'VALUE_TOO_LONG',
      ].sort(),
    );
  });

  it('holds no content of a row, and neither does anything else that phase 0 writes', async () => {
    await legacy.pool.query(MESS);
    const report = await stored();
    const errors: string[] = [];
    await approveReport(legacy.db, { reportId: report.id, digest: report.digest, actor }).catch(
      (error) => errors.push(String(error)),
    );
    expect(errors).toHaveLength(1);
    const { rows } = await legacy.pool.query(
      `select (select string_agg(r::text, ' ') from migration.report r) || (select string_agg(e::text, ' ') from migration.event e) as written`,
    );
    const written: string = rows[0].written + errors.join(' ');
    expect(written).toContain('902');
    for (const mark of MARKS) expect(written.toUpperCase()).not.toContain(mark);
  });

  it('has the same digest as long as mapping, schema and findings are the same', async () => {
    const first = await stored();
    expect((await stored()).digest).toBe(first.digest);
    await legacy.pool.query('update kit set updated_at = null where id = 3');
    expect((await stored()).digest).not.toBe(first.digest);
  });

  it('is approved by the digest that was shown, and records by whom', async () => {
    const report = await approved();
    expect(report).toMatchObject({ approvedBy: actor });
    const { rows } = await legacy.pool.query(
      `select action, actor from migration.event where action like 'report-%' order by id`,
    );
    expect(rows).toEqual([
      { action: 'report-stored', actor },
      { action: 'report-approved', actor },
    ]);
  });

  it('keeps its first approval when another operator approves it again', async () => {
    const report = await approved();
    const again = await approveReport(legacy.db, {
      reportId: report.id,
      digest: report.digest,
      actor: 'another',
    });
    expect(again.approvedBy).toBe(actor);
  });

  it('refuses an approval of another digest, of no report, or by nobody', async () => {
    const { id, digest } = await stored();
    const other = '00000000-0000-4000-8000-000000000000';
    const approve = (given: Partial<Parameters<typeof approveReport>[1]>) =>
      approveReport(legacy.db, { reportId: id, digest, actor, ...given });
    await expect(approve({ digest: digest.replace(/^./, 'x') })).rejects.toMatchObject({
      name: 'ReportNotApproved',
    });
    await expect(approve({ reportId: other })).rejects.toMatchObject({ name: 'ReportNotApproved' });
    await expect(approve({ reportId: 'the last' })).rejects.toMatchObject({ name: 'InvalidInput' });
    await expect(approve({ actor: ' ' })).rejects.toMatchObject({ name: 'InvalidInput' });
    expect((await readReport(legacy.db, id)).approvedAt).toBeNull();
  });

  it('cannot be approved while it is a NO-GO', async () => {
    await legacy.pool.query('update kit set user_id = null where id = 3');
    const { id, digest } = await stored();
    await expect(approveReport(legacy.db, { reportId: id, digest, actor })).rejects.toMatchObject({
      name: 'NoGo',
      message: expect.stringContaining('KIT_OWNER_MISSING'),
    });
  });

  it('lets a cutover begin when it is approved and still true', async () => {
    const report = await approved();
    await legacy.pool.query('update kit set updated_at = null where id = 3');
    expect((await assertApproved(legacy.db, binding, report.id, await fresh())).id).toBe(report.id);
  });

  it('lets no cutover begin before it is approved', async () => {
    const report = await stored();
    await expect(
      assertApproved(legacy.db, binding, report.id, report.analysis),
    ).rejects.toMatchObject({ name: 'ReportNotApproved' });
  });

  it('lets no cutover begin once the schema has changed', async () => {
    const report = await approved();
    await legacy.pool.query('alter table kit add shelf text');
    const changed = await bound(legacy.db, legacy.mapping);
    await expect(
      assertApproved(legacy.db, changed, report.id, await fresh()),
    ).rejects.toMatchObject({
      name: 'ReportNotApproved',
      message: expect.stringContaining('schema'),
    });
  });

  it('lets no cutover begin with another mapping', async () => {
    const report = await approved();
    const mapping = { ...legacy.mapping, name: 'another' };
    await expect(
      assertApproved(
        legacy.db,
        await bound(legacy.db, mapping),
        report.id,
        await analysed(legacy.db, mapping),
      ),
    ).rejects.toMatchObject({
      name: 'ReportNotApproved',
      message: expect.stringContaining('mapping'),
    });
  });

  it('lets no cutover begin once a blocker has appeared, and names it', async () => {
    const report = await approved();
    await legacy.pool.query('update kit set user_id = null where id = 3');
    await expect(
      assertApproved(legacy.db, binding, report.id, await fresh()),
    ).rejects.toMatchObject({
      name: 'NoGo',
      message: expect.stringContaining('KIT_OWNER_MISSING in kit, column "user_id": 1 (3)'),
    });
  });

  it('lets no cutover begin when its body was altered after the approval', async () => {
    const report = await approved();
    await legacy.pool.query(
      `update migration.report set body = jsonb_set(body, '{findings}', '[]')`,
    );
    await expect(
      assertApproved(legacy.db, binding, report.id, await fresh()),
    ).rejects.toMatchObject({ name: 'ReportNotApproved' });
  });
});

describe('an analysis that is interrupted', () => {
  let legacy: LegacyDatabase;
  beforeEach(async () => {
    legacy = await legacyDatabase(40);
  });
  afterEach(() => legacy.drop());
  const rangeRows = { first: 10, least: 10, most: 10 };

  it('does one unit of work a call when its deadline has passed, and goes on where it was', async () => {
    const binding = await bound(legacy.db, legacy.mapping);
    const seen: number[] = [];
    for (let call = 0; call < 4; call += 1) {
      const outcome = await analyse(legacy.db, binding, { deadline: 0, rangeRows });
      expect(outcome.done).toBe(false);
      if (!outcome.done) seen.push(outcome.progress.rows);
    }
    // Ranges follow the planner's histogram, so their sizes are near the one wished for.
    for (const [call, rows] of seen.entries()) {
      const read = rows - (seen[call - 1] ?? 0);
      expect(read).toBeGreaterThan(0);
      expect(read).toBeLessThanOrEqual(12);
    }
    expect((await analysed(legacy.db, legacy.mapping)).sources.kit.rows).toBe(40);
  });

  it('begins anew when the schema has changed in between', async () => {
    const binding = await bound(legacy.db, legacy.mapping);
    await analyse(legacy.db, binding, { deadline: 0, rangeRows });
    await legacy.pool.query('alter table kit add shelf text');
    const outcome = await analyse(legacy.db, await bound(legacy.db, legacy.mapping), {
      deadline: 0,
      rangeRows,
    });
    expect(outcome).toMatchObject({ done: false, progress: { rows: 10 } });
  });

  it('begins anew when it was left alone for longer than an hour', async () => {
    const binding = await bound(legacy.db, legacy.mapping);
    await analyse(legacy.db, binding, { deadline: 0, rangeRows });
    await legacy.pool.query(
      `update migration.analysis set touched_at = now() - interval '61 minutes'`,
    );
    expect(await analyse(legacy.db, binding, { deadline: 0, rangeRows })).toMatchObject({
      progress: { rows: 10 },
    });
  });

  it('counts each row once when two drivers run it at the same time', async () => {
    await legacy.pool.query(`update kit set kit_number = 'same' where id in (3, 30)`);
    const binding = await bound(legacy.db, legacy.mapping);
    const drive = () => analyse(legacy.db, binding, { deadline: 0, rangeRows });
    const outcomes: AnalysisOutcome[] = [];
    for (let round = 0; round < 100 && !outcomes.some(({ done }) => done); round += 1)
      outcomes.push(...(await Promise.all([drive(), drive()])));
    const finished = outcomes.find(({ done }) => done);
    expect(finished).toMatchObject({
      analysis: { sources: { kit: { rows: 40 }, practitioner_kits: { rows: 40 } } },
    });
    expect(
      finished?.done && finished.analysis.findings.find(({ code }) => code === 'DUPLICATE_IN_KIT'),
    ).toMatchObject({ count: 2, keys: ['3', '30'] });
  });
});
