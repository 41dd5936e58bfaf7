import { SOURCES } from '@unified-kits/domain';
import type { Binding } from '../catalog/bind-mapping.ts';
import {
  APPLICATION_ROLE,
  ENGINE_ROLE,
  READONLY_ROLE,
  type Session,
} from '../connection/database.ts';
import { hasSqlState, SQLSTATE } from '../connection/sqlstate.ts';
import { qualifiedName, quoteIdentifier } from '../sql/identifier.ts';
import { readSchemas, readSequences, type Sequences } from './column-dependencies.ts';

const grantLegacy = (binding: Binding): string => {
  const { mapping } = binding;
  const { practitioners } = mapping.sources.practitioner_kits.owner;
  const schemas = new Set([
    ...SOURCES.map((source) => mapping.sources[source].schema),
    mapping.users.schema,
    practitioners.schema,
  ]);
  return [
    ...[...schemas].map(
      (schema) => `grant usage on schema ${quoteIdentifier(schema)} to ${ENGINE_ROLE}`,
    ),
    `grant usage, create on schema ${quoteIdentifier(mapping.target.schema)} to ${ENGINE_ROLE}`,
    // Here, where the schema's owner is at work: granted by the engine's role it would be nothing but a warning.
    `grant usage on schema ${quoteIdentifier(mapping.target.schema)} to ${APPLICATION_ROLE}, ${READONLY_ROLE}`,
    ...SOURCES.map(
      (source) =>
        `grant select, insert, update, delete on ${binding.sources[source].relation} to ${ENGINE_ROLE}`,
    ),
    `grant select on ${qualifiedName(practitioners.schema, practitioners.table)} to ${ENGINE_ROLE}`,
    `grant select on ${qualifiedName(mapping.users.schema, mapping.users.table)} to ${ENGINE_ROLE}`,
  ].join(';\n');
};

const bypassRowSecurity = async (session: Session, binding: Binding) => {
  if (!SOURCES.some((source) => binding.sources[source].catalog.rowSecurity)) return;
  await session.query('savepoint bypass');
  try {
    await session.query(`alter role ${ENGINE_ROLE} bypassrls`);
  } catch (error) {
    if (!hasSqlState(error, SQLSTATE.insufficientPrivilege)) throw error;
    // Not ours to give: the analysis has told the operator to, and row_security = off refuses to copy half a table.
    await session.query('rollback to savepoint bypass');
  }
};

/**
 * Gives the engine's role what its statements need of the organisation's, as the operator who owns it.
 *
 * @returns the sequences behind each source's identity columns, for kits that are born in `kits`.
 */
export const grantEngine = async (
  session: Session,
  binding: Binding,
): Promise<Partial<Record<(typeof SOURCES)[number], Sequences['identity']>>> => {
  const sequences: Partial<Record<(typeof SOURCES)[number], Sequences['identity']>> = {};
  await session.query(grantLegacy(binding));
  for (const schema of await readSchemas(session, binding))
    await session.query(`grant usage on schema ${schema} to ${ENGINE_ROLE}`);
  await bypassRowSecurity(session, binding);
  for (const source of SOURCES) {
    const { identity, used } = await readSequences(session, binding.sources[source]);
    sequences[source] = identity;
    for (const sequence of used)
      await session.query(`grant usage on sequence ${sequence} to ${ENGINE_ROLE}`);
  }
  return sequences;
};
