import {
  type Analysis,
  type Binding,
  bindInstalled,
  deleteBatch,
  drain,
  flip,
  installKits,
  proveRolledBack,
  rehearse,
} from '@unified-kits/data';
import type { Stage } from '@unified-kits/domain';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { analysed } from '../support/analysis.ts';
import { type ClinicDatabase, clinicContent, clinicDatabase } from '../support/clinic.ts';
import { ClinicWriter, type Model, modelOf } from '../support/clinic-writer.ts';
import { begin, copyAll, parity } from '../support/migration.ts';

const far = () => Date.now() + 60_000;

/** The clinic's triggers with the way they are switched. */
const triggers = async (clinic: ClinicDatabase) =>
  (
    await clinic.pool.query(
      `select tgrelid::regclass::text as relation, tgname as name, tgenabled::text as enabled from pg_trigger
        where not tgisinternal and tgrelid in ('app.kit'::regclass, 'app.practitioner_kits'::regclass) and tgname not like 'uk\\_%' order by 1, 2`,
    )
  ).rows;

describe("another organisation's database, by a mapping file alone", () => {
  let clinic: ClinicDatabase;
  let model: Model;
  let binding: Binding;
  let batchId: string;
  let writers: ClinicWriter[];
  let triggersBefore: unknown;
  let analysis: Analysis;

  const flipTo = (to: Stage) =>
    flip(clinic.db, binding, { to, phase: 'test', actor: 'test', attempts: 60 });
  const paused = async <T>(work: () => Promise<T>): Promise<T> => {
    for (const writer of writers) await writer.stop();
    const result = await work();
    for (const writer of writers) writer.start();
    return result;
  };
  const moreWrites = () => Promise.all(writers.map((writer) => writer.writes(30)));
  const settle = async () => {
    // A mirror that lost a lock leaves its key to the drain; then the comparison is exact.
    for (let round = 0; round < 5; round += 1) {
      await drain(clinic.db, binding, far());
      if ((await parity(clinic.db, binding)).mismatched === 0) return;
    }
    throw new Error('parity is not exact after five rounds');
  };
  const legacyEqualsModel = async () =>
    expect(await clinicContent(clinic)).toEqual(await clinicContent(model.database));
  /** The clinic's lab writes results of a kit, in either store's time, by the legacy id. */
  const addResult = async (legacyKitId: string) => {
    const { rows } = await clinic.pool.query(
      `insert into app.kit_result ("kitId", analyte, value, "measuredAt") values ($1, 'TSH', 0.1, now()) returning id, "measuredAt"::text as at`,
      [legacyKitId],
    );
    await model.query(
      `insert into app.kit_result (id, "kitId", analyte, value, "measuredAt") values ($1, $2, 'TSH', 0.1, $3)`,
      [rows[0].id, legacyKitId, rows[0].at],
    );
  };
  const bornInKits = async (number: string): Promise<string> => {
    const app = await clinic.client();
    await app.query(`set timezone = 'UTC'; set role kits_app`);
    const { rows } = await app.query(
      `insert into app.kits (kit_number, owner_type, user_id, status, kit_type)
       select $1, 'client', id, 'created', 'LAB' from app."user" order by id limit 1 returning legacy_id as id, user_id, created_at::text as at`,
      [number],
    );
    await app.end();
    await model.query(
      `insert into app.kit (id, "kitNumber", "userId", "productCode", "createdAt", "updatedAt") values ($1, $2, $3, 'LAB', $4, $4)`,
      [rows[0].id, number, rows[0].user_id, rows[0].at],
    );
    return rows[0].id;
  };

  beforeAll(async () => {
    clinic = await clinicDatabase();
    model = await modelOf(await clinicDatabase());
    analysis = await analysed(clinic.db, clinic.mapping);
    await installKits(clinic.db, clinic.mapping, 'test');
    binding = await clinic.db.transaction({}, (session) => bindInstalled(session, clinic.mapping));
    await clinic.pool.query(
      `grant select, insert, update, delete on app.kit, app.practitioner_kits, app.kit_result to kits_app;
       grant select on app."user", app.practitioner to kits_app; grant usage on all sequences in schema app to kits_app`,
    );
    triggersBefore = await triggers(clinic);
    writers = await Promise.all(
      [0, 1, 2].map((index) => ClinicWriter.open(clinic, model, index, 3)),
    );
  });
  afterAll(async () => {
    await Promise.allSettled(writers.map((writer) => writer.stop()));
    await clinic.drop();
    await model.database.drop();
  });

  it('is fit to migrate, and the analysis says what the unified stage waits for', () => {
    expect(analysis).toMatchObject({
      verdict: 'GO',
      sources: { kit: { rows: 4200 }, practitioner_kits: { rows: 2600 } },
    });
    expect(analysis.findings.map(({ code, source, keys }) => [code, source, keys])).toEqual([
      ['REFERENCED_BY', 'kit', ['app.kit_result (kit_result_kitId_fkey)']],
      [
        'REFERENCED_BY',
        'practitioner_kits',
        ['app.kit_result (kit_result_practitionerKitId_fkey)'],
      ],
      ['OWN_TRIGGER', 'kit', ['kit_touch']],
      ['OWN_TRIGGER', 'practitioner_kits', ['practitioner_kits_touch']],
      ['LEGACY_ATTRIBUTES', 'kit', expect.arrayContaining(['priceCharged', 'tags', 'notes'])],
      ['LEGACY_ATTRIBUTES', 'practitioner_kits', expect.arrayContaining(['consentSignature'])],
    ]);
  });

  it('rehearses on the clinic and leaves its rows as they are', async () => {
    expect(
      await rehearse(clinic.db, binding, { rows: 100, actor: 'test', reportId: null }),
    ).toMatchObject({ rows: 200, changedByOthers: 0 });
    await legacyEqualsModel();
  });

  it('copies and catches up while the application writes', async () => {
    for (const writer of writers) writer.start();
    batchId = await begin(clinic.db, binding);
    await copyAll(clinic.db, binding, batchId);
    await moreWrites();
    await drain(clinic.db, binding, far());
    await flipTo('mirrored');
    await moreWrites();
    await settle();
    await paused(legacyEqualsModel);
  });

  it('keeps the legacy tables exact in dual-write, also for kits born there', async () => {
    await settle();
    await flipTo('dual-write');
    await addResult(await bornInKits('BORN-IN-DUAL-WRITE'));
    await moreWrites();
    await paused(async () => {
      await drain(clinic.db, binding, far());
      await legacyEqualsModel();
    });
    expect(writers.every(({ acknowledgedOn }) => acknowledgedOn.kits > 0)).toBe(true);
    expect(await triggers(clinic)).toEqual([
      { relation: 'app.kit', name: 'kit_touch', enabled: 'D' },
      { relation: 'app.practitioner_kits', name: 'practitioner_kits_touch', enabled: 'D' },
    ]);
  });

  it('refuses unified while kit_result points at the legacy tables, and names it', async () => {
    await settle();
    await expect(flipTo('unified')).rejects.toMatchObject({
      name: 'FlipRefused',
      message: expect.stringMatching(/app\.kit_result \(.*kit_result_kitId_fkey/),
    });
  });

  it('goes on in unified once kit_result has been re-pointed at kits', async () => {
    await paused(() =>
      clinic.pool.query(
        `alter table app.kit_result drop constraint "kit_result_kitId_fkey", drop constraint "kit_result_practitionerKitId_fkey", add column "kitsId" uuid references app.kits (id);
         update app.kit_result r set "kitsId" = m.kits_id from app.kit_id_map m
          where m.source = case when r."kitId" is null then 'practitioner_kits' else 'kit' end and m.legacy_id = coalesce(r."kitId"::text, r."practitionerKitId"::text)`,
      ),
    );
    await flipTo('unified');
    const before = writers.map(({ acknowledgedOn }) => acknowledgedOn.kits);
    await moreWrites();
    const id = await bornInKits('BORN-IN-UNIFIED');
    await addResult(id);
    await clinic.pool.query(
      `update app.kit_result set "kitsId" = (select kits_id from app.kit_id_map where source = 'kit' and legacy_id = $1) where "kitId"::text = $1`,
      [id],
    );
    expect((await clinic.pool.query('select from app.kit where id = $1', [id])).rowCount).toBe(0);
    await drain(clinic.db, binding, far());
    for (const writer of writers) await writer.stop();
    expect(writers.every(({ acknowledgedOn }, at) => acknowledgedOn.kits > (before[at] ?? 0))).toBe(
      true,
    );
    for (const writer of writers) writer.start();
  });

  it('rolls back to the original plus every acknowledged change, byte for byte', async () => {
    await drain(clinic.db, binding, far());
    await flipTo('dual-write');
    await flipTo('mirrored');
    await settle();
    await flipTo('legacy');
    await expect(deleteBatch(clinic.db, binding, batchId, far())).rejects.toMatchObject({
      name: 'RollbackRefused',
      message: expect.stringContaining('app.kit_result'),
    });
    await clinic.pool.query(
      `alter table app.kit_result drop column "kitsId",
         add constraint "kit_result_kitId_fkey" foreign key ("kitId") references app.kit (id),
         add constraint "kit_result_practitionerKitId_fkey" foreign key ("practitionerKitId") references app.practitioner_kits (id)`,
    );
    await moreWrites();
    expect(await deleteBatch(clinic.db, binding, batchId, far())).toMatchObject({ done: true });
    for (const writer of writers) await writer.stop();
    expect(
      await clinic.db.transaction({ asEngine: true }, (session) =>
        proveRolledBack(session, binding, batchId),
      ),
    ).toEqual({
      rowsLeft: 0,
      backlogLeft: 0,
      stage: 'legacy',
      suspendedTriggers: 0,
      triggersOn: 0,
    });
    await legacyEqualsModel();
    expect(await triggers(clinic)).toEqual(triggersBefore);
    expect(writers.reduce((sum, writer) => sum + writer.acknowledged, 0)).toBeGreaterThan(300);
    expect(writers.every(({ refused }) => refused >= 2)).toBe(true);
  });
});
