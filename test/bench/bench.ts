import { bindInstalled, installKits, openDatabase } from '@unified-kits/data';
import { referenceMapping } from '@unified-kits/domain';
import { Command } from 'commander';
import pg from 'pg';
import { startPostgres } from '../../infra/local/postgres/start.ts';
import { benchApi, benchJobs } from './bench-service.ts';
import { buildIndexes, CONTENDERS, OURS } from './contenders.ts';
import { percentile } from './load.ts';
import { measureAnalysis } from './measure-analysis.ts';
import { measureMemory } from './measure-memory.ts';
import {
  measureDrain,
  measureFlips,
  measureParity,
  measureRollback,
  measureTrigger,
  median,
  seconds,
  toMirrored,
} from './measures.ts';
import { type AddLine, formatLine, type Line, meets } from './report-line.ts';
import { reset } from './reset.ts';
import { seedBench } from './seed.ts';

const PARTS = ['analysis', 'copy', 'engine', 'jobs', 'api'] as const;

const options = new Command()
  .description(
    'Measures the migration beside its rivals, interleaved in one run and on the same data.',
  )
  .option('--rows <n>', 'rows in both sources together', Number, 1_000_000)
  .option('--rounds <n>', 'rounds of each contender', Number, 3)
  .option(
    '--large <n>',
    'rows of the larger run of engine, jobs and API, in one round; 0 leaves it out',
    Number,
    4_000_000,
  )
  .option('--only <part>', `one of ${PARTS.join(', ')}`)
  .option('--json', 'print the table as one JSON object on the last line')
  .parse()
  .opts<{ rows: number; rounds: number; large: number; only?: string; json?: boolean }>();

const lines: Line[] = [];
const say = (text: string) => process.stderr.write(`${text}\n`);
const add: AddLine = (line) => {
  lines.push(line);
  say(formatLine(line));
};
/** Lines of any but the usual number of rows say so. */
const addAt =
  (rows: number): AddLine =>
  (line) =>
    add(
      rows === options.rows
        ? line
        : { ...line, what: `${line.what}, at ${rows.toLocaleString('en')} rows` },
    );
const wanted = (part: (typeof PARTS)[number]) =>
  options.only === undefined || options.only === part;

const server = await startPostgres({
  ephemeral: true,
  settings: { shared_buffers: '4GB', max_wal_size: '8GB' },
});

const prepare = async (name: string, rows: number) => {
  const admin = new pg.Client({ connectionString: server.url });
  await admin.connect();
  await admin.query(`drop database if exists ${name}`);
  await admin.query(`create database ${name}`);
  await admin.end();
  const url = new URL(server.url);
  url.pathname = `/${name}`;
  await seedBench(url.href, rows);
  const db = openDatabase(url.href, 6);
  await installKits(db, referenceMapping, 'bench');
  const binding = await db.transaction({}, (session) => bindInstalled(session, referenceMapping));
  return { url: url.href, db, binding };
};
type Prepared = Awaited<ReturnType<typeof prepare>>;

const benchCopy = async ({ db, binding }: Prepared) => {
  const perSecond = new Map<string, number[]>(CONTENDERS.map(({ name }) => [name, []]));
  const parityShares: number[] = [];
  for (let round = 0; round < options.rounds; round += 1)
    for (const contender of round % 2 === 0 ? CONTENDERS : CONTENDERS.toReversed()) {
      await reset(db, binding);
      if (contender.fullyIndexed === true) await buildIndexes(db, binding);
      let rows = 0;
      const took = await seconds(async () => {
        rows = await contender.run(db, binding, contender.limit);
      });
      perSecond.get(contender.name)?.push(rows / took);
      say(
        `round ${round + 1}: ${contender.name}: ${Math.round(rows / took).toLocaleString('en')} rows/s (${rows.toLocaleString('en')} rows, ${took.toFixed(1)} s)`,
      );
      if (contender !== OURS) continue;
      await toMirrored(db, binding);
      parityShares.push((await measureParity(db, binding)) / took);
    }
  const ours = perSecond.get(OURS.name) ?? [];
  add({ what: 'copy', value: median(ours), unit: 'rows/s' });
  for (const { name } of CONTENDERS.filter((contender) => contender !== OURS)) {
    const rival = perSecond.get(name) ?? [];
    const aim = { a: 1.5, b: 0.85, c: 12, e: 1.5 }[name[0] ?? ''];
    add({
      what: `copy against ${name}`,
      value: median(ours.map((rate, round) => rate / (rival[round] ?? Number.NaN))),
      unit: '×',
      ...(aim === undefined ? {} : { aim: ['>=', aim] as const }),
    });
  }
  add({
    what: 'parity, share of the copy’s time',
    value: median(parityShares),
    unit: '',
    aim: ['<=', 0.15],
  });
};

