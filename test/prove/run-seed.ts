import { setTimeout as sleep } from 'node:timers/promises';
import { readUnsent } from '@unified-kits/data';
import { seededRandom } from '../../infra/local/writers/random.ts';
import { QUEUES } from '../../infra/queues.ts';
import { ApiClient } from './api-client.ts';
import { check } from './check.ts';
import { differences } from './check-migration.ts';
import { collectEvidence, compareStores, jobsIn, takeEvents } from './collect-evidence.ts';
import type { Compared, EvidentKit } from './evidence.ts';
import { planFaults } from './faults.ts';
import { History } from './history.ts';
import { JobProducer } from './job-producer.ts';
import { inSnapshot, type KnownKit, readKits } from './kits-known.ts';
import { Nemesis } from './nemesis.ts';
import { Operator, type Until } from './operator.ts';
import { Pace } from './pace.ts';
import { type Processes, type ProveSystem, startProveSystem } from './prove-system.ts';
import { SCENES, type SceneName, sceneOf, startScene } from './scenes.ts';
import { CLIENTS, PRACTITIONERS, type ProveServer, proveDatabase } from './server.ts';
import { SqlClient } from './sql-client.ts';
import type { Violation } from './violation.ts';

export interface SeedOptions {
  readonly seed: number;
  readonly server: ProveServer;
  readonly processes: Processes;
  /** Where the history is kept. */
  readonly directory: string;
  /**
   * `full` ends with a second migration, `short` leaves that out; `brief` tries once each way, whether the
   * cutover comes to its end or not, with clients that take their time.
   */
  readonly length?: 'full' | 'short' | 'brief';
  /** Without faults everything must succeed in so many milliseconds; two minutes by default. */
  readonly patienceMs?: number;
}

export interface SeedResult {
  readonly seed: number;
  readonly violations: readonly Violation[];
  readonly historyFile: string;
  readonly operations: number;
  readonly acknowledged: number;
  readonly unknown: number;
  readonly scene: { readonly name: SceneName; readonly played: boolean };
  readonly faults: readonly string[];
  readonly seconds: number;
}

/** With faults an operator tries for so long, and once at least. */
const WITH_FAULTS_MS = 5_000;
const BRIEF_MS = 2_000;
const PAUSE_MS = { full: 40, short: 40, brief: 120 } as const;
const MOST_WAIT_MS = 20_000;
const WATCH_MS = 120;
/** Looks that say the same, at most. */
const MOST_WRONG = 3;

const ofOwner = (all: readonly EvidentKit[], owner: string): KnownKit[] =>
  all
    .filter(({ rest }) => rest.includes(owner))
    .map(({ number, source, id }) => ({
      number,
      source: source === 'kit' ? 'kit' : 'practitioner_kits',
      id,
      kitsId: undefined,
    }));

const idsOf = async (system: ProveSystem) => {
  const rows = await system.admin.query<{ name: string; id: string }>(
    `select 'user' || n as name, md5('user' || n)::uuid::text as id from generate_series(0, 20) n
     union all select 'practitioner' || n, md5('practitioner' || n)::uuid::text from generate_series(0, ${PRACTITIONERS - 1}) n`,
  );
  const ids = new Map(rows.map(({ name, id }) => [name, id]));
  return (name: string): string => {
    const id = ids.get(name);
    if (id === undefined) throw new TypeError(`nobody is called ${name}`);
    return id;
  };
};

