import { setTimeout as sleep } from 'node:timers/promises';
import { readStage } from '@unified-kits/data';
import { type Source, STAGE_DEFINITIONS, type Stage, type Store } from '@unified-kits/domain';
import type { History } from './history.ts';
import type { KnownKit } from './kits-known.ts';
import type { Pace } from './pace.ts';
import type { ProveSystem, SeenCall } from './prove-system.ts';
import { CLIENTS } from './server.ts';
import type { SqlChange } from './sql-changes.ts';
import type { Isolation } from './sql-client.ts';
import { StagedTransaction } from './staged-transaction.ts';

const POLL_MS = 10;
const WAITING = `select from pg_stat_activity where datname = current_database() and application_name = 'unified-kits' and wait_event_type = 'Lock'`;
/** How long something is waited for that may never come. */
const WAIT_MS = 1_000;
/** Practitioners who ask for nothing themselves. */
const SILENT = ['practitioner1', 'practitioner3'];
/** Kits of each source that belong to a scene: some in nearly every piece of the copy. */
export const KITS = 24;

/** What a scene is played with: kits that nobody else writes, and somebody who sees what the system does. */
export class Stagehand {
  readonly system: ProveSystem;
  readonly history: History;
  readonly pace: Pace;
  readonly signal: AbortSignal;
  readonly #kits: KnownKit[] = [];
  #changes = 0;

  constructor(system: ProveSystem, history: History, pace: Pace, signal: AbortSignal) {
    this.system = system;
    this.history = history;
    this.pace = pace;
    this.signal = signal;
  }

  #stamp(): string {
    this.#changes += 1;
    return `scene-${this.#changes}`;
  }

  insert(source: Source, owner: string): SqlChange {
    const kitType = this.#stamp();
    return { do: 'insert', source, number: `Z-${kitType}`, owner, kitType };
  }

  /** A change of one of the scene's kits. */
  set(kit = this.kit()): SqlChange {
    return { do: 'set', kit, kitType: this.#stamp() };
  }

  /** One of the scene's kits, for whoever asked for it alone. */
  kit(): KnownKit {
    const kit = this.#kits.shift();
    if (kit === undefined) throw new TypeError('a scene has used up its kits');
    return kit;
  }

  /** So many of the scene's kits, of either source. */
  kits(count: number): readonly KnownKit[] {
    return Array.from({ length: count }, () => this.kit());
  }

  /** Makes the scene's kits, in the legacy tables. */
  async prepare(): Promise<void> {
    const changes = Array.from({ length: KITS }, (_, n) => [
      this.insert('kit', `user${CLIENTS}`),
      this.insert('practitioner_kits', SILENT[n % SILENT.length] ?? ''),
    ]).flat();
    const transaction = await this.begin('read committed');
    const ids = await transaction.write('legacy', changes);
    if (!(await transaction.commit())) throw new TypeError('a scene has no kits');
    for (const [index, id] of (ids ?? []).entries()) {
      const change = changes[index];
      if (change?.do === 'insert')
        this.#kits.push({ number: change.number, source: change.source, id, kitsId: undefined });
    }
  }

  begin(isolation: Isolation): Promise<StagedTransaction> {
    return StagedTransaction.begin(this.system.directServiceUrl, this.history, 'scene', isolation);
  }

  async stage(): Promise<Stage> {
    return (await this.system.admin.transaction({ readOnly: true }, readStage)).stage;
  }

  /** The store that is authoritative now. */
  async store(): Promise<Store> {
    return STAGE_DEFINITIONS[await this.stage()].writes;
  }

  /** Writes and commits at once. */
  async write(changes: readonly SqlChange[], isolation: Isolation): Promise<void> {
    const transaction = await this.begin(isolation);
    if ((await transaction.write(await this.store(), changes)) !== undefined)
      await transaction.commit();
  }

  /** Resolves when one of the stages is reached. */
  async reached(...stages: readonly Stage[]): Promise<void> {
    while (!stages.includes(await this.stage().catch(() => 'legacy' as const)))
      await sleep(POLL_MS, undefined, { signal: this.signal });
  }

  /** Resolves when the database says so, or has had `withinMs`. */
  async #seen(sql: string, values: readonly unknown[], withinMs: number): Promise<void> {
    for (const until = Date.now() + withinMs; Date.now() < until; ) {
      if ((await this.system.admin.query(sql, values)).length > 0) return;
      await sleep(POLL_MS, undefined, { signal: this.signal });
    }
  }

  /** Resolves when a statement of ours that begins so waits for a row, or has had time to. */
  somebodyWaits(statement = ''): Promise<void> {
    return this.#seen(
      `${WAITING} and wait_event in ('tuple', 'transactionid') and starts_with(query, $1)`,
      [statement],
      WAIT_MS,
    );
  }

  /** Resolves when a drain waits for another one to end, or has had so long. */
  drainKeptOut(withinMs: number): Promise<void> {
    return this.#seen(
      `${WAITING} and wait_event = 'advisory' and strpos(query, 'copy against drain') > 0`,
      [],
      withinMs,
    );
  }

  /** The next call of a function with an action, as it begins; it waits for `until`, as all do that come before. */
  called(
    name: SeenCall['name'],
    action: string,
    until?: Promise<void>,
  ): Promise<SeenCall['event']> {
    const { promise, resolve, reject } = Promise.withResolvers<SeenCall['event']>();
    const { listeners } = this.system;
    const listener = (call: SeenCall) => {
      if (call.name !== name || call.event.action !== action) return;
      if (until === undefined) listeners.delete(listener);
      else void until.then(() => listeners.delete(listener));
      resolve(call.event);
      return until;
    };
    listeners.add(listener);
    this.signal.addEventListener('abort', () => {
      listeners.delete(listener);
      reject(this.signal.reason);
    });
    // A scene that has ended early waits for it no more.
    promise.catch(() => undefined);
    return promise;
  }

  /** Resolves with the promise, or is rejected when the scene must end. */
  async orEnd<Value>(promise: Promise<Value>): Promise<Value> {
    const { promise: ended, reject } = Promise.withResolvers<never>();
    this.signal.addEventListener('abort', () => reject(this.signal.reason));
    return await Promise.race([promise, ended]);
  }

  /**
   * Calls phase 2 as a worker does that nobody remembers; what it says is noted.
   *
   * @returns whether it did what it was asked for.
   */
  async stray(action: 'drain' | 'mirror', { run, batchId }: SeenCall['event']): Promise<boolean> {
    try {
      await this.system.invoke('phase2-migration', { action, run, batchId });
      return true;
    } catch (error) {
      this.history.note(`stray ${action}`, {
        error: error instanceof Error ? error.name : String(error),
      });
      return false;
    }
  }
}
