import {
  type Binding,
  bindMapping,
  type Database,
  installTracking,
  loadMapping,
  openDatabase,
  readStage,
} from '@unified-kits/data';
import { InvalidInput, type Source } from '@unified-kits/domain';
import { type JobsPlan, jobsPlan } from '../jobs/plan.ts';
import { plantBlockers } from '../legacy/blockers.ts';
import { generateLegacy } from '../legacy/generate.ts';
import { takeOriginal } from '../legacy/original.ts';
import { REFERENCE_SCHEMA } from '../legacy/reference-schema.ts';
import { writerLogin } from '../writers/login.ts';
import { type WritersPlan, writersPlan } from '../writers/plan.ts';
import { writtenColumns } from '../writers/written-fields.ts';
import type { RunState } from './run-state.ts';
import type { Target } from './target.ts';

/** Makes the reference schema and its data; on a given database only where nothing stands in the way. */
export const seed = async (
  target: Target,
  state: Pick<RunState, 'rows' | 'seedNumber' | 'blockers'>,
): Promise<void> => {
  if (target.embedded) await target.recreate();
  const db = openDatabase(target.databaseUrl, 1);
  try {
    // All of it or nothing: a killed seeding leaves nothing half made.
    await db.transaction({ statementTimeoutMs: 0 }, async (session) => {
      const { rows } = await session.query(
        `select name from unnest(array['users', 'practitioners', 'kit', 'practitioner_kits']) name where to_regclass('public.' || name) is not null`,
      );
      if (rows.length > 0)
        throw new InvalidInput(
          `--seed makes the reference schema, and the database has tables of that name already (${rows.map(({ name }) => name).join(', ')}): leave --seed out to migrate them, or name an empty database`,
        );
      await session.query(REFERENCE_SCHEMA);
      await generateLegacy(session, { rows: state.rows, seed: state.seedNumber });
      if (state.blockers) await plantBlockers(session);
      await session.query(
        'analyze public.users, public.practitioners, public.kit, public.practitioner_kits',
      );
    });
  } finally {
    await db.close();
  }
};

/** What a run works with once its database is there. */
export interface Prepared {
  readonly db: Database;
  readonly binding: Binding;
}

/**
 * Opens the database, binds the mapping, and makes the tables that the service needs in every stage.
 *
 * @throws {MappingMismatch} naming every place where the mapping does not fit the database.
 */
export const prepare = async (
  { databaseUrl }: Target,
  mappingPath: string | undefined,
): Promise<Prepared> => {
  const db = openDatabase(databaseUrl, 4);
  try {
    const mapping = await loadMapping(mappingPath);
    const binding = await db.transaction({}, (session) => bindMapping(session, mapping));
    await installTracking(db);
    return { db, binding };
  } catch (error) {
    await db.close();
    throw error;
  }
};

/** Who writes meanwhile, what jobs are sent, and the login of the service that both go through. */
export interface PreparedWriters {
  readonly plan: WritersPlan;
  readonly jobs: JobsPlan;
  readonly serviceUrl: string;
}

export const prepareWriters = async (
  { db, binding }: Prepared,
  target: Target,
  writers: number,
): Promise<PreparedWriters | undefined> => {
  if (writers === 0) return undefined;
  const serviceUrl = await writerLogin(db, binding, target.databaseUrl);
  const directory = target.stateDirectory;
  const plan = await writersPlan(db, binding, { directory, writers });
  const taken = (source: Source) =>
    new Set(plan.kits.flat().flatMap((kit) => (kit.source === source ? [kit.key] : [])));
  const jobs = await jobsPlan(db, binding, directory, {
    kit: taken('kit'),
    practitioner_kits: taken('practitioner_kits'),
  });
  return { serviceUrl, plan, jobs };
};

/** Remembers the legacy content that a rollback must bring back. */
export const rememberOriginal = async ({ db, binding }: Prepared): Promise<void> => {
  const { stage } = await db.transaction({ readOnly: true }, readStage);
  if (stage === 'legacy') await takeOriginal(db, binding, writtenColumns(binding));
};
