import { beginBatch, copyLane, flip, planCopy } from '@unified-kits/data';
import { startLocalAws } from '../../infra/local/aws/start.ts';
import { CONTENDERS } from './contenders.ts';
import { percentile } from './load.ts';
import {
  type Client,
  inProcess,
  type Latencies,
  measureBesideCopy,
  measureSideBySide,
  OPERATIONS,
  overHttp,
  ratioAt,
} from './measure-api.ts';
import { measureConsumer, measureResolution, measureResume } from './measure-jobs.ts';
import { median } from './measures.ts';
import type { AddLine } from './report-line.ts';
import { reset } from './reset.ts';
import {
  type Prepared,
  type SampledKit,
  type ServiceRig,
  sampleKits,
  serviceRig,
  toStage,
} from './service-rig.ts';

/** The stages in which clients are served from `kits`, or written to both. */
const STAGES = ['mirrored', 'dual-write', 'unified', 'closed'] as const;

/** Two databases with the same rows: one stays on the legacy tables, the other is copied. */
export interface Twins {
  readonly legacy: Prepared;
  readonly migrated: Prepared;
}

export interface ServiceBenchOptions {
  readonly rounds: number;
  readonly add: AddLine;
  readonly say: (text: string) => void;
}

const withRigs = async (
  { legacy, migrated }: Twins,
  work: (rigs: { legacy: ServiceRig; migrated: ServiceRig }) => Promise<void>,
): Promise<void> => {
  const aws = await startLocalAws();
  const rigs = {
    legacy: await serviceRig(aws, 'bench-legacy', legacy),
    migrated: await serviceRig(aws, 'bench-migrated', migrated),
  };
  try {
    await work(rigs);
  } finally {
    await rigs.legacy.close();
    await rigs.migrated.close();
    await aws.stop();
  }
};

const copied = async ({ db, binding }: Prepared): Promise<void> => {
  await reset(db, binding);
  await CONTENDERS[0]?.run(db, binding, undefined);
};

const BACKLOG = 10_000;
/** Kits whose results can still come, so that every job is applied. */
const OPEN = `status in ('created', 'registered', 'collected', 'received', 'processing')`;

/** Resolution, the consumer and the backlog after a pause. */
export const benchJobs = (twins: Twins, { rounds, add, say }: ServiceBenchOptions): Promise<void> =>
  withRigs(twins, async ({ legacy, migrated }) => {
    await copied(migrated);
    await toStage(migrated, 'unified');
    const perRound = 1_000;
    const kits = await sampleKits(migrated, BACKLOG + 4 * rounds * perRound, OPEN);
    const sample = kits.slice(0, 500);
    for (const [where, rig] of [
      ['the legacy tables', legacy],
      ['kits', migrated],
    ] as const)
      add({
        what: `jobs found in ${where}, one query a batch of ten against one a message`,
        value: median(await measureResolution(rig, sample, rounds)),
        unit: '×',
        aim: ['>=', 4],
      });
    let from = BACKLOG;
    const next = () => {
      from += perRound;
      return kits.slice(from - perRound, from);
    };
    const rates = new Map<string, number[]>();
    for (let round = 0; round < rounds; round += 1)
      for (const [name, rig] of [
        ['legacy', legacy],
        ['unified', migrated],
      ] as const)
        for (const invocations of [1, 5]) {
          const rate = await measureConsumer(rig, next(), invocations);
          const key = `jobs applied in stage ${name}, ${invocations} ${invocations === 1 ? 'invocation' : 'invocations'} at a time`;
          say(`round ${round + 1}: ${key}: ${Math.round(rate)}/s`);
          rates.set(key, [...(rates.get(key) ?? []), rate]);
        }
    for (const [what, values] of rates) add({ what, value: median(values), unit: 'jobs/s' });
    add({
      what: `from resume to an empty queue, ${BACKLOG.toLocaleString('en')} jobs`,
      value: await measureResume(legacy, kits.slice(0, BACKLOG)),
      unit: 's',
    });
  });

const PER_OPERATION = 400;

