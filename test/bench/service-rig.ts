import { SSMClient } from '@aws-sdk/client-ssm';
import { type Binding, type Database, drain, flip, readStage } from '@unified-kits/data';
import { type Source, STAGE_DEFINITIONS, type Stage, stagePath } from '@unified-kits/domain';
import { handler as api } from '../../functions/phase4-api/handler.ts';
import { handler as jobs } from '../../functions/phase5-jobs/handler.ts';
import { closeDatabaseAt } from '../../functions/runtime/database.ts';
import { withEnvironment } from '../../functions/runtime/environment.ts';
import { FlagStore } from '../../functions/runtime/flag-store.ts';
import { localFunctions } from '../../infra/local/aws/functions.ts';
import type { LocalAws } from '../../infra/local/aws/start.ts';
import type { HttpApiHandler } from '../../infra/local/http/gateway.ts';
import { writerLogin } from '../../infra/local/writers/login.ts';
import { measureParity, toMirrored } from './measures.ts';

/** A database whose schema phase is done. */
export interface Prepared {
  readonly url: string;
  readonly db: Database;
  readonly binding: Binding;
}

/** The service's functions over one database, called as Lambda calls them. */
export interface ServiceRig extends Prepared {
  readonly serviceUrl: string;
  readonly flags: FlagStore;
  readonly api: HttpApiHandler;
  /** With a context of its own; JSON goes in and comes out, as on AWS. */
  invoke(name: 'api' | 'jobs', event: unknown): Promise<unknown>;
  close(): Promise<void>;
}

export const serviceRig = async (
  { endpoint, region, credentials }: LocalAws,
  name: string,
  prepared: Prepared,
): Promise<ServiceRig> => {
  const serviceUrl = await writerLogin(prepared.db, prepared.binding, prepared.url);
  const scope = {
    variables: {
      DATABASE_URL: serviceUrl,
      KITS_ENVIRONMENT: name,
      AWS_ENDPOINT_URL: endpoint,
      AWS_REGION: region,
      AWS_ACCESS_KEY_ID: credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
    },
    log: () => {},
  };
  const ssm = new SSMClient({ endpoint, region, credentials });
  const flags = new FlagStore(ssm, name);
  await flags.ensure();
  const call: HttpApiHandler = (event, context) =>
    withEnvironment(scope, () => api(event, context));
  const functions = localFunctions();
  functions.register('api', (event, context) =>
    call(event as Parameters<HttpApiHandler>[0], context),
  );
  functions.register('jobs', (event, context) =>
    withEnvironment(scope, () => jobs(event as Parameters<typeof jobs>[0], context)),
  );
  return {
    ...prepared,
    serviceUrl,
    flags,
    api: call,
    invoke: async (which, event) =>
      JSON.parse(await functions.invoke(which, JSON.stringify(event))),
    async close() {
      await functions.idle();
      ssm.destroy();
      await closeDatabaseAt(serviceUrl);
    },
  };
};

/** Flips to a stage from `copying` (copied), or a later one, and sets the flags as they are there. */
export const toStage = async ({ db, binding, flags }: ServiceRig, to: Stage): Promise<void> => {
  const { stage } = await db.transaction({}, readStage);
  if (stage === 'copying') await toMirrored(db, binding);
  const from = stage === 'copying' ? 'mirrored' : stage;
  for (const next of stagePath(from, to)) {
    await drain(db, binding, Number.POSITIVE_INFINITY);
    if (next === 'dual-write' || next === 'unified') await measureParity(db, binding);
    await flip(db, binding, { to: next, phase: 'bench', actor: 'bench' });
  }
  const unifiedWrites = STAGE_DEFINITIONS[to].writes === 'kits';
  await flags.write({ unifiedReads: true, unifiedWrites, dualWrite: to === 'dual-write' });
};

/** A kit with its owner and all that names it. */
export interface SampledKit {
  readonly source: Source;
  readonly legacyId: string;
  readonly kitsId: string;
  readonly kitNumber: string;
  readonly userId: string;
  readonly practitionerId: string | null;
}

/** Kits picked at random, half of each source, none twice; of a migrated database whose twin has the same. */
export const sampleKits = async (
  { db, binding }: Prepared,
  count: number,
  where = 'true',
): Promise<SampledKit[]> => {
  const part = (source: Source) =>
    `(select source, legacy_id as "legacyId", id::text as "kitsId", kit_number as "kitNumber", user_id::text as "userId", practitioner_id::text as "practitionerId"
        from ${binding.kits} k where source = '${source}' and ${where} order by md5(kit_number) limit $1)`;
  const rows = await db.query<SampledKit & Record<string, unknown>>(
    `select * from (${part('kit')} union all ${part('practitioner_kits')}) k order by md5("kitsId")`,
    [Math.ceil(count / 2)],
    { asEngine: true },
  );
  if (rows.length < count)
    throw new Error(`${count} kits are wanted, and there are ${rows.length}`);
  return rows.slice(0, count);
};
