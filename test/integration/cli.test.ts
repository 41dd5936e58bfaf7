import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { asDocumented, documentedCommands } from '../support/documented-commands.ts';
import { type JobsSystem, jobsSystem } from '../support/jobs-system.ts';
import { type KitsCli, kitsCliOf, kitsProcess } from '../support/kits-cli.ts';
import { eventually, legacyContent, stageOf } from '../support/system.ts';

let rig: JobsSystem;
let cli: KitsCli;
/** Commands that ended as they should, as a document would show them. */
const executed = new Set<string>();
/** All that was ever said. */
const said: string[] = [];
const kits: KitsCli['kits'] = async (...args) => {
  const told = await cli.kits(...args);
  said.push(told.output, told.remarks);
  // The doctor's 1 is an answer, too.
  if (told.code === 0 || args[0] === 'doctor')
    for (const command of asDocumented(args)) executed.add(command);
  return told;
};
beforeAll(async () => {
  rig = await jobsSystem(60);
  cli = await kitsCliOf(rig.system, 'test');
  // What nobody may ever read in what the command line says.
  await rig.legacy.pool.query(`update kit set kit_number = 'MARKER-' || id, notes = 'MARKER'`);
  await rig.legacy.pool.query(
    `update practitioner_kits set kit_number = 'MARKER-' || id, patient_name = 'MARKER', patient_email = 'MARKER@example.com'`,
  );
});
afterAll(async () => {
  await cli?.close();
  await rig?.close();
});

interface Status {
  readonly standing: { readonly stage: string; readonly batch: { readonly id: string } | null };
  readonly checklist: readonly { readonly state: string }[];
  readonly flags: Readonly<Record<string, string>>;
}
const status = async () => (await kits('status', '--json')).json<Status>();
const batchId = async () => (await status()).standing.batch?.id ?? '';

