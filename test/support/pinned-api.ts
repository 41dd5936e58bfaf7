import type { Caller, StoreFlags } from '@unified-kits/domain';
import type pg from 'pg';
import { handler } from '../../functions/phase4-api/handler.ts';
import { databaseAt } from '../../functions/runtime/database.ts';
import { withEnvironment } from '../../functions/runtime/environment.ts';
import { startGateway } from '../../infra/local/http/gateway.ts';
import { type ApiClient, type ApiRig, apiClient } from './api.ts';
import { setFlag } from './flags.ts';

/** The eight things that the three flags can say, contradictions included. */
export const EVERY_WISH: readonly StoreFlags[] = [false, true].flatMap((unifiedReads) =>
  [false, true].flatMap((unifiedWrites) =>
    [false, true].map((dualWrite) => ({ unifiedReads, unifiedWrites, dualWrite })),
  ),
);

export const wishName = ({ unifiedReads, unifiedWrites, dualWrite }: StoreFlags): string =>
  [unifiedReads && 'reads', unifiedWrites && 'writes', dualWrite && 'dual']
    .filter(Boolean)
    .join('-') || 'none';

export interface PinnedApi {
  /** What it logged, parsed. */
  readonly log: Record<string, unknown>[];
  as(caller: Caller): ApiClient;
  stop(): Promise<void>;
}

/**
 * The API beside that of a rig, in an environment of its own whose flags stay what they are: the worst that
 * a cache can be, for refreshing it does not help.
 */
export const pinnedApi = async (
  { system, serviceUrl }: ApiRig,
  flags: StoreFlags,
): Promise<PinnedApi> => {
  const environment = `flags-${wishName(flags)}`;
  for (const name of ['unifiedReads', 'unifiedWrites', 'dualWrite'] as const)
    await setFlag({ system }, name, flags[name], environment);
  const { endpoint, region, credentials } = system.aws;
  const variables = {
    DATABASE_URL: serviceUrl,
    KITS_ENVIRONMENT: environment,
    AWS_ENDPOINT_URL: endpoint,
    AWS_REGION: region,
    AWS_ACCESS_KEY_ID: credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
  };
  const log: Record<string, unknown>[] = [];
  const scope = { variables, log: (line: string) => log.push(JSON.parse(line)) };
  const gateway = await startGateway({
    handler: (event, context) => withEnvironment(scope, () => handler(event, context)),
  });
  return {
    log,
    as: (caller) => apiClient(gateway, caller),
    stop: () => gateway.stop({ graceMs: 1_000 }),
  };
};

/** What one transaction of the service said to each store. */
export interface SeenTransaction {
  legacy: number;
  kits: number;
}

const LEGACY = /"public"\."(?:kit|practitioner_kits)"/;
const KITS = /"public"\."kits"/;

/**
 * Listens to the service's transactions that speak to a store, each in the order of its first word. Before
 * the first connection, and to one request at a time: what several say at once cannot be told apart.
 */
export const listenToStores = (serviceUrl: string): SeenTransaction[] => {
  const seen: SeenTransaction[] = [];
  databaseAt(serviceUrl).pool.on('connect', (client: pg.PoolClient) => {
    const query = client.query.bind(client) as (...given: unknown[]) => unknown;
    let current: SeenTransaction = { legacy: 0, kits: 0 };
    const listen = (text: string) => {
      if (text.startsWith('begin')) current = { legacy: 0, kits: 0 };
      const [toLegacy, toKits] = [LEGACY.test(text), KITS.test(text)];
      if (current.legacy + current.kits === 0 && (toLegacy || toKits)) seen.push(current);
      current.legacy += Number(toLegacy);
      current.kits += Number(toKits);
    };
    const listening = (...given: unknown[]) => {
      if (typeof given[0] === 'string') listen(given[0]);
      return query(...given);
    };
    client.query = listening as typeof client.query;
  });
  return seen;
};
