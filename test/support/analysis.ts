import {
  type AnalyseOptions,
  type Analysis,
  analyse,
  type Binding,
  bindMapping,
  type Database,
  installTracking,
} from '@unified-kits/data';
import type { Finding, Mapping } from '@unified-kits/domain';

/** Binds as phase 0 does: before phase 1 has made anything. */
export const bound = async (db: Database, mapping: Mapping): Promise<Binding> => {
  await installTracking(db);
  return db.transaction({ readOnly: true }, (session) => bindMapping(session, mapping));
};

/** The whole of phase 0, call after call as the workflow makes them. */
export const analysed = async (
  db: Database,
  mapping: Mapping,
  {
    binding,
    ...options
  }: Partial<AnalyseOptions> & {
    /** For a role that may not install. */
    readonly binding?: Binding;
  } = {},
): Promise<Analysis> => {
  const on = binding ?? (await bound(db, mapping));
  for (let calls = 0; calls < 10_000; calls += 1) {
    const outcome = await analyse(db, on, { deadline: Date.now() + 60_000, ...options });
    if (outcome.done) return outcome.analysis;
  }
  throw new Error('the analysis does not end');
};

export type Brief = Pick<Finding, 'code' | 'source' | 'count' | 'keys'> & {
  readonly column?: string | undefined;
};

/** What a finding says, without its words. */
export const brief = ({ code, source, column, count, keys }: Finding): Brief => ({
  code,
  source,
  ...(column === undefined ? {} : { column }),
  count,
  keys,
});
