import {
  DescribeExecutionCommand,
  GetExecutionHistoryCommand,
  paginateListExecutions,
} from '@aws-sdk/client-sfn';
import type { Caller } from '@unified-kits/domain';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { apiClient } from '../support/api.ts';
import { type JobsSystem, jobsSystemOn } from '../support/jobs-system.ts';
import { kitsCliOf } from '../support/kits-cli.ts';
import { type LegacyDatabase, legacyDatabase } from '../support/legacy.ts';
import { statusJob } from '../support/service-functions.ts';
import { approvedReport, cutOver, eventually, rollBack } from '../support/system.ts';

/** In every text that is a person's. */
const MARK = 'XqzMarker';
/** Of every user that is planted. */
const USER_MARK = 'feedface';

const USER = `${USER_MARK}-0000-4000-8000-000000000001`;
const OTHER_USER = `${USER_MARK}-0000-4000-8000-000000000002`;
const PRACTITIONER = '0a0a0a0a-0000-4000-8000-000000000003';
const CLIENT: Caller = { userId: USER };
const PROFESSIONAL: Caller = { userId: OTHER_USER, practitionerId: PRACTITIONER };

/** Every personal column of both tables, in every row. */
const PLANT = `
insert into users values ('${USER}'), ('${OTHER_USER}');
insert into practitioners values ('${PRACTITIONER}', '${OTHER_USER}');
update kit set kit_number = 'K-${MARK}-' || id, user_id = '${USER}', order_id = 'O-${MARK}-' || id, notes = 'note ${MARK} ' || id,
       kit_type = 'type ${MARK}', metadata = jsonb_build_object('${MARK}', '${MARK} ' || id);
update practitioner_kits set kit_number = 'P-${MARK}-' || id, practitioner_id = '${PRACTITIONER}', patient_name = 'Name ${MARK}',
       patient_email = '${MARK}' || id || '@example.net', order_id = 'O-${MARK}-' || id, kit_type = 'type ${MARK}',
       metadata = jsonb_build_object('patient', '${MARK}');
analyze kit; analyze practitioner_kits;
`;

/** What an analysis objects to, each in rows of its own. */
const FAULTS = `
insert into kit (kit_number, user_id, status) values
  ('K-${MARK}-1', '${USER}', 'created'), ('k-${MARK}-2 ', '${USER}', 'created'), (null, '${USER}', 'created'),
  ('N-${MARK}-1', null, 'created'), ('N-${MARK}-2', '${USER_MARK}-ffff-4000-8000-000000000009', 'created'),
  ('N-${MARK}-3', '${USER}', 'status ${MARK}');
insert into practitioner_kits (kit_number, practitioner_id, patient_name, patient_email, status) values
  ('K-${MARK}-3', '${PRACTITIONER}', 'Name ${MARK}', '${MARK}@example.net', 'ordered');
`;

let legacy: LegacyDatabase;
let rig: JobsSystem;
/** What the people saw whose data these are: there the marks must be. */
const answers: string[] = [];

const talk = async (round: string) => {
  const { api } = rig.system;
  if (api === undefined) throw new TypeError('a system with a service has an API');
  const client = apiClient(api, CLIENT);
  const professional = apiClient(api, PROFESSIONAL);
  const number = `K-${MARK}-${round}`;
  const told = [
    await client.get('/kits'),
    await client.post('/kits', { kitNumber: number, notes: MARK, metadata: { [MARK]: MARK } }),
    // Taken, unknown, malformed, not theirs.
    await client.post('/kits', { kitNumber: number, notes: MARK }),
    await client.post('/kits', { kitNumber: `${number}-2`, [MARK]: MARK }),
    await client.post('/kits', `{"kitNumber": "${MARK}`),
    await client.patch('/kits/1', { status: MARK }),
    await client.patch('/kits/1', { notes: `${MARK} ${round}` }),
    await client.get(`/kits/${MARK}`),
    await client.get(`/kits?cursor=${MARK}`),
    await client.get(`/v2/kits?kitNumber=${MARK}`),
    await client.post('/kits', { kitNumber: `${number}-3` }, { 'idempotency-key': MARK }),
    await professional.get(`/practitioners/${PRACTITIONER}/kits`),
    await professional.post(`/practitioners/${PRACTITIONER}/kits`, {
      kitNumber: `P-${MARK}-${round}`,
      patientName: `Name ${MARK}`,
      patientEmail: `${MARK}@example.net`,
    }),
  ];
  answers.push(...told.map(({ text }) => text));
  return told.map(({ status }) => status);
};

