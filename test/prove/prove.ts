import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { VARIANT_NAMES, VARIANTS, type VariantName } from './broken.ts';
import { check } from './check.ts';
import { FunctionsProcess } from './functions-process.ts';
import { readHistory } from './history.ts';
import type { Processes } from './prove-system.ts';
import { runSeed, type SeedResult } from './run-seed.ts';
import { ownServer, type ProveServer } from './server.ts';
import type { Violation } from './violation.ts';

const HELP = `npm run prove -- [options]

Runs the whole system under faults drawn from a seed, and checks that nothing was lost.

  --seed N         begin with this seed (1)
  --seeds A..B     these seeds
  --minutes N      seed after seed for so long
  --short          without the second migration
  --broken [NAME]  each known-bad variant, or one, until it is caught
  --check FILE     check a kept history again
  --directory D    keep the histories here (.prove)
`;
/** A variant must be caught within so many seeds. */
const MOST_SEEDS = 20;
/** How long a broken system may take; one that comes nowhere is not waited for. */
const BROKEN_PATIENCE_MS = 25_000;
/** Violations that are told; the history has them all. */
const MOST_TOLD = 8;

interface Asked {
  readonly seeds: readonly number[];
  readonly minutes: number | undefined;
  readonly length: 'full' | 'short';
  readonly broken: readonly VariantName[] | undefined;
  readonly directory: string;
  readonly check: string | undefined;
}

class BadOption extends Error {
  override readonly name = 'BadOption';
}

const numberIn = (name: string, text: string): number => {
  const number = Number(text);
  if (!Number.isFinite(number) || number < 0)
    throw new BadOption(`--${name} ${text}: give a number`);
  return number;
};

const variantsNamed = (names: readonly string[]): readonly VariantName[] => {
  const unknown = names.find((name) => !VARIANT_NAMES.some((one) => one === name));
  if (unknown !== undefined)
    throw new BadOption(`--broken ${unknown}: there are ${VARIANT_NAMES.join(', ')}`);
  const named = names.flatMap((name) => VARIANT_NAMES.filter((one) => one === name));
  return named.length === 0 ? VARIANT_NAMES : named;
};

