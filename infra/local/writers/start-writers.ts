import type { Binding } from '@unified-kits/data';
import { SOURCES, type Source } from '@unified-kits/domain';
import type { Gateway } from '../http/gateway.ts';
import { type Abilities, findAbilities } from './abilities.ts';
import { apiClient } from './api-client.ts';
import type { OwnKit } from './api-kit.ts';
import { foldLedger } from './fold-ledger.ts';
import { type Ledger, type LedgerEntry, openLedger, readLedger } from './ledger.ts';
import type { PlannedKit, WritersPlan } from './plan.ts';
import { seededRandom } from './random.ts';
import { WriterSession } from './session.ts';
import { runWriter } from './writer.ts';

/** What the writers of this process have seen, for whoever watches. */
export interface WriterCounters {
  requests: number;
  /** Requests that were answered otherwise than they were to be, or not at all. */
  errors: number;
  acknowledged: number;
  /** Reads of what was written before, and how many did not show it. */
  checks: number;
  stale: number;
}

export const newCounters = (): WriterCounters => ({
  requests: 0,
  errors: 0,
  acknowledged: 0,
  checks: 0,
  stale: 0,
});

export interface RunningWriters {
  /** What the API lets owners do, by source; undefined where there is no kit to try with. */
  readonly abilities: Readonly<Record<Source, Abilities | undefined>>;
  /** The first fault of a writer, or undefined: a writer that ended early proves nothing. */
  readonly fault: () => unknown;
  /** Lets the requests in flight end, and waits for them; again is harmless. */
  stop(): Promise<void>;
}

export interface StartWritersOptions {
  /** Where the ledger is. */
  readonly directory: string;
  readonly api: Gateway;
  readonly binding: Binding;
  /** Operations per second of each writer. */
  readonly rate: number;
  readonly seed: number;
  readonly counters: WriterCounters;
}

const counted = (ledger: Ledger, counters: WriterCounters): Ledger => ({
  append(line) {
    ledger.append(line);
    if (line.kind === 'exchange') {
      counters.requests += 1;
      if (line.error) counters.errors += 1;
    } else if (line.kind === 'check') {
      counters.checks += 1;
      if (line.stale) counters.stale += 1;
    } else if (line.kind === 'outcome' && line.result === 'ok') counters.acknowledged += 1;
  },
  close: () => ledger.close(),
});

const unseen = ({ source, key, ...caller }: PlannedKit, content: OwnKit['content']): OwnKit => ({
  source,
  key,
  caller,
  kitsId: undefined,
  content,
  seen: new Map(),
});

/** The kits dealt to a writer and those it made, with what it knows of them; not those of which it is unsure. */
const ownKits = (dealt: readonly PlannedKit[], entries: readonly LedgerEntry[]): OwnKit[] => {
  const callers = new Map(entries.map(({ intent }) => [intent.content.kitNumber, intent.caller]));
  const kits = new Map(dealt.map((kit) => [`${kit.source}:${kit.key}`, unseen(kit, {})]));
  for (const [name, { source, key, number, possible }] of foldLedger(entries)) {
    const [known, doubt] = possible;
    const caller = kits.get(name)?.caller ?? callers.get(number);
    kits.delete(name);
    if (key !== undefined && known != null && doubt === undefined && caller !== undefined)
      kits.set(name, unseen({ source, key, ...caller }, known));
  }
  return [...kits.values()];
};

/**
 * Starts the writers of a plan, each with a ledger file and kits of its own: what earlier processes were not
 * answered to is repeated, then it is found out what the API lets owners do, then they begin.
 */
export const startWriters = async (
  plan: WritersPlan,
  { directory, api, binding, rate, seed, counters }: StartWritersOptions,
): Promise<RunningWriters> => {
  const { mapping } = binding;
  const { entries } = await readLedger(directory);
  const ledgers = plan.kits.map((_kits, writer) =>
    counted(openLedger(directory, writer), counters),
  );
  const sessions = ledgers.map((ledger, writer) => {
    const own = entries.filter((entry) => entry.writer === writer);
    return new WriterSession({
      writer,
      tag: plan.tag,
      mapping,
      client: apiClient(api, ledger.append),
      ledger,
      firstNumber: own.reduce((most, { intent }) => Math.max(most, intent.n), 0) + 1,
    });
  });
  for (const { writer, intent, outcome } of entries)
    if (outcome === undefined) await sessions[writer]?.repeat(intent);

  const known = await readLedger(directory);
  const kits = plan.kits.map((dealt, writer) =>
    ownKits(
      dealt,
      known.entries.filter((entry) => entry.writer === writer),
    ),
  );
  const abilities: Record<Source, Abilities | undefined> = {
    kit: undefined,
    practitioner_kits: undefined,
  };
  const [session] = sessions;
  for (const source of SOURCES) {
    const kit = kits[0]?.find((one) => one.source === source);
    if (session !== undefined && kit !== undefined)
      abilities[source] = await findAbilities(session, binding, kit);
  }

  const controller = new AbortController();
  let fault: unknown;
  const loops = sessions.map((one, writer) =>
    runWriter({
      session: one,
      kits: kits[writer] ?? [],
      abilities,
      random: seededRandom(seed * 1_000 + writer * 7 + known.entries.length),
      rate,
      signal: controller.signal,
    }).catch((error: unknown) => {
      fault ??= error;
    }),
  );
  let stopping: Promise<void> | undefined;
  return {
    abilities,
    fault: () => fault,
    stop() {
      stopping ??= (async () => {
        controller.abort();
        await Promise.all(loops);
        for (const ledger of ledgers) ledger.close();
      })();
      return stopping;
    },
  };
};
