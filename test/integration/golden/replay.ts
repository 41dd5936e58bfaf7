import type { Answer } from '../../../functions/phase4-api/api.ts';
import { etagOf } from '../../../functions/phase4-api/http/etag.ts';
import { claimsOf } from '../../../functions/phase4-contract-check/contract-request.ts';
import { type Answers, ask } from '../../support/contract.ts';
import { CALLERS } from './data.ts';
import type { GoldenRequest } from './exchanges.ts';

/** A request and its response, as they stand in a golden file. */
export interface Exchange extends GoldenRequest {
  readonly response: {
    readonly status: number;
    readonly headers: Readonly<Record<string, unknown>>;
    readonly body: string;
  };
}

const TIME = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|\+00:00)/g;
/** The server's clock and this process's are the same machine's. */
const RECENT_MS = 10 * 60_000;

/**
 * Asks the requests of golden files one after the other, and puts names in the place of what the database
 * makes and nobody can know: ids of new kits, the time, and the entity tags of what holds such.
 */
export class Replay {
  readonly #answers: Answers;
  /** What was given → the name that stands for it. */
  readonly #names = new Map<string, string>();
  /** The name → what was given last. */
  readonly #values = new Map<string, string>();

  constructor(answers: Answers) {
    this.#answers = answers;
  }

  async ask(request: GoldenRequest): Promise<{ exchange: Exchange; answer: Answer }> {
    const { as, method, path, query, headers, body, keep } = request;
    const answer = await ask(this.#answers, {
      claims: as === 'nobody' ? undefined : claimsOf(CALLERS[as]),
      method,
      path: this.filledIn(path),
      ...(query === undefined ? {} : { query }),
      headers: Object.fromEntries(
        Object.entries(headers ?? {}).map(([name, value]) => [name, this.filledIn(value)]),
      ),
      ...(body === undefined ? {} : { body }),
    });
    if (keep !== undefined) this.#keep(keep, answer);
    const { statusCode: status = 200, headers: given = {}, body: text = '' } = answer.response;
    const shown = this.normalised(text);
    const etag = given.etag;
    if (shown !== text && typeof etag === 'string') {
      if (etag !== etagOf(text)) throw new Error(`${request.name}: not the body's entity tag`);
      this.#names.set(etag, '{etag}');
    }
    const response = {
      status,
      headers: Object.fromEntries(
        Object.entries(given).map(([name, value]) => [
          name,
          typeof value === 'string' ? this.normalised(value) : value,
        ]),
      ),
      body: shown,
    };
    return { exchange: { ...request, response }, answer };
  }

  #keep(name: string, { response: { statusCode, headers = {}, body = '' } }: Answer): void {
    const { etag } = headers;
    if (typeof etag === 'string') this.#values.set(`{${name}.etag}`, etag);
    if (statusCode !== 201) return;
    const { kitsId } = JSON.parse(body) as { kitsId: string };
    // The number as it is written: it has more digits than a double.
    const [, id = ''] = /"(?:id|legacyId)":"?([^",]+)/.exec(body) ?? [];
    for (const [field, value] of Object.entries({ id, kitsId })) {
      this.#values.set(`{${name}.${field}}`, value);
      this.#names.set(value, `{${name}.${field}}`);
    }
  }

  /** A text with what was kept in the place of its names. */
  filledIn(text: string): string {
    return text.replaceAll(/\{\w+\.\w+\}/g, (name) => {
      const value = this.#values.get(name);
      if (value === undefined) throw new Error(`${name} was not kept`);
      return value;
    });
  }

  /** A text with names in the place of what the database made. */
  normalised(text: string): string {
    let shown = text.replaceAll(TIME, (time) =>
      Math.abs(Date.now() - Date.parse(time)) < RECENT_MS ? '{now}' : time,
    );
    for (const [value, name] of this.#names) shown = shown.replaceAll(value, name);
    return shown;
  }
}