/** @throws {BadOption} saying which, and what to give instead. */
const readOptions = (args: readonly string[]): Asked | 'help' => {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      seed: { type: 'string' },
      seeds: { type: 'string' },
      minutes: { type: 'string' },
      short: { type: 'boolean', default: false },
      broken: { type: 'boolean', default: false },
      check: { type: 'string' },
      directory: { type: 'string', default: '.prove' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return 'help';
  const first = numberIn('seed', values.seed ?? '1');
  const range = values.seeds === undefined ? undefined : /^(\d+)\.\.(\d+)$/.exec(values.seeds);
  if (range === null) throw new BadOption(`--seeds ${values.seeds}: give a range such as 1..200`);
  const [from, to] = range === undefined ? [first, first] : [Number(range[1]), Number(range[2])];
  return {
    seeds: Array.from({ length: Math.max(0, to - from + 1) }, (_, n) => from + n),
    minutes: values.minutes === undefined ? undefined : numberIn('minutes', values.minutes),
    length: values.short ? 'short' : 'full',
    broken: values.broken ? variantsNamed(positionals) : undefined,
    directory: values.directory,
    check: values.check,
  };
};

const say = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

const tellViolations = (violations: readonly Violation[]): void => {
  for (const { rule, detail } of violations.slice(0, MOST_TOLD)) say(`    ${rule}: ${detail}`);
  if (violations.length > MOST_TOLD) say(`    and ${violations.length - MOST_TOLD} more`);
};

const tell = ({
  seed,
  violations,
  operations,
  acknowledged,
  unknown,
  scene,
  faults,
  seconds,
}: SeedResult) => {
  say(
    `seed ${seed}: ${violations.length === 0 ? 'holds' : 'VIOLATED'} in ${seconds} s: ${operations} operations, ${acknowledged} acknowledged, ${unknown} unknown; scene: ${scene.name}${scene.played ? '' : ' (not to its end)'}; faults: ${faults.join(', ') || 'none'}`,
  );
  tellViolations(violations);
};

interface Rig {
  readonly server: ProveServer;
  readonly processes: Processes;
  /** That somebody has pressed Ctrl-C. */
  readonly interruption: AbortSignal;
}

/**
 * A run that came to no end: it proves nothing, and the next one can go on.
 *
 * @throws when it was interrupted: then there is no next one.
 */
const stoppedShort = ({ interruption }: Rig, seed: number, error: unknown): undefined => {
  interruption.throwIfAborted();
  say(`seed ${seed}: came to no end: ${error instanceof Error ? error.stack : String(error)}`);
};

/** What did not hold is kept, and told with how to see it again. */
const runOne = async (
  rig: Rig,
  { directory, length }: Asked,
  seed: number,
): Promise<SeedResult | undefined> => {
  const result = await runSeed({ seed, ...rig, directory, length }).catch((error: unknown) =>
    stoppedShort(rig, seed, error),
  );
  if (result === undefined || result.violations.length > 0) return result;
  await rm(result.historyFile, { force: true });
  await rm(result.historyFile.replace(/jsonl$/, 'functions.log'), { force: true });
  return result;
};

const prove = async (rig: Rig, asked: Asked): Promise<boolean> => {
  const until = asked.minutes === undefined ? undefined : Date.now() + asked.minutes * 60_000;
  let [runs, failed] = [0, 0];
  const [first = 1] = asked.seeds;
  for (let seed = first; ; seed += 1) {
    if (until === undefined ? runs >= asked.seeds.length : Date.now() >= until) break;
    const result = await runOne(rig, asked, seed);
    runs += 1;
    if (result !== undefined) tell(result);
    if (result?.violations.length === 0) continue;
    failed += 1;
    say(`  again: npm run prove -- --seed ${seed}${asked.length === 'short' ? ' --short' : ''}`);
    if (result !== undefined) say(`  history: ${result.historyFile} (--check reads it)`);
  }
  say(`${runs} seeds, ${failed} violated`);
  return failed === 0 && runs > 0;
};

/** Runs seeds until one shows what is wrong with a variant. */
const isCaught = async (rig: Rig, asked: Asked, variant: VariantName): Promise<boolean> => {
  const broken = [rig.processes.phases, rig.processes.service];
  for (const one of broken) one.break(variant);
  try {
    const [first = 1] = asked.seeds;
    for (let seed = first; seed < first + MOST_SEEDS; seed += 1) {
      const patienceMs = BROKEN_PATIENCE_MS;
      const result = await runSeed({ seed, ...rig, ...asked, patienceMs }).catch((error: unknown) =>
        stoppedShort(rig, seed, error),
      );
      // That it never came anywhere may be the machine's fault.
      const rules = new Set(result?.violations.map(({ rule }) => rule));
      rules.delete('never came');
      if (result === undefined || rules.size === 0) continue;
      say(`${variant}: caught by seed ${seed} (${result.seconds} s): ${[...rules].join(', ')}`);
      return true;
    }
    const applied = broken.reduce((sum, { rewritten }) => sum + rewritten, 0);
    say(`${variant}: NOT CAUGHT by ${MOST_SEEDS} seeds; it changed ${applied} statements`);
    return false;
  } finally {
    for (const one of broken) one.break(undefined);
  }
};

const proveBroken = async (rig: Rig, asked: Asked, names: readonly VariantName[]) => {
  const missed: VariantName[] = [];
  for (const name of names) {
    say(`${name}: ${VARIANTS[name].meaning}`);
    if (!(await isCaught(rig, { ...asked, directory: join(asked.directory, 'broken') }, name)))
      missed.push(name);
  }
  say(`${names.length - missed.length} of ${names.length} variants caught`);
  return missed.length === 0;
};

const checkAgain = (file: string): boolean => {
  if (!existsSync(file)) throw new BadOption(`--check ${file}: there is no such file`);
  const { entries, evidence } = readHistory(file);
  if (evidence === undefined)
    throw new BadOption(
      `--check ${file}: that run did not come to its end, so nothing can be checked`,
    );
  const violations = check(entries, evidence);
  tellViolations(violations);
  say(`${violations.length} violations`);
  return violations.length === 0;
};

const main = async (): Promise<boolean> => {
  const asked = readOptions(process.argv.slice(2));
  if (asked === 'help') {
    say(HELP);
    return true;
  }
  if (asked.check !== undefined) return checkAgain(asked.check);
  const server = await ownServer();
  const [phases, service] = [await FunctionsProcess.open(), await FunctionsProcess.open()];
  const interrupt = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => interrupt.abort());
  const interruption = interrupt.signal;
  const interrupted = once(interruption, 'abort').then(() => false);
  try {
    const rig = { server, processes: { phases, service }, interruption };
    const working =
      asked.broken === undefined ? prove(rig, asked) : proveBroken(rig, asked, asked.broken);
    // What an interruption leaves fails against closed connections: nobody waits for it then.
    working.catch(() => undefined);
    return await Promise.race([working, interrupted]);
  } finally {
    await Promise.all([phases.close(), service.close()]);
    await server.close();
  }
};

try {
  process.exit((await main()) ? 0 : 1);
} catch (error) {
  if (!(error instanceof BadOption) && !(error instanceof TypeError && 'code' in error))
    throw error;
  process.stderr.write(`${error.message}\n`);
  process.exit(2);
}