const sendJobs = async (round: string) => {
  const kit = `K-${MARK}-5`;
  await rig.send([
    statusJob(`${round}-1`, { kitNumber: kit }),
    statusJob(`${round}-2`, { kitId: 6 }),
    // Garbage of every kind.
    statusJob(`${round}-3`, { kitNumber: `unknown ${MARK}` }),
    statusJob(`${round}-4`, { kitNumber: kit }, `status ${MARK}`),
    { ...statusJob(`${round}-5`, { kitNumber: kit }), type: `kit.${MARK}` },
    { ...statusJob(`${round}-6`, { kitNumber: kit }), version: MARK },
    { ...statusJob(`${round}-7`, { kitNumber: kit }), data: MARK },
    `no job ${MARK}`,
  ]);
  await eventually(
    () => rig.counts('jobs'),
    ({ visible, hidden, delayed }) => visible + hidden + delayed === 0,
  );
};

beforeAll(async () => {
  legacy = await legacyDatabase(12);
  await legacy.pool.query(PLANT);
  rig = await jobsSystemOn(legacy, { jobsVisibilitySeconds: 2 });
});
afterAll(async () => {
  await rig.system.stop({ graceMs: 3_000 });
  await legacy.drop();
});

/** All that the two workflows have recorded of their executions. */
const histories = async (): Promise<string> => {
  const { sfn, stateMachineArns } = rig.system;
  const parts: unknown[] = [];
  for (const stateMachineArn of Object.values(stateMachineArns))
    for await (const { executions = [] } of paginateListExecutions(
      { client: sfn },
      { stateMachineArn },
    ))
      for (const { executionArn } of executions) {
        const { $metadata: _, ...described } = await sfn.send(
          new DescribeExecutionCommand({ executionArn }),
        );
        const { events } = await sfn.send(
          new GetExecutionHistoryCommand({ executionArn, includeExecutionData: true }),
        );
        parts.push(described, events);
      }
  return JSON.stringify(parts);
};

/** The reports of all runs, as data and as pages. */
const reports = async (): Promise<string[]> => {
  const { rows } = await legacy.pool.query(
    `select id from migration.report union all select id from migration.batch where kind = 'full'`,
  );
  const all: string[] = [];
  for (const { id } of rows) {
    const { key } = (await rig.system.invoke('reports', { action: 'write', runId: id })) as {
      key: string;
    };
    all.push(
      JSON.stringify(await rig.system.invoke('reports', { action: 'read', runId: id })),
      (await rig.system.reports.read(key)) ?? '',
    );
  }
  return all;
};

const tracking = async (): Promise<string> => {
  const { rows } = await legacy.pool.query(
    `select t::text as row from migration.event t union all select t::text from migration.report t
     union all select t::text from migration.pending_sync t union all select t::text from migration.parity_mismatch t
     union all select t::text from migration.batch t`,
  );
  return rows.map(({ row }) => row).join('\n');
};

/** Where the marks are, with what stands around them. */
const leaks = (text: string): string[] =>
  [...text.matchAll(new RegExp(`.{0,120}(${MARK}|${USER_MARK}).{0,40}`, 'gi'))].map(
    ([found]) => found,
  );

