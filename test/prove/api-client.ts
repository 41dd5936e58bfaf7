import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Source } from '@unified-kits/domain';
import type { Gateway } from '../../infra/local/http/gateway.ts';
import type { History, Outcome, SeenKit } from './history.ts';
import { type KnownKit, legacyPath, placeOf } from './kits-known.ts';
import type { Pace } from './pace.ts';

type Contract = 'legacy' | 'v2';
type Body = Readonly<Record<string, unknown>>;

interface Answer {
  readonly status: number;
  readonly etag: string;
  readonly body: Body;
}

export interface ApiClientOptions {
  readonly name: string;
  readonly api: Gateway;
  readonly history: History;
  readonly random: () => number;
  readonly source: Source;
  readonly caller: { readonly userId: string; readonly practitionerId?: string };
  /** The caller's own, to which new ones are added. */
  readonly kits: KnownKit[];
}

/** How long a client waits for an answer, in milliseconds. */
const PATIENCE_MS = 6_000;
/** Tries of a request that may be sent twice. */
const MOST_TRIES = 3;
/** As many as one page of a list holds, which is one snapshot; nobody here makes more. */
const PAGE = 100;

const textOf = (value: unknown): string | null => (typeof value === 'string' ? value : null);

const seenIn = (source: Source, body: Body): SeenKit => ({
  orderId: textOf(body.orderId),
  kitType: textOf(body.kitType),
  place: placeOf(source, textOf(body.status)),
  kitsId: textOf(body.kitsId),
});

/** What an answer says of a write; 5xx says nothing. */
const outcomeOf = (answer: Answer | undefined): Outcome => {
  if (answer === undefined || answer.status >= 500) return 'unknown';
  return answer.status < 300 ? 'ok' : 'failed';
};

/** An owner of kits: one request after the other, each in the history before it leaves. */
export class ApiClient {
  readonly #options: ApiClientOptions;
  #token: string | undefined;
  #writes = 0;

  constructor(options: ApiClientOptions) {
    this.#options = options;
  }

  #dice(limit: number): number {
    return Math.floor(this.#options.random() * limit);
  }

