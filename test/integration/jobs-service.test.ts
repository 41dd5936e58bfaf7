import { type JobsService, jobsService } from '@unified-kits/data';
import { type Job, JobRejected, parseJob, type Resolution } from '@unified-kits/domain';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { serviceOn, type TestService } from '../support/kits-service.ts';
import { installed, type LegacyDatabase, legacyDatabase } from '../support/legacy.ts';
import { migrateTo } from '../support/migration.ts';

let jobNumber = 0;
const job = (references: Record<string, unknown>, more: Record<string, unknown> = {}): Job => {
  jobNumber += 1;
  return parseJob(
    JSON.stringify({
      jobId: `job-${jobNumber}`,
      type: 'kit.status-changed',
      version: 1,
      occurredAt: '2026-06-01T10:00:00.123456+02:00',
      data: { status: 'received' },
      ...references,
      ...more,
    }),
    Date.parse('2026-06-02'),
  );
};

describe.each(['legacy', 'copying', 'mirrored', 'dual-write', 'unified', 'closed'] as const)(
  'jobs in stage %s',
  (stage) => {
    let legacy: LegacyDatabase;
    let rig: TestService;
    let jobs: JobsService;
    let kitsIds: Map<string, string>;
    beforeAll(async () => {
      legacy = await legacyDatabase(60);
      await legacy.pool.query(`
        update kit set created_at = null where id = 7;
        update kit set created_at = '1969-01-01' where id = 8;
        update kit set created_at = 'infinity' where id = 9;
        update kit set created_at = '1970-01-01 00:00:00.0004+00' where id = 10;
        update kit set created_at = timestamptz '2026-01-01 00:00:00+00' + id * interval '0.001 s' where id between 20 and 40`);
      rig = await serviceOn(legacy);
      const binding = await installed(legacy);
      if (stage !== 'legacy') await migrateTo(legacy.db, binding, stage);
      jobs = jobsService({
        db: rig.db,
        mapping: legacy.mapping,
        flags: rig.flags,
        observer: { redirected: () => {}, staleReadAvoided: () => {} },
      });
      kitsIds = new Map();
      const all = await Promise.all(
        Array.from({ length: 50 }, (_, n) =>
          legacy.pool.query(`select md5('user' || $1)::uuid::text as id`, [n]),
        ),
      );
      for (const { rows } of all)
        for (const kit of await rig.service.list(
          { ownerType: 'client', id: rows[0].id },
          { after: undefined, limit: 100 },
        ))
          kitsIds.set(kit.legacyId, kit.kitsId);
    });
    afterAll(async () => {
      await rig.close();
      await legacy.drop();
    });

    it('find the same kit by any of the three references, with one query', async () => {
      const references = [...kitsIds].flatMap(([kitId, kitsId]) => [
        { key: kitId, path: 'kitsId', given: { kitsId } },
        { key: kitId, path: 'legacyId', given: { kitId: Number(kitId) } },
        { key: kitId, path: 'legacyId', given: { kitId } },
        { key: kitId, path: 'kitNumber', given: { kitNumber: `K${kitId}` } },
      ]);
      const resolved = await jobs.resolve(references.map(({ given }) => job(given)));
      expect(
        resolved.map((one) =>
          one instanceof JobRejected ? one.reason : [one.key.legacyId, one.path, one.conflicting],
        ),
      ).toEqual(references.map(({ key, path }) => [key, path, false]));
    });

    it('that name two kits go to the first, and are called conflicting; nonsense is rejected by itself', async () => {
      const resolved = await jobs.resolve([
        job({ kitId: 1, kitNumber: 'K2' }),
        job({ kitId: '1e3' }),
        job({ kitId: 99999999999 }),
        job({ practitionerKitId: 'no uuid' }),
        job({ kitNumber: 'nobody has it' }),
        job({ kitsId: '00000000-0000-8000-a000-000000000000', kitNumber: 'P3' }),
      ]);
      expect(
        resolved.map((one) =>
          one instanceof JobRejected ? one.reason : [one.key.source, one.conflicting],
        ),
      ).toEqual([
        ['kit', true],
        'unknown-kit',
        'unknown-kit',
        'unknown-kit',
        'unknown-kit',
        ['practitioner_kits', true],
      ]);
    });

    it('are applied once, and never set a status back', async () => {
      // K1 is registered.
      const one = job({ kitNumber: 'K1' });
      const [found] = (await jobs.resolve([one])) as Resolution[];
      if (found === undefined) throw new TypeError('found');
      expect(await Promise.all([jobs.apply(one, found), jobs.apply(one, found)])).toEqual(
        expect.arrayContaining(['applied', 'duplicate']),
      );
      const late = job({ kitId: 1 }, { data: { status: 'collected' } });
      expect(await jobs.apply(late, found)).toBe('stale');
      expect(await jobs.apply(late, found)).toBe('duplicate');
      const older = job(
        { kitId: 1 },
        { data: { status: 'rejected' }, occurredAt: '2026-06-01T07:59:59Z' },
      );
      expect(await jobs.apply(older, found)).toBe('stale');
      const ready = job({ kitId: 1 }, { type: 'kit.results-ready', data: {} });
      expect(await jobs.apply(ready, found)).toBe('applied');
      const owner = (await legacy.pool.query(`select md5('user' || 1)::uuid::text as id`)).rows[0]
        .id;
      const kit = await rig.service.find({ userId: owner }, { source: 'kit', legacyId: '1' });
      expect(kit.fields).toMatchObject({
        status: 'completed',
        receivedAt: '2026-06-01T08:00:00.123456Z',
        resultedAt: '2026-06-01T08:00:00.123456Z',
      });
      const { rows } = await legacy.pool.query(
        `select body ->> 'type' as type, body ->> 'status' as status from kits_service.kit_event where body ->> 'legacyId' = '1' order by number`,
      );
      expect(rows).toEqual([
        { type: 'kit.status-changed', status: 'received' },
        { type: 'kit.status-changed', status: 'completed' },
      ]);
    });

    it("are understood in the words of the kit's own table", async () => {
      const sampled = job({ kitNumber: 'P1' }, { data: { status: 'reported' } });
      const [found] = (await jobs.resolve([sampled])) as Resolution[];
      if (found === undefined) throw new TypeError('found');
      expect(await jobs.apply(sampled, found)).toBe('applied');
      const nonsense = job({ kitNumber: 'P2' }, { data: { status: 'lost' } });
      const [other] = (await jobs.resolve([nonsense])) as Resolution[];
      if (other === undefined) throw new TypeError('found');
      await expect(jobs.apply(nonsense, other)).rejects.toMatchObject({ reason: 'unknown-status' });
    });
  },
);
