import { setTimeout as sleep } from 'node:timers/promises';
import type { Caller } from '@unified-kits/domain';
import type { Gateway } from '../http/gateway.ts';
import type { Exchange } from './ledger.ts';

/** A request of a client, but for who sends it. */
export interface ApiRequest {
  readonly method: 'GET' | 'POST' | 'PATCH';
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

export interface ApiAnswer {
  readonly status: number;
  readonly etag: string | undefined;
  readonly location: string | undefined;
  /** Empty where there is no JSON object. */
  readonly body: Readonly<Record<string, unknown>>;
}

export interface SendOptions {
  /** Statuses that this request may be answered with; any other is counted as an error. */
  readonly meant: readonly number[];
  /** After so many milliseconds the client looks no longer for the answer, as if it had been lost. */
  readonly giveUpMs?: number;
}

/** Speaks HTTP for any caller, and tells of each exchange. */
export interface ApiClient {
  /** The answer, or undefined where none came: the request may have been carried out or not. */
  send(caller: Caller, request: ApiRequest, options: SendOptions): Promise<ApiAnswer | undefined>;
}

const TOKEN_SECONDS = 3_600;
/** The gateway has answered long before. */
const MOST_WAIT_MS = 60_000;

/** A token for each caller, made when first needed and again before it expires. */
const tokens = (api: Gateway) => {
  const known = new Map<string, { readonly token: Promise<string>; readonly until: number }>();
  return ({ userId, practitionerId }: Caller): Promise<string> => {
    const name = `${userId} ${practitionerId ?? ''}`;
    const found = known.get(name);
    if (found !== undefined && Date.now() < found.until) return found.token;
    const token = api.token({
      userId,
      ...(practitionerId === undefined ? {} : { practitionerId }),
      expiresInSeconds: TOKEN_SECONDS,
    });
    known.set(name, { token, until: Date.now() + (TOKEN_SECONDS * 1_000) / 2 });
    return token;
  };
};

const objectOf = (text: string): ApiAnswer['body'] => {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? { ...value } : {};
  } catch (error) {
    if (error instanceof SyntaxError) return {};
    throw error;
  }
};

/** A client of the API; `record` is told of every exchange but those that it gave up by itself. */
export const apiClient = (api: Gateway, record: (exchange: Exchange) => void): ApiClient => {
  const tokenOf = tokens(api);
  return {
    async send(caller, { method, path, headers = {}, body }, { meant, giveUpMs }) {
      const authorization = `Bearer ${await tokenOf(caller)}`;
      const at = Date.now();
      const began = performance.now();
      const told = (status: number, error: boolean) =>
        record({
          kind: 'exchange',
          at,
          ms: Math.round((performance.now() - began) * 100) / 100,
          write: method !== 'GET',
          status,
          error,
        });
      try {
        const response = await fetch(`${api.url}${path}`, {
          method,
          headers: {
            authorization,
            ...(body === undefined ? {} : { 'content-type': 'application/json' }),
            ...headers,
          },
          signal: AbortSignal.timeout(giveUpMs ?? MOST_WAIT_MS),
          ...(body === undefined ? {} : { body }),
        });
        const text = await response.text();
        told(response.status, !meant.includes(response.status));
        return {
          status: response.status,
          etag: response.headers.get('etag') ?? undefined,
          location: response.headers.get('location') ?? undefined,
          body: objectOf(text),
        };
      } catch (error) {
        if (!(error instanceof Error)) throw error;
        if (giveUpMs === undefined || error.name !== 'TimeoutError') told(0, true);
        return undefined;
      }
    },
  };
};

/** Sends of one request, with pauses of 40 ms and more between them. */
const MOST_TRIES = 6;
const IN_USE = '/problems/idempotency-key-in-use';

/** An answer that another one will follow, if one asks again. 501 is a final one. */
const passes = ({ status, body }: ApiAnswer): boolean =>
  (status >= 500 && status !== 501) || (status === 409 && body.type === IN_USE);

/** Sends a request until it is answered for good; the answer, if one came, and how often it was sent. */
export const persist = async (
  send: (tries: number) => Promise<ApiAnswer | undefined>,
): Promise<{ readonly answer: ApiAnswer | undefined; readonly tries: number }> => {
  for (let tries = 1; ; tries += 1) {
    const answer = await send(tries);
    if (answer !== undefined && !passes(answer)) return { answer, tries };
    if (tries === MOST_TRIES) return { answer: undefined, tries };
    await sleep(20 * 2 ** tries);
  }
};
