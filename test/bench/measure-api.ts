import { randomUUID } from 'node:crypto';
import { type Gateway, startGateway } from '../../infra/local/http/gateway.ts';
import { percentile } from './load.ts';
import type { SampledKit, ServiceRig } from './service-rig.ts';

/** What is measured of the API; of both owners' routes in turn. */
export const OPERATIONS = ['detail', 'list', 'POST', 'PATCH'] as const;
export type Operation = (typeof OPERATIONS)[number];

interface ApiRequest {
  readonly method: 'GET' | 'POST' | 'PATCH';
  readonly path: string;
  readonly body?: string;
  readonly claims: { readonly sub: string; readonly practitioner_id?: string };
}

const requestOf = (operation: Operation, kit: SampledKit): ApiRequest => {
  const { userId, practitionerId, legacyId } = kit;
  const claims = {
    sub: userId,
    ...(practitionerId === null ? {} : { practitioner_id: practitionerId }),
  };
  const list = practitionerId === null ? '/kits' : `/practitioners/${practitionerId}/kits`;
  const one = `${list}/${legacyId}`;
  switch (operation) {
    case 'detail':
      return { method: 'GET', path: one, claims };
    case 'list':
      return { method: 'GET', path: list, claims };
    case 'POST': {
      const body = { kitNumber: `B-${randomUUID()}`, kitType: 'DNA', metadata: { site: 'bench' } };
      return { method: 'POST', path: list, claims, body: JSON.stringify(body) };
    }
    case 'PATCH':
      return {
        method: 'PATCH',
        path: one,
        claims,
        body: JSON.stringify({ orderId: `O-${randomUUID().slice(0, 8)}` }),
      };
  }
};

/** Sends a request to one database's API and tells the time of its answer, in milliseconds. */
export type Client = (request: ApiRequest) => Promise<number>;

const assertAnswered = ({ method, path }: ApiRequest, status: number): void => {
  if (status !== (method === 'POST' ? 201 : 200)) throw new Error(`${method} ${path}: ${status}`);
};

/** Calls the handler as Lambda would, with the event that the gateway would make. */
export const inProcess =
  (rig: ServiceRig): Client =>
  async (request) => {
    const { method, path, body, claims } = request;
    const event = {
      version: '2.0',
      rawPath: path,
      rawQueryString: '',
      headers: { 'content-type': 'application/json' },
      requestContext: { http: { method, path }, authorizer: { jwt: { claims } } },
      ...(body === undefined ? {} : { body }),
      isBase64Encoded: false,
    };
    const began = performance.now();
    const answer = await rig.invoke('api', event);
    const took = performance.now() - began;
    assertAnswered(request, (answer as { statusCode: number }).statusCode);
    return took;
  };

/** Over HTTP, with tokens made beforehand. */
export const overHttp = async (
  rig: ServiceRig,
): Promise<{ readonly client: Client; readonly gateway: Gateway }> => {
  const gateway = await startGateway({ handler: rig.api });
  const tokens = new Map<string, string>();
  const client: Client = async (request) => {
    const { method, path, body, claims } = request;
    const key = JSON.stringify(claims);
    const token =
      tokens.get(key) ??
      (await gateway.token({
        userId: claims.sub,
        ...(claims.practitioner_id === undefined ? {} : { practitionerId: claims.practitioner_id }),
      }));
    tokens.set(key, token);
    const began = performance.now();
    const response = await fetch(gateway.url + path, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body }),
    });
    await response.arrayBuffer();
    const took = performance.now() - began;
    assertAnswered(request, response.status);
    return took;
  };
  return { client, gateway };
};

/** Times of answers in milliseconds, of what is measured and of what it is measured against. */
export interface Latencies {
  readonly ours: number[];
  readonly theirs: number[];
}

/** The same requests to two databases, one by one in turn, so that both see the same machine. */
export const measureSideBySide = async (
  ours: Client,
  theirs: Client,
  operation: Operation,
  kits: readonly SampledKit[],
): Promise<Latencies> => {
  const latencies: Latencies = { ours: [], theirs: [] };
  for (const [n, kit] of kits.entries()) {
    const request = requestOf(operation, kit);
    const first = n % 2 === 0;
    if (first) latencies.ours.push(await ours(request));
    latencies.theirs.push(await theirs(request));
    if (!first) latencies.ours.push(await ours(request));
  }
  return latencies;
};

const SLICE_MS = 4_000;

/** All operations in turn, as clients send them, for one slice. */
const mixed = async (client: Client, kits: readonly SampledKit[]): Promise<number[]> => {
  const latencies: number[] = [];
  const until = performance.now() + SLICE_MS;
  for (let n = 0; performance.now() < until; n += 1) {
    const kit = kits[n % kits.length];
    const operation = OPERATIONS[n % OPERATIONS.length];
    if (kit === undefined || operation === undefined) throw new TypeError('a kit to ask for');
    latencies.push(await client(requestOf(operation, kit)));
  }
  return latencies;
};

/**
 * Latencies while the copy runs, and while it pauses, in slices in turn.
 *
 * @param pause stops and restarts the copy
 */
export const measureBesideCopy = async (
  client: Client,
  kits: readonly SampledKit[],
  slices: number,
  pause: (paused: boolean) => Promise<void>,
): Promise<Latencies> => {
  const latencies: Latencies = { ours: [], theirs: [] };
  for (let slice = 0; slice < slices; slice += 1)
    for (const copying of slice % 2 === 0 ? [true, false] : [false, true]) {
      await pause(!copying);
      (copying ? latencies.ours : latencies.theirs).push(...(await mixed(client, kits)));
    }
  return latencies;
};

/** How many times as long, at a percentile. */
export const ratioAt = ({ ours, theirs }: Latencies, share: number): number =>
  percentile(ours, share) / percentile(theirs, share);
