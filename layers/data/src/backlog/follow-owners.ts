import type { Binding } from '../catalog/bind-mapping.ts';
import type { Session } from '../connection/database.ts';
import { kitsKeyExpression } from '../projection/projection.ts';
import { qualifiedName, quoteIdentifier, quoteLiteral } from '../sql/identifier.ts';

/**
 * Sets the user of some practitioner kits to their practitioner's. `kits.user_id` is derived, also while
 * `kits` leads: an owner change that could not reach a row (a client held it, or it was born in the same
 * moment) comes here through the backlog or a comparison, and legacy has nothing to give it back from.
 */
export const followOwners = async (
  session: Session,
  binding: Binding,
  keys: readonly string[],
): Promise<void> => {
  const source = binding.sources.practitioner_kits;
  const { practitioners } = binding.mapping.sources.practitioner_kits.owner;
  const userId = `p.${quoteIdentifier(practitioners.userId)}`;
  await session.query(
    `update ${binding.kits} k set user_id = ${userId}
       from ${qualifiedName(practitioners.schema, practitioners.table)} p
      where k.source = ${quoteLiteral(source.source)}
        and ${kitsKeyExpression('k.', source.source, source.idType)} = any ($1::text[]::${source.idType}[])
        and p.${quoteIdentifier(practitioners.id)} = k.practitioner_id
        and k.user_id is distinct from ${userId}`,
    [keys],
  );
};
