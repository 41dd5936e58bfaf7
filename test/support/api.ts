import { bindMapping, installTracking } from '@unified-kits/data';
import type { Caller } from '@unified-kits/domain';
import type { Gateway } from '../../infra/local/http/gateway.ts';
import { startSystem } from '../../infra/local/system.ts';
import { writerLogin } from '../../infra/local/writers/login.ts';
import { type LegacyDatabase, legacyDatabase } from './legacy.ts';
import type { Rig } from './system.ts';

/** A system with the kits API over HTTP. */
export interface ApiRig extends Rig {
  readonly api: Gateway;
  /** The connection string of the API's own login. */
  readonly serviceUrl: string;
  /** A client that speaks for one caller. */
  as(caller: Caller): ApiClient;
}

export interface ApiResponse {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** Parsed, where there is JSON. */
  readonly body: Record<string, unknown>;
}

/** @param signal gives the request up, which the server does not hear of */
type Send = (
  path: string,
  body: unknown,
  headers?: Record<string, string>,
  signal?: AbortSignal,
) => Promise<ApiResponse>;

export interface ApiClient {
  get(path: string, headers?: Record<string, string>): Promise<ApiResponse>;
  post: Send;
  patch: Send;
}

/** A client that speaks to an API for one caller. */
export const apiClient = (api: Gateway, caller: Caller): ApiClient => {
  let token: Promise<string> | undefined;
  const send = async (
    method: string,
    path: string,
    headers: Record<string, string>,
    body?: unknown,
    signal?: AbortSignal,
  ): Promise<ApiResponse> => {
    token ??= api.token({
      userId: caller.userId,
      ...(caller.practitionerId === undefined ? {} : { practitionerId: caller.practitionerId }),
    });
    const response = await fetch(`${api.url}${path}`, {
      method,
      ...(signal === undefined ? {} : { signal }),
      headers: {
        authorization: `Bearer ${await token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined
        ? {}
        : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    const isJson = response.headers.get('content-type')?.includes('json') === true;
    return {
      status: response.status,
      headers: response.headers,
      text,
      body: isJson && text !== '' ? JSON.parse(text) : {},
    };
  };
  return {
    get: (path, headers = {}) => send('GET', path, headers),
    post: (path, body, headers = {}, signal) => send('POST', path, headers, body, signal),
    patch: (path, body, headers = {}, signal) => send('PATCH', path, headers, body, signal),
  };
};

export interface ApiOptions {
  /** A file with the mapping that `legacy` was made with; the reference schema's by default. */
  readonly mappingPath?: string;
  /** Keeps the dev issuer's key here, for tokens that it would not make. */
  readonly issuerKeyFile?: string;
  /** Between two runs of the schedule that calls `flag-changed`; 60 by default. */
  readonly scheduleSeconds?: number;
}

/** Starts a system with the kits API on a database that is there already. */
export const apiOn = async (
  legacy: LegacyDatabase,
  { mappingPath, issuerKeyFile, scheduleSeconds }: ApiOptions = {},
): Promise<ApiRig> => {
  await installTracking(legacy.db);
  const binding = await legacy.db.transaction({}, (session) =>
    bindMapping(session, legacy.mapping),
  );
  const serviceUrl = await writerLogin(legacy.db, binding, legacy.url);
  const log: Record<string, unknown>[] = [];
  const system = await startSystem({
    databaseUrl: legacy.url,
    environment: 'test',
    waitScale: 0.01,
    mappingPath,
    scheduleSeconds,
    service: { databaseUrl: serviceUrl, issuerKeyFile },
    log: (line) => log.push(JSON.parse(line)),
  });
  const { api } = system;
  if (api === undefined) throw new TypeError('a system with a service has an API');
  return {
    legacy,
    system,
    log,
    api,
    serviceUrl,
    as: (caller) => apiClient(api, caller),
    close: () => system.stop({ graceMs: 3_000 }),
  };
};

export const apiRigOf = async (rows = 60, options: ApiOptions = {}): Promise<ApiRig> => {
  const legacy = await legacyDatabase(rows);
  const rig = await apiOn(legacy, options);
  return {
    ...rig,
    async close() {
      await rig.close();
      await legacy.drop();
    },
  };
};
