import { randomUUID } from 'node:crypto';
import type { Contract, KitStatus, Mapping } from '@unified-kits/domain';
import { type ApiAnswer, type ApiClient, persist } from './api-client.ts';
import {
  agrees,
  changeText,
  creationText,
  kitPath,
  kitsPath,
  type OwnKit,
  shownContent,
} from './api-kit.ts';
import type { Content, Intent, Ledger } from './ledger.ts';

export interface SessionOptions {
  readonly writer: number;
  /** In every kit number and token of the run. */
  readonly tag: string;
  readonly mapping: Mapping;
  readonly client: ApiClient;
  readonly ledger: Ledger;
  /** The first free number in the ledger. */
  readonly firstNumber: number;
}

export interface WriteOptions {
  readonly contract: Contract;
  /** Statuses beside success that this request may be answered with. */
  readonly meant?: readonly number[];
  /** When to lose the first answer, and to send the request again; for those that may be sent twice. */
  readonly giveUpMs?: number | undefined;
}

const SUCCESS = [200, 201];
/** Whoever repeats a request may be told that the first one is under way, or has changed the kit. */
const ON_REPEAT = [...SUCCESS, 409, 412];
/** A list is searched so far; whatever comes later in it proves nothing. */
const MOST_PAGES = 5;

const lastSegment = (location = ''): string =>
  decodeURIComponent(location.slice(location.lastIndexOf('/') + 1));