/** The commands of a whole migration, one after the other. */
describe('a migration by the command line alone', () => {
  let before: string[];
  let reportId: string;
  let batch: string;

  it('refuses what has nothing to rest on, and says what to do first', async () => {
    before = await legacyContent(rig);
    const [cutover, report, rollback, view] = await Promise.all([
      kits('cutover'),
      kits('report'),
      kits('rollback', '00000000-0000-4000-8000-000000000000'),
      kits('status'),
    ]);
    expect([cutover.code, report.code, rollback.code, view.code]).toEqual([3, 2, 3, 0]);
    expect(cutover.remarks).toMatch(/^Refused: .* kits analyse, then kits approve/);
    expect(report.remarks).toMatch(/^InvalidInput: there is no report yet: analyse first/);
    expect(rollback.remarks).toMatch(/^Refused: no batch has begun/);
    expect(view.output).toMatch(/\[ \] 1 Schema and flags/);
  });

  it('analyse shows the report, and waits for its end', async () => {
    const { code, output } = await kits('analyse');
    expect(code).toBe(0);
    expect(output).toMatch(/^GO: 60 \+ 60 rows/);
    expect(output).toMatch(/^digest [0-9a-f]{64}\nnot approved yet\nnext: .*kits approve/m);
    reportId = /kits approve (\S+)/.exec(output)?.[1] ?? '';
  });

  it('report shows it again; cutover refuses it while nobody has signed it off', async () => {
    const [text, json, cutover] = await Promise.all([
      kits('report', reportId),
      kits('report', '--json'),
      kits('cutover'),
    ]);
    expect([cutover.code, cutover.remarks]).toEqual([
      3,
      expect.stringContaining(`kits approve ${reportId}`),
    ]);
    expect(text.output).toContain(reportId);
    expect(json.json()).toMatchObject({
      id: reportId,
      approvedAt: null,
      analysis: { verdict: 'GO' },
    });
  });

  it('approve wants the id, or the digest that was read', async () => {
    const [unasked, other, wrong] = await Promise.all([
      kits('approve', reportId),
      kits('approve', reportId, '--yes', 'yes'),
      kits('approve', reportId, '--digest', 'abc'),
    ]);
    expect([unasked.code, other.code, wrong.code]).toEqual([4, 4, 3]);
    expect(unasked.remarks).toMatch(/^GO: 60[\s\S]*Approves this report as "operator"/);
    const { code, output } = await kits('approve', reportId, '--yes', reportId);
    expect([code, output]).toEqual([
      0,
      expect.stringMatching(/^approved: [0-9a-f]{64}\nnext: kits cutover/),
    ]);
  });

  it('cutover says what it will do, and does nothing unless the report is named', async () => {
    const { code, remarks } = await kits('cutover');
    expect(code).toBe(4);
    expect(remarks).toContain(
      `Cuts over on report ${reportId}, as "operator", in the local system`,
    );
    expect(remarks).toContain(`say --yes ${reportId}`);
    expect(await stageOf(rig)).toBe('legacy');
  });

  it('cutover goes as far as it is told, and shows where it is meanwhile', async () => {
    const { code, output, remarks } = await kits(
      ...['cutover', reportId, '--until', 'mirrored', '--yes', reportId, '--wait'],
    );
    expect(remarks).toMatch(/^started: arn:aws:states:/m);
    expect(remarks).toMatch(/ (legacy|copying|mirrored) {2}cutover: /);
    expect([code, output]).toEqual([0, 'done: cutover\n']);
    expect(await stageOf(rig)).toBe('mirrored');
    batch = await batchId();
  });

  it('status ticks off what is done', async () => {
    const { output } = await kits('status');
    for (const line of output.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
    expect(output).toMatch(/^Stage {4}mirrored, since /m);
    expect(output).toContain(batch);
    expect(output).toMatch(/\[x\] 5 Validate\n {2}\[>\] 6 Unified reads: no cutover is running/);
    expect(output).toMatch(/^Backlog {2}empty$/m);
    expect(output).toMatch(/^Jobs {5}0 wait, 0 in flight; workers \w+, 0 at work$/m);
    expect(output).not.toContain('\u001b[');
  });

  it('status --watch writes plain lines for a log until it is interrupted', async () => {
    const { code, output, remarks } = await kitsProcess([...cli.place, 'status', '--watch'], {
      interruptAt: 'nothing is running',
    });
    expect([code, output]).toEqual([0, '']);
    expect(remarks).toMatch(/^\d\d:\d\d:\d\d {2}mirrored {2}nothing is running\n$/);
    executed.add('npx kits status --watch');
  });

  it('flags are shown, set and effective; one that would be put back is refused', async () => {
    const [shown, illegal, unknown, unasked] = await Promise.all([
      kits('flags', 'get'),
      kits('flags', 'set', 'unified-writes=true'),
      kits('flags', 'set', 'unified-rites=true'),
      kits('flags', 'set', 'unified-reads=true'),
    ]);
    expect(shown.output).toMatch(/^unified-reads +false$/m);
    expect(illegal.remarks).toMatch(/^Refused: it would be put back: unified-writes is true while/);
    expect(unknown.remarks).toMatch(/^UsageError: .*the flags are unified-reads, /);
    expect(unasked.remarks).toMatch(/unified-reads: false -> true[\s\S]*--yes/);
    expect([illegal.code, unknown.code, unasked.code]).toEqual([3, 2, 4]);
    const [pace, reads] = await Promise.all([
      kits('flags', 'set', 'shadow-reads=10', 'copy-rows-per-second=2000'),
      kits('flags', 'set', 'unified-reads=true', '--yes', batch, '--json'),
    ]);
    expect(pace.output).toMatch(
      /shadow-reads: 0 -> 10\ncopy-rows-per-second: unlimited -> 2000\neffective/,
    );
    expect(reads.json()).toMatchObject({ stage: 'mirrored', flags: { 'unified-reads': 'true' } });
  });

  it('flags switch the writes: the stage follows before the command ends', async () => {
    await kits('flags', 'set', 'copy-rows-per-second=0');
    await kits('flags', 'set', 'copy-rows-per-second=unlimited');
    const { code, output } = await kits(
      ...['flags', 'set', 'unified-writes=true', 'dual-write=true', '--yes', batch],
    );
    expect([code, output]).toEqual([0, expect.stringContaining('effective: stage "dual-write"')]);
    expect(await stageOf(rig)).toBe('dual-write');
  });

  it('cutover goes on with the batch that is active, when the batch is named', async () => {
    const wrong = await kits('cutover', '--yes', reportId);
    expect([wrong.code, wrong.remarks]).toEqual([4, expect.stringContaining(batch)]);
    const { code, json } = await kits(
      ...['cutover', '--until', 'unified', '--monitor-seconds', '1', '--monitor-checks', '1'],
      ...['--yes', batch, '--wait', '--json'],
    );
    expect(code).toBe(0);
    expect(json()).toMatchObject({ executionArn: expect.any(String), output: {} });
    const { standing, checklist } = await status();
    expect(standing.stage).toBe('unified');
    expect(checklist.map(({ state }) => state)).toEqual([...Array(8).fill('done'), 'now']);
  });

  it('report writes the whole run as one page', async () => {
    const file = join(cli.dataDirectory, 'run.html');
    const { code, output } = await kits('report', batch, '--html', file);
    expect([code, output]).toEqual([0, `report of run ${batch} (served) in ${file}\n`]);
    expect(await readFile(file, 'utf8')).toMatch(/^<!doctype html>/i);
  });

  it('rollback takes the batch, and leads all the way back', async () => {
    const other = await kits('rollback', reportId);
    expect([other.code, other.remarks]).toEqual([3, expect.stringContaining(batch)]);
    const unasked = await kits('rollback', batch);
    expect([unasked.code, unasked.remarks]).toEqual([
      4,
      expect.stringMatching(
        /^Rolls batch .* back from stage "unified"[\s\S]*every row is compared/,
      ),
    ]);
    const { code, remarks } = await kits('rollback', batch, '--yes', batch, '--wait');
    expect(remarks).toMatch(/rollback: /);
    expect(code).toBe(0);
    expect(await legacyContent(rig)).toEqual(before);
  });

  it('batches and events tell what was done, by whom', async () => {
    const [dead, batches, events, json] = await Promise.all([
      kits('jobs', 'dlq'),
      kits('batches'),
      kits('events', '--limit', '1000'),
      kits('events', '--batch', batch, '--limit', '2', '--json'),
    ]);
    expect(dead.output).toBe('no dead letters\n');
    expect(batches.output).toMatch(
      new RegExp(`^${batch} +full +rolled-back .* 120 +operator$`, 'm'),
    );
    expect(events.output).toMatch(/report-approved +operator +digest=/);
    expect(events.output).toMatch(/flip-held .*from=copying/);
    expect(json.json<{ events: object[] }>().events).toMatchObject([
      { batchId: batch },
      { batchId: batch },
    ]);
  });
});

describe('the workers', () => {
  it('are paused and let go on', async () => {
    const paused = await kits('pause');
    expect([paused.code, paused.output]).toEqual([
      0,
      expect.stringMatching(/^paused: the mapping is Disabled, nothing is in flight, 0 jobs wait/),
    ]);
    const doctor = await kits('doctor', '--json');
    expect(doctor.json<{ findings: object[] }>().findings).toContainEqual(
      expect.objectContaining({ check: 'workers', level: 'warning' }),
    );
    const resumed = await kits('resume', '--json');
    expect(resumed.json()).toMatchObject({
      configured: true,
      mapping: expect.stringMatching(/^Enabl/),
    });
    await eventually(
      () => rig.queues({ action: 'state' }),
      ({ workers }) => (workers as { mapping: string }).mapping === 'Enabled',
    );
  });
});

describe('the doctor', () => {
  it('names each fault with its fix, and says by its exit code that there is one', async () => {
    await rig.legacy.pool.query('create rule kit_rule as on delete to kit do also nothing');
    const { code, output } = await kits('doctor');
    expect(code).toBe(1);
    expect(output).toMatch(
      /^FAULT {4}legacy tables: rewrite rules.*kit_rule\n {9}fix: Replace the rules/m,
    );
    expect(output).toMatch(/^ok {7}workflows: none is running$/m);
    await rig.legacy.pool.query('drop rule kit_rule on kit');
  });
});

describe('a NO-GO', () => {
  it('ends the analysis with the report and an exit code of its own', async () => {
    await rig.legacy.pool.query(
      `insert into kit (kit_number, user_id, status) select kit_number, user_id, status from kit order by id limit 1`,
    );
    const { code, output } = await kits('analyse');
    expect(code).toBe(3);
    expect(output).toMatch(/^NO-GO[\s\S]*DUPLICATE_IN_KIT[\s\S]*next: correct what it names/);
    const id = /report ([0-9a-f-]{36})/.exec(output)?.[1] ?? '';
    const approved = await kits('approve', id, '--yes', id, '--json');
    expect(approved.code).toBe(3);
    expect(approved.json()).toMatchObject({
      error: { name: 'NoGo', next: 'see RUNBOOK.md#nogo' },
    });
  });
});

describe('the way to the system', () => {
  it('is npx, from anywhere in the checkout', async () => {
    const { stdout } = await promisify(execFile)('npx', ['kits', '--help'], {
      cwd: fileURLToPath(new URL('../../infra', import.meta.url)),
    });
    expect(stdout).toMatch(/^Usage: kits /);
  });

  it('names where it has looked when there is none', async () => {
    const { code, remarks } = await kitsProcess(['--data-dir', '/nowhere', 'status']);
    expect(code).toBe(5);
    expect(remarks).toMatch(
      /^NoSystem: no local system is up \(looked in \/nowhere\).*npm start -- serve/,
    );
  });

  it('takes AWS for another environment, by the outputs of its stack', async () => {
    const { code, remarks } = await kitsProcess(
      ['--data-dir', cli.dataDirectory, '--environment', 'prod', 'status'],
      {
        environment: {
          AWS_ENDPOINT_URL: 'http://127.0.0.1:9',
          AWS_REGION: 'eu-central-1',
          AWS_ACCESS_KEY_ID: 'a',
          AWS_SECRET_ACCESS_KEY: 'b',
        },
      },
    );
    expect(code).toBe(5);
    expect(remarks).toMatch(/^NoSystem: stack unified-kits-prod-migration cannot be read/);
  });

  it('refuses --local and --aws together, and --aws of no environment', async () => {
    const [both, unnamed, local] = await Promise.all([
      kitsProcess(['--local', '--aws', 'status']),
      kitsProcess(['--aws', 'status']),
      kits('--local', '--environment', 'prod', 'status'),
    ]);
    expect([both.code, unnamed.code, local.code]).toEqual([2, 2, 5]);
    expect(local.remarks).toMatch(/the local system that is up is "test", not "prod"/);
  });
});

it('names nobody, and shows no number of a kit, whatever it is asked', async () => {
  expect(said.join('').length).toBeGreaterThan(5_000);
  expect(said.join('')).not.toContain('MARKER');
  expect(await readFile(join(cli.dataDirectory, 'run.html'), 'utf8')).not.toContain('MARKER');
  expect(JSON.stringify(rig.log)).not.toContain('MARKER');
});

describe('README and RUNBOOK', () => {
  /** What is not typed above, and why. */
  const ELSEWHERE: readonly (readonly [RegExp, string])[] = [
    [/^npx kits jobs redrive --reason unknown-kit$/, 'cli-jobs.test.ts'],
    [/^npm start\b|^npm ci && npm start$|^KITS_MAPPING=.* npm start$/, 'e2e/start, clinic'],
    [/^npm ci( && npm test)?$/, 'would install, or test, this checkout while it is tested'],
    [/^npm run (bench|prove)\b/, 'takes minutes'],
    [/^npm run (synth|mutate|test:emulator)\b/, '.ci/run, or needs a machine of its own'],
    [/^(npx cdk|aws) /, 'needs an AWS account'],
  ];

  it('tell nobody to type what no test has typed', () => {
    const untried = documentedCommands('README.md', 'RUNBOOK.md').filter(
      (command) => !executed.has(command) && !ELSEWHERE.some(([pattern]) => pattern.test(command)),
    );
    expect(untried).toEqual([]);
  });
});
