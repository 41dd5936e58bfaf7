import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Binding,
  bindMapping,
  type Database,
  installTracking,
  loadMapping,
  openDatabase,
  readStage,
} from '@unified-kits/data';
import { InvalidInput, STAGE_DEFINITIONS } from '@unified-kits/domain';
import { plantBlockers } from '../legacy/blockers.ts';
import { generateLegacy } from '../legacy/generate.ts';
import { takeOriginal } from '../legacy/original.ts';
import { REFERENCE_SCHEMA } from '../legacy/reference-schema.ts';
import { writerLogin } from '../writers/login.ts';
import { type WritersPlan, writersPlan } from '../writers/plan.ts';
import type { RunState } from './run-state.ts';
import type { Target } from './target.ts';

/** Makes the reference schema and its data; on a given database only where nothing stands in the way. */
export const seed = async (target: Target, state: RunState): Promise<void> => {
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
  readonly writers: { readonly plan: WritersPlan; readonly url: string } | undefined;
}

/**
 * Opens the database, binds the mapping, and makes the writers' login and plan.
 *
 * @throws {MappingMismatch} naming every place where the mapping does not fit the database.
 */
export const prepare = async (
  target: Target,
  state: RunState,
  mappingPath: string | undefined,
): Promise<Prepared> => {
  const db = openDatabase(target.databaseUrl, 4);
  try {
    const mapping = await loadMapping(mappingPath);
    const binding = await db.transaction({}, (session) => bindMapping(session, mapping));
    await installTracking(db);
    return { db, binding, writers: await prepareWriters(db, binding, target, state) };
  } catch (error) {
    await db.close();
    throw error;
  }
};

const prepareWriters = async (
  db: Database,
  binding: Binding,
  target: Target,
  state: RunState,
): Promise<Prepared['writers']> => {
  if (state.writers === 0) return undefined;
  const { stage } = await db.transaction({ readOnly: true }, readStage);
  const planned = await stat(join(target.stateDirectory, 'writers.json')).then(
    () => true,
    () => false,
  );
  // What a writer may do is found by trying on the legacy tables: past the switch it is too late to begin.
  if (!planned && STAGE_DEFINITIONS[stage].writes !== 'legacy') return undefined;
  const url = await writerLogin(db, binding, target.databaseUrl);
  const plan = await writersPlan(db, binding, {
    directory: target.stateDirectory,
    writerUrl: url,
    writers: state.writers,
  });
  return { plan, url };
};

/** Remembers the legacy content that a rollback must bring back. */
export const rememberOriginal = async ({ db, binding, writers }: Prepared): Promise<void> => {
  const { stage } = await db.transaction({ readOnly: true }, readStage);
  if (stage === 'legacy')
    await takeOriginal(db, binding, writers?.plan.written ?? { kit: [], practitioner_kits: [] });
};