/** The requests of one writer: each write is in the ledger before it is sent, and after it is answered. */
export class WriterSession {
  readonly #options: SessionOptions;
  #next: number;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#next = options.firstNumber;
  }

  #stamp(): { readonly n: number; readonly stamp: string } {
    const { tag, writer } = this.#options;
    const n = this.#next;
    this.#next += 1;
    return { n, stamp: `w${tag}${writer.toString(36)}-${n.toString(36).padStart(5, '0')}` };
  }

  #judge(right: boolean): boolean {
    this.#options.ledger.append({ kind: 'check', stale: !right });
    return right;
  }

  async #get({ caller }: OwnKit, path: string, meant: readonly number[]) {
    const request = { method: 'GET', path } as const;
    return (await persist(() => this.#options.client.send(caller, request, { meant }))).answer;
  }

  /** Reads a kit, and judges whether it is as the writer knows it, byte for byte where it was seen before. */
  async read(kit: OwnKit, contract: Contract): Promise<void> {
    // Its place under the unified contract is told by the legacy one.
    if (contract === 'v2' && kit.kitsId === undefined) await this.read(kit, 'legacy');
    const answer = await this.#get(kit, kitPath(kit, contract), [200]);
    if (answer === undefined) return;
    const { mapping } = this.#options;
    const shown = shownContent(mapping, kit.source, contract, answer.body);
    const before = kit.seen.get(contract);
    const same = before === undefined || before.etag === answer.etag;
    if (!this.#judge(answer.status === 200 && same && agrees(kit.content, shown))) return;
    kit.kitsId = shown.kitsId;
    kit.content = {
      ...kit.content,
      ...(shown.status === undefined ? {} : { status: shown.status }),
    };
    kit.seen.set(contract, answer);
  }

  /** Looks for a kit in its owner's list, and judges whether it is there as the writer knows it. */
  async list(kit: OwnKit, contract: Contract): Promise<void> {
    if (kit.kitsId === undefined) await this.read(kit, 'legacy');
    if (kit.kitsId === undefined) return;
    const { mapping } = this.#options;
    let cursor = '';
    for (let page = 1; page <= MOST_PAGES; page += 1) {
      const path = `${kitsPath(kit, contract)}?limit=100${cursor}`;
      const answer = await this.#get(kit, path, [200]);
      if (answer === undefined) return;
      const { kits, nextCursor } = answer.body;
      const found = (Array.isArray(kits) ? kits : []).find(({ kitsId }) => kitsId === kit.kitsId);
      if (found !== undefined || typeof nextCursor !== 'string') {
        const shown = shownContent(mapping, kit.source, contract, found ?? {});
        this.#judge(found !== undefined && agrees(kit.content, shown));
        return;
      }
      cursor = `&cursor=${encodeURIComponent(nextCursor)}`;
    }
  }

  /**
   * Makes a kit for a template's owner.
   *
   * @param token the field that holds the write's own text, if there is one
   * @param copied fields that the new kit has from the template
   * @returns the kit, or why there is none; undefined when nobody knows
   */
  async create(
    template: OwnKit,
    { token, copied }: { readonly token: string | undefined; readonly copied: readonly string[] },
    options: WriteOptions,
  ): Promise<OwnKit | ApiAnswer | undefined> {
    const { contract } = options;
    const { source, caller } = template;
    if (copied.length > 0 && !template.seen.has(contract)) await this.read(template, contract);
    const { n, stamp } = this.#stamp();
    const content: Content = {
      kitNumber: stamp.toUpperCase(),
      status: 'created',
      ...(token === undefined ? {} : { [token]: stamp }),
    };
    const like = template.seen.get(contract)?.body ?? {};
    const answer = await this.#perform(
      {
        kind: 'intent',
        n,
        source,
        key: null,
        caller,
        contract,
        request: {
          method: 'POST',
          path: kitsPath(template, contract),
          headers: { 'idempotency-key': randomUUID() },
          body: creationText(this.#options.mapping, source, contract, content, copied, like),
        },
        content,
      },
      options,
    );
    if (answer === undefined || answer.status >= 300) return answer;
    return {
      source,
      caller,
      key: keyOf(answer),
      kitsId: String(answer.body.kitsId),
      content,
      seen: new Map([[contract, answer]]),
    };
  }

  /**
   * Changes a kit: its token, and its status if one is given.
   *
   * @param ifMatch only the version that was seen last is changed
   * @returns the answer; undefined when nobody knows whether the kit was changed
   */
  async change(
    kit: OwnKit,
    { token, status }: { readonly token: string; readonly status?: KitStatus | undefined },
    options: WriteOptions & { readonly ifMatch: boolean },
  ): Promise<ApiAnswer | undefined> {
    const { contract, ifMatch } = options;
    const { source, caller, key } = kit;
    if (ifMatch && !kit.seen.has(contract)) await this.read(kit, contract);
    const { n, stamp } = this.#stamp();
    const content = { [token]: stamp, ...(status === undefined ? {} : { status }) };
    const etag = kit.seen.get(contract)?.etag;
    const answer = await this.#perform(
      {
        kind: 'intent',
        n,
        source,
        key,
        caller,
        contract,
        request: {
          method: 'PATCH',
          path: kitPath(kit, contract),
          headers: ifMatch && etag !== undefined ? { 'if-match': etag } : {},
          body: changeText(this.#options.mapping, source, contract, content),
        },
        content,
      },
      options,
    );
    if (answer !== undefined && answer.status < 300) {
      kit.content = { ...kit.content, ...content };
      kit.seen.clear();
      kit.seen.set(contract, answer);
    }
    return answer;
  }

  /** A change of a version that never was: it must be refused, and change nothing. */
  async outdatedChange(kit: OwnKit, token: string): Promise<void> {
    const { mapping, client } = this.#options;
    await client.send(
      kit.caller,
      {
        method: 'PATCH',
        path: kitPath(kit, 'legacy'),
        headers: { 'if-match': '"outdated"' },
        body: changeText(mapping, kit.source, 'legacy', { [token]: 'must not be' }),
      },
      { meant: [412] },
    );
  }

  /** A read of somebody else's kit: it must not be there. */
  async foreignRead(kit: OwnKit, stranger: OwnKit): Promise<void> {
    await this.#get(stranger, `/v2/kits/${encodeURIComponent(kit.kitsId ?? kit.key)}`, [404]);
  }

  /** Sends again what an earlier process has no answer to. */
  async repeat(intent: Intent): Promise<void> {
    await this.#perform(intent, { contract: intent.contract }, 1);
  }

  async #perform(
    intent: Intent,
    { meant = [], giveUpMs }: WriteOptions,
    sentBefore = 0,
  ): Promise<ApiAnswer | undefined> {
    const { client, ledger } = this.#options;
    const { caller, request, n, key } = intent;
    if (sentBefore === 0) ledger.append(intent);
    const { answer, tries } = await persist((attempt) =>
      attempt + sentBefore === 1
        ? client.send(caller, request, {
            meant: [...SUCCESS, ...meant],
            ...(giveUpMs === undefined ? {} : { giveUpMs }),
          })
        : client.send(caller, request, { meant: [...ON_REPEAT, ...meant] }),
    );
    if (answer === undefined) return undefined;
    const sent = tries + sentBefore;
    const settled =
      answer.status === 412 && sent > 1 ? ((await this.#own(intent)) ?? answer) : answer;
    const ok = settled.status < 300;
    ledger.append({
      kind: 'outcome',
      n,
      result: ok ? 'ok' : 'refused',
      key: ok ? (key ?? keyOf(settled)) : null,
      tries: sent,
    });
    return settled;
  }

  /** The kit, if it shows what a repeated request was to write: then the first one has done it. */
  async #own({
    caller,
    contract,
    source,
    content,
    request,
  }: Intent): Promise<ApiAnswer | undefined> {
    const { client, mapping } = this.#options;
    const read = { method: 'GET', path: request.path } as const;
    const { answer } = await persist(() => client.send(caller, read, { meant: [200] }));
    if (answer === undefined) return undefined;
    return this.#judge(agrees(content, shownContent(mapping, source, contract, answer.body)))
      ? answer
      : undefined;
  }
}

/** The legacy id of a new kit: from its address, for as a number it might lose digits. */
const keyOf = ({ body, location }: ApiAnswer): string =>
  typeof body.legacyId === 'string' ? body.legacyId : lastSegment(location);
