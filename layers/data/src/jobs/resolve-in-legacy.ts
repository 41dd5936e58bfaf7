import { type JobReferences, type SharedField, SOURCES, type Source } from '@unified-kits/domain';
import type { Binding, BoundSource } from '../catalog/bind-mapping.ts';
import type { CatalogColumn } from '../catalog/read-table.ts';
import type { Session } from '../connection/database.ts';
import { legacyKitsId } from '../kits/kit-columns.ts';
import { numberIs } from '../kits/number-match.ts';
import { quoteIdentifier, quoteLiteral } from '../sql/identifier.ts';
import { type FoundBatch, type FoundRow, foundBatch } from './found-keys.ts';
import { REFERENCES, referenceArrays } from './reference-arrays.ts';

const idOf = (source: BoundSource) => `s.${quoteIdentifier(source.id.name)}`;
const keyOf = (source: BoundSource) =>
  `${quoteLiteral(`${source.source}:`)} || ${idOf(source)}::text`;

const columnOf = (source: BoundSource, field: SharedField): CatalogColumn | undefined =>
  source.rules.find((rule) => rule.field === field)?.column;

/** The milliseconds since 1970 that a kits id begins with, and what they say at both ends of their range. */
const MILLISECONDS = `('x' || lpad(left(replace(r.kits_id::text, '-', ''), 12), 16, '0'))::bit(64)::bigint`;
const CLAMPED_BELOW = '0';
const CLAMPED_ABOVE = '281474976710655';
const IN_RANGE = `${MILLISECONDS} > ${CLAMPED_BELOW} and ${MILLISECONDS} < ${CLAMPED_ABOVE}`;
const OUT_OF_RANGE = `${MILLISECONDS} in (${CLAMPED_BELOW}, ${CLAMPED_ABOVE})`;
const FIRST = `timestamptz '1970-01-01 00:00:00.002+00'`;
const LAST = `timestamptz '10889-08-01 00:00:00+00'`;

/** A point in time as a column holds it: those without a zone hold UTC. */
const as = (time: string, { baseType }: CatalogColumn): string =>
  baseType === 'timestamp with time zone'
    ? time
    : `cast((${time}) at time zone 'UTC' as ${baseType})`;
/** A date is the midnight that begins it. */
const before = ({ baseType }: CatalogColumn): string => (baseType === 'date' ? '<=' : '<');

/**
 * The row of a source that a kits id belongs to, by the time that the id begins with: the rest is a hash,
 * and cannot be turned back. An index on the time makes it a look-up; without one it is a scan.
 */
const ofKitsId = (source: BoundSource): string | undefined => {
  const created = columnOf(source, 'createdAt');
  if (created === undefined) return undefined;
  const column = `s.${quoteIdentifier(created.name)}`;
  // The id's time was floored as a double, which may have fallen short: one millisecond more on either side.
  const from = `timestamptz 'epoch' + (${MILLISECONDS} - 1) * interval '1 millisecond'`;
  const to = `timestamptz 'epoch' + (${MILLISECONDS} + 2) * interval '1 millisecond'`;
  return `(select ${keyOf(source)} as key from ${source.relation} s where ${IN_RANGE} and ${column} >= ${as(from, created)} and ${column} ${before(created)} ${as(to, created)} and ${legacyKitsId(source)} = r.kits_id)`;
};

/**
 * The rows with an id whose time says nothing, because there was none, or none that an id can hold. They may
 * be many, or all: one pass for the whole batch, and none where no job asks for such an id.
 */
const ofTimelessIds = (source: BoundSource): string => {
  const created = columnOf(source, 'createdAt');
  const column = created && `s.${quoteIdentifier(created.name)}`;
  const outOfRange =
    created === undefined
      ? ''
      : ` and (${column} is null or ${column} ${before(created)} ${as(FIRST, created)} or ${column} >= ${as(LAST, created)})`;
  return `select ${legacyKitsId(source)} as kits_id, ${keyOf(source)} as key from ${source.relation} s where (select cardinality(ids) > 0 from asked)${outOfRange} and ${legacyKitsId(source)} = any ((select ids from asked)::uuid[])`;
};

/** At most two rows with a kit number: with the same text, as it is in `kits`. */
const ofNumber = (source: BoundSource): string => {
  const column = columnOf(source, 'kitNumber');
  if (column === undefined) throw new TypeError('every source has a kit number');
  const text = `s.${quoteIdentifier(column.name)}::text collate pg_catalog."C" = r.kit_number`;
  const found = numberIs(column, `r.${source.source}_held`);
  return `(select ${keyOf(source)} as key from ${source.relation} s where ${found === undefined ? '' : `${found} and `}${text} limit 2)`;
};

/**
 * The statement that looks up every reference of a batch in the legacy tables. A kit number may be there
 * more than once: two are told, so that a job for one is never given to the other.
 */
export const resolveInLegacyStatement = (binding: Binding): string => {
  const byId = (source: Source, reference: string) => {
    const bound = binding.sources[source];
    return `(select ${keyOf(bound)} from ${bound.relation} s where ${idOf(bound)} = cast(${reference} as ${bound.idType}))`;
  };
  const both = (of: (source: BoundSource) => string | undefined) =>
    SOURCES.flatMap((source) => of(binding.sources[source]) ?? []).join(' union all ');
  const timed = both(ofKitsId);
  const timeless = '(select t.key from timeless t where t.kits_id = r.kits_id limit 1)';
  return `
with r as materialized (select * from ${REFERENCES}),
     asked as materialized (select array(select r.kits_id from r where ${OUT_OF_RANGE}) as ids),
     timeless as materialized (${both(ofTimelessIds)})
select st.stage,
       ${timed === '' ? timeless : `coalesce((select c.key from (${timed}) c limit 1), ${timeless})`} as by_kits_id,
       ${byId('kit', 'r.kit_id')} as by_kit_id,
       ${byId('practitioner_kits', 'r.practitioner_kit_id')} as by_practitioner_kit_id,
       array(select c.key from (${both(ofNumber)}) c limit 2) as by_kit_number
  from migration.stage st cross join r
 order by r.n`;
};

/** Looks up the references of a whole batch of jobs in the legacy tables, with one query. */
export const resolveInLegacy = async (
  session: Session,
  binding: Binding,
  references: readonly JobReferences[],
): Promise<FoundBatch> => {
  const { rows } = await session.query<FoundRow>(resolveInLegacyStatement(binding), [
    ...referenceArrays(references, binding.sources),
  ]);
  return foundBatch(rows);
};