describe('nothing of a person', () => {
  it('is told by anything that people did: an analysis with blockers, a cutover, a failure, a rollback', async () => {
    // Blockers first, which are corrected then.
    await legacy.pool.query(FAULTS);
    expect(await cutOver(rig, { mode: 'analyse' })).toMatchObject({
      output: { verdict: 'NO-GO' },
    });
    expect(await cutOver(rig, {})).toMatchObject({ status: 'FAILED', error: 'NoGo' });
    await legacy.pool.query(
      `delete from kit where id > 12; delete from practitioner_kits where kit_number = 'K-${MARK}-3'`,
    );
    const reportId = await approvedReport(rig);
    expect(await talk('before')).toEqual(expect.arrayContaining([200, 201, 400, 404, 409]));
    await sendJobs('before');
    expect(await cutOver(rig, { reportId, until: 'mirrored', contractKits: 5 })).toMatchObject({
      status: 'SUCCEEDED',
    });
    // A number that now exists in both tables: the mirror cannot take it, and the cutover stops.
    await legacy.pool.query(
      `insert into practitioner_kits (kit_number, practitioner_id, patient_name, status) values ('K-${MARK}-7', '${PRACTITIONER}', '${MARK}', 'ordered')`,
    );
    expect(await cutOver(rig, { contractKits: 5 })).toMatchObject({ status: 'FAILED' });
    await legacy.pool.query(`delete from practitioner_kits where kit_number = 'K-${MARK}-7'`);
    expect(await cutOver(rig, { until: 'unified', contractKits: 5 })).toMatchObject({
      status: 'SUCCEEDED',
    });
    await talk('after');
    await sendJobs('after');
    expect(await rollBack(rig)).toMatchObject({ status: 'SUCCEEDED' });
    await talk('back');
    // It was there to be told.
    expect(leaks(answers.join('\n')).length).toBeGreaterThan(50);
  });

  it('is in a log line or a metric', () => {
    const log = rig.log.map((line) => JSON.stringify(line)).join('\n');
    for (const known of ['phase2-migration', 'phase4-api', 'phase5-jobs', '_aws', 'unknown-kit'])
      expect(log, known).toContain(known);
    expect(leaks(log)).toEqual([]);
  });

  it('is in what the workflows record of their executions', async () => {
    const text = await histories();
    expect(text).toContain('DUPLICATE_IN_KIT');
    expect(text).toContain('Rolled back');
    expect(leaks(text)).toEqual([]);
  });

  it('is in a report, as data or as a page', async () => {
    const all = await reports();
    expect(all.join('\n')).toContain('DUPLICATE_ACROSS');
    expect(all.join('\n')).toContain('Proof of the rollback');
    for (const text of all) expect(leaks(text)).toEqual([]);
  });

  it('is in what the command line answers', async () => {
    const cli = await kitsCliOf(rig.system, 'test');
    try {
      const commands = [
        ['report'],
        ['report', '--json'],
        ['status'],
        ['batches'],
        ['events'],
        ['events', '--json'],
        ['jobs', 'dlq'],
        ['flags', 'get'],
        ['doctor'],
      ];
      for (const command of commands) {
        const { output, remarks } = await cli.kits(...command);
        expect(output, command.join(' ')).not.toBe('');
        expect(leaks(`${output}\n${remarks}`), command.join(' ')).toEqual([]);
      }
    } finally {
      await cli.close();
    }
  });

  it('is in what the migration remembers of itself', async () => {
    const text = await tracking();
    expect(text).toContain('rollback-proved');
    expect(leaks(text)).toEqual([]);
  });

  it('is in the reasons that go with dead letters', async () => {
    const dead = await rig.receive('dead');
    expect(dead.length).toBeGreaterThan(6);
    for (const { MessageAttributes } of dead)
      expect(leaks(JSON.stringify(MessageAttributes ?? {}))).toEqual([]);
  });
});