/** Everybody who wants something of the system. */
const startClients = async (
  system: ProveSystem,
  history: History,
  original: readonly EvidentKit[],
  random: () => number,
  pace: Pace,
) => {
  const idOf = await idsOf(system);
  const stopped = new AbortController();
  const own = () => seededRandom(Math.floor(random() * 2 ** 31));
  const owners = [
    ...Array.from({ length: CLIENTS }, (_, n) => ({
      source: 'kit' as const,
      caller: { userId: idOf(`user${n}`) },
      owner: idOf(`user${n}`),
    })),
    ...Array.from({ length: PRACTITIONERS }, (_, n) => ({
      source: 'practitioner_kits' as const,
      caller: { userId: idOf(`user${10 + n}`), practitionerId: idOf(`practitioner${n}`) },
      owner: idOf(`practitioner${n}`),
    })),
  ].filter((_, index) => index % 2 === 0);
  const apiClients = owners.map(
    ({ source, caller, owner }, index) =>
      new ApiClient({
        name: `api${index}`,
        api: system.api,
        history,
        random: own(),
        source,
        caller,
        kits: ofOwner(original, owner),
      }),
  );
  const all = ofOwner(original, '');
  const owned = new Set(
    owners.flatMap(({ owner }) => ofOwner(original, owner).map(({ number }) => number)),
  );
  const sqlClients = [0, 1, 2].map(
    (n) =>
      new SqlClient({
        name: `sql${n}`,
        url: system.serviceUrl,
        history,
        random: own(),
        kits: all.filter(({ number }, index) => index % 3 === n && owned.has(number)),
        deletable: all.filter(({ number }, index) => index % 3 === n && !owned.has(number)),
      }),
  );
  const producer = new JobProducer({
    name: 'jobs',
    sqs: system.sqs,
    queueUrl: system.queues.queueUrl(QUEUES.jobs.name),
    history,
    random: own(),
    kits: all,
  });
  const running = [...apiClients, ...sqlClients, producer].map((client) =>
    client.run(stopped.signal, pace),
  );
  const fault = Promise.all(running);
  fault.catch(() => undefined);
  return {
    async stop() {
      stopped.abort();
      await fault;
    },
  };
};

/**
 * Looks at both stores again and again: what is not in step must be noted, in every snapshot.
 *
 * @returns the looks in which something was wrong, once it is stopped.
 */
const watchStores = (system: ProveSystem) => {
  const stopped = new AbortController();
  const wrong: Compared[] = [];
  const watching = (async () => {
    while (!stopped.signal.aborted && wrong.length < MOST_WRONG) {
      // Between two lives of the server there is nothing to see.
      const compared = await compareStores(system, false).catch(() => undefined);
      if (compared !== undefined && differences(compared).length > 0) wrong.push(compared);
      await sleep(WATCH_MS);
    }
  })();
  return {
    async stop(): Promise<readonly Compared[]> {
      stopped.abort();
      await watching;
      return wrong;
    },
  };
};

/** Until the jobs have been handled and the events handed on, or it takes too long. */
const quiet = async (system: ProveSystem): Promise<string[]> => {
  const until = Date.now() + MOST_WAIT_MS;
  const emitted: string[] = [];
  for (;;) {
    emitted.push(...(await takeEvents(system)));
    // Those that were put back while workers were paused come again after half a minute.
    const { now } = await jobsIn(system, QUEUES.jobs.name);
    const unsent = await system.admin.transaction({}, (session) => readUnsent(session, 1));
    if ((now.length === 0 && unsent.length === 0) || Date.now() > until) return emitted;
    await sleep(100);
  }
};

const UNTILS: readonly Until[] = [
  'mirrored',
  'dual-write',
  'unified',
  'unified',
  'closed',
  'closed',
];

const atLeast = (until: Until, least: Until | undefined): Until =>
  least !== undefined && UNTILS.indexOf(until) < UNTILS.indexOf(least) ? least : until;

const neverCame = (detail: string): Violation => ({ rule: 'never came', detail });

/**
 * One run: clients, practitioners, jobs and plain SQL go on while an operator migrates and comes back, while
 * faults come as the seed has drawn them, and while a scene is played. Then no faults, all the way back, and everything is checked.
 */