/** What depends on the number of rows. */
const benchEngine = async (
  { url, db, binding }: Prepared,
  rows: number,
  rounds: number,
): Promise<{ readonly copy: number; readonly memory: number }> => {
  const addSized = addAt(rows);
  const memory = await measureMemory(url);
  addSized({ what: 'memory of the orchestrating process', value: memory / 1_048_576, unit: 'MiB' });
  await reset(db, binding);
  const took = await seconds(() => OURS.run(db, binding, undefined));
  const copy = rows / took;
  await toMirrored(db, binding);
  if (rows !== options.rows)
    addSized({
      what: 'parity, share of the copy’s time',
      value: (await measureParity(db, binding)) / took,
      unit: '',
      aim: ['<=', 0.15],
    });
  const capture = await measureTrigger(url, db, binding, 'capture', rows, rounds);
  addSized({
    what: 'capture, cost to saturating legacy writers',
    value: 1 - median(capture),
    unit: '',
    aim: ['<=', 0.1],
  });
  const mirror = await measureTrigger(url, db, binding, 'mirror', rows, rounds);
  addSized({
    what: 'mirror, cost to saturating legacy writers',
    value: 1 - median(mirror),
    unit: '',
    aim: ['<=', 0.5],
  });
  const held = await measureFlips(url, db, binding, rows, 4);
  addSized({ what: 'writers held at a flip, p50', value: percentile(held, 0.5), unit: 'ms' });
  addSized({
    what: 'writers held at a flip, p99',
    value: percentile(held, 0.99),
    unit: 'ms',
    aim: ['<=', 50],
  });
  const rollback = await measureRollback(db, binding);
  addSized({ what: 'rollback', value: rollback, unit: 'rows/s' });
  addSized({
    what: 'rollback against the copy, in rows/s',
    value: rollback / copy,
    unit: '×',
    aim: ['>=', 1],
  });
  return { copy, memory };
};

const benchDrain = async ({ db, binding }: Prepared) => {
  await reset(db, binding);
  await OURS.run(db, binding, undefined);
  const keys = Math.min(100_000, options.rows / 10);
  const drains = [];
  for (let round = 0; round < options.rounds; round += 1)
    drains.push(await measureDrain(db, binding, keys, options.rows, round));
  add({ what: 'drain', value: median(drains.map(({ drain }) => drain)), unit: 'rows/s' });
  add({
    what: 'drain against plain SQL that updates two columns',
    value: median(drains.map(({ drain, touch }) => drain / touch)),
    unit: '×',
    aim: ['>=', 0.8],
  });
  add({
    what: 'drain against plain SQL that updates all columns from legacy',
    value: median(drains.map(({ drain, plain }) => drain / plain)),
    unit: '×',
    aim: ['>=', 0.8],
  });
};

const benchAnalysis = async (small: Prepared) => {
  const { single, parallel } = await measureAnalysis(small, options.rounds);
  add({
    what: 'analysis against a plain normalising scan, one process each',
    value: single,
    unit: '×',
    aim: ['<=', 6],
  });
  add({
    what: 'analysis against the same scan with parallel workers',
    value: parallel,
    unit: '×',
    aim: ['<=', 6],
  });
};

const withDatabase = async (
  name: string,
  rows: number,
  work: (prepared: Prepared) => Promise<void>,
) => {
  const prepared = await prepare(name, rows);
  try {
    await work(prepared);
  } finally {
    await prepared.db.close();
  }
};

const benchMigration = async (): Promise<void> => {
  let small: Awaited<ReturnType<typeof benchEngine>> | undefined;
  await withDatabase('small', options.rows, async (prepared) => {
    if (wanted('analysis')) await benchAnalysis(prepared);
    if (wanted('copy')) await benchCopy(prepared);
    if (!wanted('engine')) return;
    small = await benchEngine(prepared, options.rows, options.rounds);
    await benchDrain(prepared);
  });
  if (small === undefined || options.large === 0) return;
  const { copy, memory } = small;
  await withDatabase('large', options.large, async (prepared) => {
    const large = await benchEngine(prepared, options.large, 1);
    const sizes = `at ${options.large.toLocaleString('en')} rows against ${options.rows.toLocaleString('en')}`;
    add({ what: `copy ${sizes}`, value: large.copy / copy, unit: '×', aim: ['>=', 0.85] });
    add({ what: `memory ${sizes}`, value: large.memory / memory, unit: '×', aim: ['<=', 1.1] });
  });
};

const benchService = async (rows: number, rounds: number): Promise<void> => {
  const twins = {
    legacy: await prepare('stays', rows),
    migrated: await prepare('moves', rows),
  };
  const measured = { rounds, add: addAt(rows), say };
  try {
    if (wanted('jobs')) await benchJobs(twins, measured);
    if (wanted('api')) await benchApi(twins, measured);
  } finally {
    await twins.legacy.db.close();
    await twins.migrated.db.close();
  }
};

try {
  say(
    `${process.platform} ${process.arch}, Node ${process.versions.node}, ${options.rows.toLocaleString('en')} rows, ${options.rounds} rounds`,
  );
  if (wanted('analysis') || wanted('copy') || wanted('engine')) await benchMigration();
  if (wanted('jobs') || wanted('api')) {
    await benchService(options.rows, options.rounds);
    if (options.large !== 0) await benchService(options.large, 1);
  }
} finally {
  await server.stop();
}

if (options.json === true)
  process.stdout.write(
    `${JSON.stringify({ rows: options.rows, rounds: options.rounds, node: process.versions.node, lines: lines.map((line) => ({ ...line, met: meets(line) })) })}\n`,
  );