  #stamp(): string {
    this.#writes += 1;
    return `${this.#options.name}-${this.#writes}`;
  }

  async #send(
    method: string,
    path: string,
    {
      headers = {},
      body,
      patience = PATIENCE_MS,
    }: {
      headers?: Record<string, string>;
      body?: Body;
      patience?: number;
    } = {},
  ): Promise<Answer | undefined> {
    const { api, caller } = this.#options;
    this.#token ??= await api.token(caller);
    try {
      const response = await fetch(`${api.url}${path}`, {
        method,
        signal: AbortSignal.timeout(patience),
        headers: {
          authorization: `Bearer ${this.#token}`,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const text = await response.text();
      return {
        status: response.status,
        etag: response.headers.get('etag') ?? '',
        body: text === '' ? {} : JSON.parse(text),
      };
    } catch {
      // Not answered, or not whole.
      return undefined;
    }
  }

  #pathOf(kit: KnownKit, contract: Contract): string {
    const { source, caller } = this.#options;
    return contract === 'v2'
      ? `/v2/kits/${kit.kitsId}`
      : `${legacyPath(source, caller.practitionerId)}/${kit.id}`;
  }

  #contractFor(kit: KnownKit): Contract {
    return kit.kitsId !== undefined && this.#dice(2) === 0 ? 'v2' : 'legacy';
  }

  #fault(answer: Answer | undefined) {
    return answer === undefined
      ? 'no answer'
      : `HTTP ${answer.status} ${textOf(answer.body.type) ?? ''}`;
  }

  async #create(): Promise<void> {
    const { history, source, caller, kits, name } = this.#options;
    const stamp = this.#stamp();
    const number = `N-${stamp}`;
    const contract: Contract = this.#dice(2) === 0 ? 'v2' : 'legacy';
    const path = contract === 'v2' ? '/v2/kits' : legacyPath(source, caller.practitionerId);
    const ownerType = source === 'kit' ? 'client' : 'practitioner';
    const body = {
      kitNumber: number,
      orderId: stamp,
      kitType: 'NEW',
      ...(contract === 'v2' ? { ownerType } : {}),
    };
    const headers = { 'idempotency-key': randomUUID() };
    const op = history.invoke(name, {
      do: 'write',
      by: 'api',
      writes: [
        { kit: number, field: 'exists', value: 'yes' },
        { kit: number, field: 'orderId', value: stamp },
        { kit: number, field: 'kitType', value: 'NEW' },
      ],
    });
    let answer: Answer | undefined;
    let sure = true;
    for (let tries = 1; tries <= MOST_TRIES; tries += 1) {
      // Now and then the client gives up, and asks again: it must have made one kit.
      const patience = this.#dice(10) === 0 ? 5 + this.#dice(30) : PATIENCE_MS;
      answer = await this.#send('POST', path, { headers, body, patience });
      // A request that comes again may meet the first one under way.
      if (answer !== undefined && answer.status < 500 && (sure || answer.status !== 409)) break;
      sure = false;
      await sleep(50 * tries);
    }
    const outcome = outcomeOf(answer);
    if (outcome !== 'ok' || answer === undefined) {
      history.returned(op, sure ? outcome : 'unknown', { fault: this.#fault(answer) });
      return;
    }
    const id = String(contract === 'v2' ? answer.body.legacyId : answer.body.id);
    const seen = seenIn(source, answer.body);
    history.returned(op, 'ok', { seen: { [number]: seen } });
    const kit = { number, source, id, kitsId: seen.kitsId ?? undefined };
    kits.push(kit);
    await this.#read(kit);
  }

  async #change(kit: KnownKit): Promise<void> {
    const { history, name, source } = this.#options;
    const contract = this.#contractFor(kit);
    const path = this.#pathOf(kit, contract);
    let etag = '';
    if (contract === 'v2' || this.#dice(2) === 0) {
      const before = await this.#read(kit, contract);
      if (before === undefined) return;
      etag = before.etag;
    }
    const stamp = this.#stamp();
    const op = history.invoke(name, {
      do: 'write',
      by: 'api',
      writes: [{ kit: kit.number, field: 'orderId', value: stamp }],
    });
    const answer = await this.#send('PATCH', path, {
      body: { orderId: stamp },
      ...(etag === '' ? {} : { headers: { 'if-match': etag } }),
    });
    const outcome = outcomeOf(answer);
    if (answer !== undefined && outcome === 'ok')
      history.returned(op, 'ok', { seen: { [kit.number]: seenIn(source, answer.body) } });
    else
      history.returned(op, outcome, {
        fault: this.#fault(answer),
        ...(answer?.status === 404 ? { seen: { [kit.number]: null } } : {}),
      });
    if (outcome !== 'unknown') await this.#read(kit);
  }

  async #read(kit: KnownKit, asked?: Contract): Promise<Answer | undefined> {
    const { history, name, source } = this.#options;
    const path = this.#pathOf(kit, asked ?? this.#contractFor(kit));
    const op = history.invoke(name, { do: 'read', kits: [kit.number] });
    const answer = await this.#send('GET', path);
    if (answer === undefined || (answer.status !== 200 && answer.status !== 404)) {
      history.returned(op, 'failed', { fault: this.#fault(answer) });
      return undefined;
    }
    const seen = answer.status === 404 ? null : seenIn(source, answer.body);
    history.returned(op, 'ok', { seen: { [kit.number]: seen } });
    if (seen?.kitsId != null) kit.kitsId = seen.kitsId;
    return answer.status === 200 ? answer : undefined;
  }

  async #list(): Promise<void> {
    const { history, name, source, caller, kits } = this.#options;
    const asked: Contract = this.#dice(2) === 0 ? 'v2' : 'legacy';
    const path = asked === 'v2' ? '/v2/kits' : legacyPath(source, caller.practitionerId);
    const known = kits.map((kit) => kit.number);
    const op = history.invoke(name, { do: 'read', kits: known });
    const answer = await this.#send('GET', `${path}?limit=${PAGE}`);
    if (answer?.status !== 200 || !Array.isArray(answer.body.kits)) {
      history.returned(op, 'failed', { fault: this.#fault(answer) });
      return;
    }
    const seen: Record<string, SeenKit | null> = Object.fromEntries(
      known.map((number) => [number, null]),
    );
    for (const body of answer.body.kits as Body[])
      if (known.includes(String(body.kitNumber)))
        seen[String(body.kitNumber)] = seenIn(source, body);
    history.returned(op, 'ok', { seen });
  }

  async #step(): Promise<void> {
    const { kits } = this.#options;
    const kit = kits[this.#dice(kits.length)];
    const die = this.#dice(100);
    // Some of those that were made, but not answered, are there as well.
    if (kit === undefined || (die < 15 && kits.length < PAGE / 2)) return this.#create();
    if (die < 60) return this.#change(kit);
    if (die < 90) {
      await this.#read(kit);
      return;
    }
    return this.#list();
  }

  /** Goes on until told to stop. */
  async run(signal: AbortSignal, pace: Pace): Promise<void> {
    while (!signal.aborted) {
      await this.#step();
      await pace.pause(this.#options.random());
    }
  }
}
