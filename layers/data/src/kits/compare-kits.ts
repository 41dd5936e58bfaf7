import type { Kit, Source } from '@unified-kits/domain';
import { NOTED_PRACTITIONER } from '../backlog/changed-owners.ts';
import type { Session } from '../connection/database.ts';
import type { ServiceBinding } from './bind-service.ts';

/** A kit that the two stores show differently: by key and names, never by value. */
export interface KitDifference {
  readonly legacyId: string;
  readonly fields: readonly string[];
}

export interface Comparison {
  /** Kits looked at; none in a stage where one store is not kept in step. */
  readonly compared: number;
  readonly differences: readonly KitDifference[];
}

const flat = ({ fields, legacyFields, attributes, ...ids }: Kit): Map<string, unknown> =>
  new Map<string, unknown>([
    ...Object.entries(ids),
    ...Object.entries(fields),
    ...Object.entries(legacyFields).map(([name, value]) => [`legacy.${name}`, value] as const),
    ...Object.entries(attributes),
  ]);

/** Names of the fields in which two views of a kit differ. */
const differingFields = (one: Kit | undefined, other: Kit | undefined): readonly string[] => {
  if (one === undefined || other === undefined)
    return one === other ? [] : [one === undefined ? 'missing in legacy' : 'missing in kits'];
  const [a, b] = [flat(one), flat(other)];
  return [...new Set([...a.keys(), ...b.keys()])]
    .filter((name) => a.get(name) !== b.get(name))
    .sort();
};

/** Keys that a mirror failed on are known to differ: the drain has them. Long only where nothing is compared. */
const COMPARABLE = `
select array(select p.legacy_id from migration.pending_sync p where p.source = $1) as keys,
       array(select p.legacy_id from migration.pending_sync p where p.source = '${NOTED_PRACTITIONER}') as practitioners
  from migration.stage st where st.stage in ('mirrored', 'dual-write')`;

/**
 * Looks at kits in both stores in one snapshot: a comparison with what a request read a moment ago would
 * call every write in between a difference.
 *
 * @param session in a REPEATABLE READ transaction
 */
export const compareKits = async (
  session: Session,
  { stores }: ServiceBinding,
  source: Source,
  legacyIds: readonly string[],
): Promise<Comparison> => {
  const { rows } = await session.query<{ keys: string[]; practitioners: string[] }>(COMPARABLE, [
    source,
  ]);
  const [noted] = rows;
  if (noted === undefined) return { compared: 0, differences: [] };
  const asked = legacyIds.filter((id) => !noted.keys.includes(id));
  const byId = async (store: 'legacy' | 'kits') =>
    new Map(
      (await stores[store].findMany(session, source, asked)).map((kit) => [kit.legacyId, kit]),
    );
  const [legacy, kits] = [await byId('legacy'), await byId('kits')];
  // The kits of a practitioner who has changed hands are still to follow.
  const follows = (kit: Kit | undefined) =>
    kit?.practitionerId != null && noted.practitioners.includes(kit.practitionerId);
  const compared = asked.filter((id) => !follows(legacy.get(id)) && !follows(kits.get(id)));
  return {
    compared: compared.length,
    differences: compared.flatMap((legacyId) => {
      const fields = differingFields(legacy.get(legacyId), kits.get(legacyId));
      return fields.length === 0 ? [] : [{ legacyId, fields }];
    }),
  };
};
