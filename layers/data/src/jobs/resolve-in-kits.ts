import type { JobReferences, Source } from '@unified-kits/domain';
import type { Binding } from '../catalog/bind-mapping.ts';
import type { Session } from '../connection/database.ts';
import { project } from '../projection/projection.ts';
import { quoteLiteral } from '../sql/identifier.ts';
import { type FoundBatch, type FoundRow, foundBatch } from './found-keys.ts';
import { REFERENCES, referenceArrays } from './reference-arrays.ts';

const key = `k.source || ':' || k.legacy_id`;

/**
 * The statement that looks up every reference of a batch in `kits`. Lateral subqueries, so that each is an
 * index lookup whatever the planner thinks of an array's length.
 */
export const resolveInKitsStatement = (binding: Binding): string => {
  const byLegacyId = (source: Source, reference: string) =>
    `(select ${key} from ${binding.kits} k where k.source = ${quoteLiteral(source)} and ${project(binding, binding.sources[source]).kitsKey} = cast(${reference} as ${binding.sources[source].idType}))`;
  return `
select st.stage,
       (select ${key} from ${binding.kits} k where k.id = r.kits_id) as by_kits_id,
       ${byLegacyId('kit', 'r.kit_id')} as by_kit_id,
       ${byLegacyId('practitioner_kits', 'r.practitioner_kit_id')} as by_practitioner_kit_id,
       array(select ${key} from ${binding.kits} k where k.kit_number = r.kit_number) as by_kit_number
  from migration.stage st cross join ${REFERENCES}
 order by r.n`;
};

/** Looks up the references of a whole batch of jobs in `kits`, with one query. */
export const resolveInKits = async (
  session: Session,
  binding: Binding,
  references: readonly JobReferences[],
): Promise<FoundBatch> => {
  const { rows } = await session.query<FoundRow>(resolveInKitsStatement(binding), [
    ...referenceArrays(references, binding.sources),
  ]);
  return foundBatch(rows);
};
