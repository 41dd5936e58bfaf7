import { type Mapping, SchemaVersionMismatch } from '@unified-kits/domain';
import { type Binding, bindMapping } from '../catalog/bind-mapping.ts';
import type { Session } from '../connection/database.ts';

/** Raised when `kits`, a function or a trigger changes in a way that an installed schema must be told of. */
export const KITS_VERSION = 2;

/** What the installed functions were generated from. */
export const installedDigest = (binding: Binding): string =>
  `${binding.mappingDigest} ${binding.columnsDigest}`;

/**
 * Binds the mapping and checks that the installed functions were generated from it.
 *
 * @param columns whether the legacy columns may have changed since: nothing that calls the functions may
 *   go on then, but a rollback that only switches them off, and deletes, must not be stuck for it
 * @throws {SchemaVersionMismatch} when phase 1 has not run, or ran with another mapping or schema.
 */
export const bindInstalled = async (
  session: Session,
  mapping: Mapping,
  columns: 'unchanged' | 'may-differ' = 'unchanged',
): Promise<Binding> => {
  const binding = await bindMapping(session, mapping);
  const { rows } = await session.query(
    `select to_regclass('migration.installed') is not null as present`,
  );
  const installed = rows[0].present
    ? (
        await session.query(
          `select version, digest from migration.installed where component = 'kits'`,
        )
      ).rows[0]
    : undefined;
  if (installed === undefined)
    throw new SchemaVersionMismatch('phase 1 has not made kits yet: run the schema phase first');
  const same =
    installed.digest === installedDigest(binding) ||
    (columns === 'may-differ' && installed.digest.startsWith(`${binding.mappingDigest} `));
  if (installed.version !== KITS_VERSION || !same)
    throw new SchemaVersionMismatch(
      'the mapping or the legacy schema is not the one that phase 1 installed: run the schema phase again',
    );
  return binding;
};
