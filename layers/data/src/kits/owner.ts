import type { OwnerType } from '@unified-kits/domain';
import type { Binding } from '../catalog/bind-mapping.ts';
import type { Session } from '../connection/database.ts';
import { qualifiedName, quoteIdentifier } from '../sql/identifier.ts';

/**
 * Keeps two births of one kit number apart until the first has committed: the legacy tables have no unique
 * index over both, so without it both would look, find nothing, and be born.
 */
export const ownerLock = (session: Session, kitNumber: string): Promise<unknown> =>
  session.query(
    `select pg_advisory_xact_lock(hashtextextended('unified-kits kit number ' || $1, 0))`,
    [kitNumber],
  );

/** A subquery that finds a new kit's owner: a practitioner without a user owns nothing yet. */
export const ownerTable = (binding: Binding, ownerType: OwnerType, id: string): string => {
  const { users, target, sources } = binding.mapping;
  if (ownerType === 'client')
    return `select from ${qualifiedName(users.schema, users.table)} u where u.${quoteIdentifier(users.id)} = cast(${id} as ${target.userIdType})`;
  const { practitioners } = sources.practitioner_kits.owner;
  return `select from ${qualifiedName(practitioners.schema, practitioners.table)} p where p.${quoteIdentifier(practitioners.id)} = cast(${id} as ${target.practitionerIdType}) and p.${quoteIdentifier(practitioners.userId)} is not null`;
};