export const runSeed = async (options: SeedOptions): Promise<SeedResult> => {
  const { seed, server, processes, directory, length = 'full', patienceMs = 120_000 } = options;
  const began = performance.now();
  const random = seededRandom(seed);
  const historyFile = `${directory}/seed-${seed}.jsonl`;
  const history = new History(historyFile);
  const violations: Violation[] = [];
  const database = await proveDatabase(server);
  const system = await startProveSystem(
    database.url,
    processes,
    `${directory}/seed-${seed}.functions.log`,
  );
  const name = sceneOf(seed);
  const faults = planFaults(random, {
    count: 5 + Math.floor(random() * 9),
    // A machine that is busy would be at its beginning still, time and again.
    withinMs: length === 'brief' ? undefined : 8_000,
    impossible: [
      ...(server.crash === undefined ? (['crash postgres'] as const) : []),
      ...(server.fillDisk === undefined ? (['disk full'] as const) : []),
      ...(SCENES[name].without ?? []),
    ],
  });
  history.note('run', { seed, faults });
  const original = await inSnapshot(system.admin, (session) => readKits(session, 'legacy'));
  const operator = new Operator(system, history, patienceMs);
  const compared: Compared[] = [];
  let played = false;
  try {
    await operator.analyse();
    const pace = new Pace(PAUSE_MS[length]);
    const clients = await startClients(system, history, original, random, pace);
    const nemesis = new Nemesis(system, operator, history, server);
    const drawn = UNTILS[Math.floor(random() * UNTILS.length)] ?? 'closed';
    const until = atLeast(drawn, SCENES[name].until);
    const dualWrite = random() < 0.6;
    const healed = async () => {
      await nemesis.heal();
      await operator.abort();
      await operator.over();
    };
    const withFaultsMs = length === 'brief' ? BRIEF_MS : WITH_FAULTS_MS;
    const scene = await startScene(system, history, pace, name);
    nemesis.start(faults);
    const watch = watchStores(system);
    try {
      const forward = await operator.goForward(until, dualWrite, withFaultsMs);
      await healed();
      // Where faults have kept it from getting anywhere it does now; what clients do meanwhile counts, too.
      if (
        !forward &&
        length !== 'brief' &&
        !(await operator.goForward(until, dualWrite, patienceMs))
      )
        violations.push(neverCame(`no cutover led to "${until}"`));
      nemesis.goOn();
      const back = await operator.goBack(withFaultsMs);
      history.note('with faults', { forward, back });
    } finally {
      await healed();
    }
    if (!(await operator.goBack(patienceMs))) violations.push(neverCame('no rollback led back'));
    played = await scene.stop();
    await clients.stop();
    compared.push(...(await watch.stop()));
    await operator.over();
    const emitted = await quiet(system);
    if (length === 'full') {
      const again = await operator.goForward('mirrored', dualWrite, patienceMs);
      if (!again) violations.push(neverCame('no second migration'));
      else {
        // What a mirror could not do at once is done by who looks after the flags.
        await system.invoke('flag-changed', { source: 'aws.scheduler' });
        const settled = await compareStores(system, true);
        if (settled === undefined) violations.push(neverCame('the second migration did not stay'));
        else compared.push(settled);
      }
      if (!(await operator.goBack(patienceMs))) violations.push(neverCame('no second rollback'));
      await operator.over();
    }
    const evidence = await collectEvidence(system, { original, emitted, compared });
    history.keep(evidence);
    violations.push(...check(history.entries, evidence));
  } catch (error) {
    history.note('the run itself failed', {
      error: error instanceof Error ? error.stack : String(error),
    });
    throw error;
  } finally {
    await system.close();
    await database.drop();
  }
  for (const violation of violations) history.note('violation', violation);
  const outcomes = history.entries.flatMap((entry) =>
    entry.kind === 'return' ? entry.outcome : [],
  );
  return {
    seed,
    violations,
    historyFile,
    operations: outcomes.length,
    acknowledged: outcomes.filter((one) => one === 'ok').length,
    unknown: outcomes.filter((one) => one === 'unknown').length,
    scene: { name, played },
    faults: history.entries.flatMap((entry) =>
      entry.kind === 'note' && entry.what.startsWith('fault: ') ? entry.what.slice(7) : [],
    ),
    seconds: Math.round((performance.now() - began) / 100) / 10,
  };
};