const addLatencies = (add: AddLine, what: string, latencies: Latencies): void => {
  for (const [name, share] of [
    ['p50', 0.5],
    ['p99', 0.99],
  ] as const)
    add({
      what: `${what}, ${name} (${percentile(latencies.theirs, share).toFixed(2)} ms on legacy)`,
      value: ratioAt(latencies, share),
      unit: '×',
      aim: ['<=', 1.1],
    });
};

const benchClients = async (
  ours: Client,
  theirs: Client,
  kits: readonly SampledKit[],
  { rounds, add }: ServiceBenchOptions,
  where: string,
): Promise<void> => {
  for (const operation of OPERATIONS) {
    const all: Latencies = { ours: [], theirs: [] };
    await measureSideBySide(ours, theirs, operation, kits.slice(0, 50));
    for (let round = 0; round < rounds; round += 1) {
      const found = await measureSideBySide(ours, theirs, operation, kits);
      all.ours.push(...found.ours);
      all.theirs.push(...found.theirs);
    }
    addLatencies(add, `API ${operation} ${where}`, all);
  }
};

/** Rows per second while clients are measured beside the copy. */
const THROTTLE = 10_000;

const benchBesideCopy = async (
  rig: ServiceRig,
  kits: readonly SampledKit[],
  { rounds, add }: ServiceBenchOptions,
): Promise<void> => {
  const { db, binding, flags } = rig;
  await flags.write({ unifiedWrites: false, unifiedReads: false, dualWrite: false });
  await reset(db, binding);
  const { id } = await db.transaction({ asEngine: true }, (session) =>
    beginBatch(session, binding, { kind: 'full', reportId: null, actor: 'bench', phase: 'bench' }),
  );
  await flip(db, binding, { to: 'copying', batchId: id, phase: 'bench', actor: 'bench' });
  await planCopy(db, binding, id, 'bench');
  let [ceiling, stopped, finished] = [0, false, false];
  const lane = copyLane(db, binding, {
    batchId: id,
    get deadline() {
      return stopped ? 0 : Number.POSITIVE_INFINITY;
    },
    rowsPerSecond: async () => ceiling,
    unwell: async () => undefined,
  }).then(({ done }) => {
    finished = done;
  });
  const pause = async (paused: boolean) => {
    ceiling = paused ? 0 : THROTTLE;
    // As long as a pause of the lane, and as a chunk that is under way.
    await new Promise((resolve) => setTimeout(resolve, 600));
  };
  const found = await measureBesideCopy(inProcess(rig), kits, 2 * rounds, pause);
  if (finished) throw new Error('the copy ended too early: give it more rows');
  stopped = true;
  await lane;
  for (const [name, share] of [
    ['p50', 0.5],
    ['p99', 0.99],
  ] as const)
    add({
      what: `API beside a copy of ${THROTTLE.toLocaleString('en')} rows/s against a paused one, ${name}`,
      value: ratioAt(found, share),
      unit: '×',
      ...(share === 0.99 ? { aim: ['<=', 1.5] as const } : {}),
    });
};

/** Latencies of the API in each stage against those of a database that stays on the legacy tables. */
export const benchApi = (twins: Twins, options: ServiceBenchOptions): Promise<void> =>
  withRigs(twins, async ({ legacy, migrated }) => {
    await copied(migrated);
    await toStage(migrated, 'mirrored');
    const kits = await sampleKits(migrated, PER_OPERATION);
    for (const stage of STAGES) {
      await toStage(migrated, stage);
      await benchClients(
        inProcess(migrated),
        inProcess(legacy),
        kits,
        options,
        `in stage ${stage}`,
      );
      if (stage !== 'unified') continue;
      const [ours, theirs] = [await overHttp(migrated), await overHttp(legacy)];
      try {
        await benchClients(ours.client, theirs.client, kits, options, 'in stage unified over HTTP');
      } finally {
        await ours.gateway.stop();
        await theirs.gateway.stop();
      }
    }
    await benchBesideCopy(legacy, kits, options);
  });
