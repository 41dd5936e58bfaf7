import { setTimeout as sleep } from 'node:timers/promises';
import type { Source, Store } from '@unified-kits/domain';
import pg from 'pg';
import type { History, Outcome, Returned } from './history.ts';
import type { KnownKit } from './kits-known.ts';
import type { Pace } from './pace.ts';
import { CLIENTS, PRACTITIONERS } from './server.ts';
import { assignmentsOf, makeChange, NotThere, type SqlChange } from './sql-changes.ts';

export const ISOLATIONS = ['read committed', 'repeatable read', 'serializable'] as const;
export type Isolation = (typeof ISOLATIONS)[number];

export interface SqlClientOptions {
  readonly name: string;
  /** A login of the service, which the fence does not let through. */
  readonly url: string;
  readonly history: History;
  readonly random: () => number;
  /** Kits of which this client alone writes the kit type. */
  readonly kits: readonly KnownKit[];
  /** Kits that it may delete, as nobody else asks for them. */
  readonly deletable: readonly KnownKit[];
}

/** A store that is not authoritative now, or not there yet. */
const ELSEWHERE = ['KF001', '42P01'];
/** Undone through no fault of the client's. */
const UNDONE = [
  '40001',
  '40P01',
  '55P03',
  '57014',
  '57P01',
  '57P02',
  '57P03',
  '53300',
  '25P02',
  '25P03',
];
const MOST_TRIES = 60;
/** Kits of its own: with those of others they must not fill an owner's page, which is one snapshot. */
const MOST_OWN = 32;

const codeOf = (error: unknown): string | undefined =>
  error instanceof pg.DatabaseError ? error.code : undefined;

/**
 * The mirror's function in which a client's statement has failed, if it was there: it must let the write stand,
 * whatever happens, but for the end of the session. Nor can it rescue a SERIALIZABLE transaction that another one
 * has doomed: whatever that does next is refused, caught or not, and clients at that level try again.
 */
export const mirrorThatFailed = (
  error: unknown,
  isolation: Isolation = 'read committed',
): string | undefined =>
  error instanceof pg.DatabaseError &&
  error.code?.startsWith('57P') !== true &&
  !(isolation === 'serializable' && error.code === '40001')
    ? /migration\."?(?:mirror|sync)_\w+/.exec(error.where ?? '')?.[0]
    : undefined;

/**
 * A service of the organisation that knows nothing of ours but what README says: a write that is refused with
 * KF001 belongs into the other store.
 */
export class SqlClient {
  readonly #options: SqlClientOptions;
  readonly #own: KnownKit[];
  #session: pg.Client | undefined;
  #store: Store = 'legacy';
  #writes = 0;

  constructor(options: SqlClientOptions) {
    this.#options = options;
    this.#own = [...options.deletable];
  }

  #dice(limit: number): number {
    return Math.floor(this.#options.random() * limit);
  }

