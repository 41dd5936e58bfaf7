import { type JobReferences, SOURCES, type Source } from '@unified-kits/domain';
import type { Binding, BoundSource } from '../catalog/bind-mapping.ts';
import type { Session } from '../connection/database.ts';
import { legacyKitsId } from '../kits/kit-columns.ts';
import { quoteIdentifier, quoteLiteral } from '../sql/identifier.ts';
import { type FoundBatch, type FoundRow, foundBatch } from './found-keys.ts';
import { REFERENCES, referenceArrays } from './reference-arrays.ts';

const idOf = (source: BoundSource) => `s.${quoteIdentifier(source.id.name)}`;
const keyOf = (source: BoundSource) =>
  `${quoteLiteral(`${source.source}:`)} || ${idOf(source)}::text`;

/** The milliseconds since 1970 that a kits id begins with, and what they say at both ends of their range. */
const MILLISECONDS = `('x' || lpad(left(replace(r.kits_id::text, '-', ''), 12), 16, '0'))::bit(64)::bigint`;
const CLAMPED_BELOW = '0';
const CLAMPED_ABOVE = '281474976710655';
const FIRST = `timestamptz '1970-01-01 00:00:00.002+00'`;
const LAST = `timestamptz '10889-08-01 00:00:00+00'`;

/**
 * The rows of a source that a kits id can belong to, by the time that it begins with: the rest is a hash,
 * and cannot be turned back. Three branches, of which at most one runs, so that each can use an index on the
 * time; without one this is a scan, bounded by the statement's timeout.
 */
const ofKitsId = (source: BoundSource): string => {
  const select = (condition: string) =>
    `(select ${keyOf(source)} as key from ${source.relation} s where ${condition} and ${legacyKitsId(source)} = r.kits_id)`;
  const rule = source.rules.find(({ field }) => field === 'createdAt');
  if (rule === undefined) return select(`${MILLISECONDS} = ${CLAMPED_BELOW}`);
  const column = `s.${quoteIdentifier(rule.column.name)}`;
  const { baseType } = rule.column;
  const as = (time: string) =>
    baseType === 'timestamp with time zone'
      ? time
      : `cast(${time} at time zone 'UTC' as ${baseType})`;
  // The id's time was floored as a double, which may have fallen short: one millisecond more on either side.
  const from = `timestamptz 'epoch' + (${MILLISECONDS} - 1) * interval '1 millisecond'`;
  const to = `timestamptz 'epoch' + (${MILLISECONDS} + 2) * interval '1 millisecond'`;
  // A date is the midnight that begins it.
  const before = baseType === 'date' ? '<=' : '<';
  return [
    select(
      `${MILLISECONDS} > ${CLAMPED_BELOW} and ${MILLISECONDS} < ${CLAMPED_ABOVE} and ${column} >= ${as(from)} and ${column} ${before} ${as(to)}`,
    ),
    select(
      `${MILLISECONDS} = ${CLAMPED_BELOW} and (${column} is null or ${column} ${before} ${as(FIRST)})`,
    ),
    select(`${MILLISECONDS} = ${CLAMPED_ABOVE} and ${column} >= ${as(LAST)}`),
  ].join(' union all ');
};

const TEXTS = new Set(['text', 'character varying']);

/** At most two rows with a kit number. */
const ofNumber = (source: BoundSource): string => {
  const rule = source.rules.find(({ field }) => field === 'kitNumber');
  if (rule === undefined) throw new TypeError('every source has a kit number');
  const column = `s.${quoteIdentifier(rule.column.name)}`;
  const number = TEXTS.has(rule.column.baseType) ? column : `${column}::text`;
  return `(select ${keyOf(source)} as key from ${source.relation} s where ${number} = r.kit_number limit 2)`;
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
  const both = (of: (source: BoundSource) => string) =>
    SOURCES.map((source) => of(binding.sources[source])).join(' union all ');
  return `
select st.stage,
       (select c.key from (${both(ofKitsId)}) c limit 1) as by_kits_id,
       ${byId('kit', 'r.kit_id')} as by_kit_id,
       ${byId('practitioner_kits', 'r.practitioner_kit_id')} as by_practitioner_kit_id,
       array(select c.key from (${both(ofNumber)}) c limit 2) as by_kit_number
  from migration.stage st cross join ${REFERENCES}
 order by r.n`;
};

/** Looks up the references of a whole batch of jobs in the legacy tables, with one query. */
export const resolveInLegacy = async (
  session: Session,
  binding: Binding,
  references: readonly JobReferences[],
): Promise<FoundBatch> => {
  const { kit, practitioner_kits } = binding.sources;
  const { rows } = await session.query<FoundRow>(resolveInLegacyStatement(binding), [
    ...referenceArrays(references, kit, practitioner_kits),
  ]);
  return foundBatch(rows);
};