  #stamp(): string {
    this.#writes += 1;
    return `${this.#options.name}-${this.#writes}`;
  }

  async #connected(): Promise<pg.Client> {
    if (this.#session !== undefined) return this.#session;
    const client = new pg.Client({
      connectionString: this.#options.url,
      application_name: 'prove-sql',
      connectionTimeoutMillis: 5_000,
    });
    client.on('error', () => {
      if (this.#session === client) this.#session = undefined;
    });
    await client.connect();
    await client.query(`set lock_timeout = '3s'; set statement_timeout = '8s'`);
    this.#session = client;
    return client;
  }

  async #disconnect(): Promise<void> {
    const session = this.#session;
    this.#session = undefined;
    await session?.end().catch(() => undefined);
  }

  /** One transaction on the store that will have it; tried again for as long as it surely had no effect. */
  async #transaction(
    isolation: Isolation,
    holdMs: number,
    work: (session: pg.Client, store: Store) => Promise<void>,
  ): Promise<{ outcome: Outcome } & Pick<Returned, 'fault' | 'refusedBy'>> {
    for (let tries = 1; ; tries += 1) {
      let committing = false;
      const store = this.#store;
      try {
        const session = await this.#connected();
        await session.query(`begin isolation level ${isolation}`);
        // Where a snapshot holds for the whole transaction it is taken here, and grows old.
        await session.query('select count(*) from users');
        if (tries === 1) await sleep(holdMs);
        await work(session, store);
        committing = true;
        await session.query('commit');
        return { outcome: 'ok' };
      } catch (error) {
        const code = codeOf(error);
        // A refusal that came with the commit is one, too.
        const lost = code === undefined || code.startsWith('57P') || code.startsWith('08');
        if (committing && lost && !(error instanceof NotThere)) {
          await this.#disconnect();
          return { outcome: 'unknown', fault: `commit: ${code ?? 'connection lost'}` };
        }
        if (lost && !(error instanceof NotThere)) await this.#disconnect();
        else await this.#session?.query('rollback').catch(() => this.#disconnect());
        const refusedBy = mirrorThatFailed(error, isolation);
        if (refusedBy !== undefined) return { outcome: 'failed', fault: code ?? '', refusedBy };
        if (code !== undefined && ELSEWHERE.includes(code))
          this.#store = store === 'legacy' ? 'kits' : 'legacy';
        else if (
          (code !== undefined && !UNDONE.includes(code) && !lost) ||
          (error instanceof NotThere && isolation === 'read committed')
        )
          return { outcome: 'failed', fault: code ?? 'not there' };
        if (tries >= MOST_TRIES) return { outcome: 'failed', fault: code ?? 'connection lost' };
        await sleep(5 + 30 * this.#options.random());
      }
    }
  }

  /** Most transactions are short; some are forgotten for so long that stages pass them by. */
  #holdMs(): number {
    const die = this.#dice(20);
    if (die === 0) return 1_000 + this.#dice(3_500);
    return die < 5 ? this.#dice(400) : this.#dice(10);
  }

  /** @returns the kits' legacy ids, once it is committed. */
  async #written(changes: readonly SqlChange[]): Promise<readonly string[] | undefined> {
    const { history, name } = this.#options;
    const writes = changes.flatMap(assignmentsOf);
    const op = history.invoke(name, { do: 'write', by: 'sql', writes });
    const isolation = ISOLATIONS[this.#dice(ISOLATIONS.length)] ?? 'read committed';
    const holdMs = this.#holdMs();
    let ids: string[] = [];
    const { outcome, ...more } = await this.#transaction(
      isolation,
      holdMs,
      async (session, store) => {
        ids = [];
        for (const change of changes) ids.push(await makeChange(session, store, change));
      },
    );
    const gone = more.fault === 'not there';
    history.returned(op, outcome, {
      ...more,
      ...(gone ? { seen: Object.fromEntries(writes.map(({ kit }) => [kit, null])) } : {}),
    });
    return outcome === 'ok' ? ids : undefined;
  }

  /** One kit or two, of which either both are changed or none. */
  async #change(): Promise<void> {
    const all = [...this.#options.kits, ...this.#own];
    const first = all[this.#dice(all.length)];
    const second = all[this.#dice(all.length)];
    const chosen = [first, ...(this.#dice(2) === 0 && second !== first ? [second] : [])]
      .filter((kit) => kit !== undefined)
      // In one order, as who does not want to deadlock does.
      .toSorted((one, other) => (one.number < other.number ? -1 : 1));
    const kitType = this.#stamp();
    await this.#written(chosen.map((kit) => ({ do: 'set', kit, kitType })));
  }

  /** Two kits at once, one of each owner type, or one. */
  async #insert(): Promise<void> {
    const kitType = this.#stamp();
    const sources: readonly Source[] =
      this.#dice(2) === 0 ? ['kit', 'practitioner_kits'] : ['practitioner_kits'];
    const changes = sources.map((source, index) => ({
      do: 'insert' as const,
      source,
      number: `S-${kitType}-${index}`,
      kitType,
      // Owners who ask for nothing, and a practitioner whose user changes.
      owner: source === 'kit' ? `user${CLIENTS}` : `practitioner${this.#dice(PRACTITIONERS)}`,
    }));
    const ids = await this.#written(changes);
    for (const [index, id] of (ids ?? []).entries()) {
      const change = changes[index];
      if (change !== undefined)
        this.#own.push({ number: change.number, source: change.source, id, kitsId: undefined });
    }
  }

  async #delete(): Promise<void> {
    const [kit] = this.#own.splice(this.#dice(this.#own.length), 1);
    if (kit !== undefined) await this.#written([{ do: 'delete', kit }]);
  }

  async run(signal: AbortSignal, pace: Pace): Promise<void> {
    while (!signal.aborted) {
      const die = this.#dice(100);
      if (die < 22 && this.#own.length < MOST_OWN) await this.#insert();
      else if (die < 40) await this.#delete();
      else await this.#change();
      await pace.pause(this.#options.random());
    }
    await this.#disconnect();
  }
}
