import { SHARED_COLUMNS, SHARED_FIELDS, SOURCES } from '@unified-kits/domain';
import type { Binding } from '../catalog/bind-mapping.ts';
import { kitsKeyExpression } from '../projection/projection.ts';
import { qualifiedName, quoteIdentifier, quoteLiteral } from '../sql/identifier.ts';

const defaultOf = (field: string) =>
  field === 'createdAt' || field === 'updatedAt' ? ' default now()' : '';

const sharedColumns = SHARED_FIELDS.map((field) => {
  const { column, type, required } = SHARED_COLUMNS[field];
  return `  ${column} ${type}${required ? ' not null' : ''}${defaultOf(field)}`;
}).join(',\n');

const idCollation = (binding: Binding, source: (typeof SOURCES)[number]): string => {
  const { id, idType } = binding.sources[source];
  return idType === 'text' ? ` collate ${id.collation ?? 'pg_catalog."default"'}` : '';
};

/** The name of a source's typed key index. */
export const keyIndexName = (source: string): string => `kits_${source}_key`;

/** The conflict target that infers a source's typed key index. */
export const keyArbiter = (binding: Binding, source: (typeof SOURCES)[number]): string =>
  `(${kitsKeyExpression('', source, binding.sources[source].idType, idCollation(binding, source))}) where source = ${quoteLiteral(source)}`;

/**
 * `kits` with the keys it needs while it is filled, and `kit_id_map`, a view: one truth, nothing to drift.
 * Pages keep a tenth free, and no index names a column that every write changes (`updated_at`), so that
 * an update finds room on its page and touches no index.
 */
export const kitsTable = (binding: Binding): string => {
  const { target } = binding.mapping;
  return `
create table ${binding.kits} (
  id uuid constraint kits_pkey primary key,
  owner_type text not null,
  user_id ${target.userIdType} not null,
  practitioner_id ${target.practitionerIdType},
${sharedColumns},
  legacy_attributes jsonb not null default '{}',
  source text not null,
  legacy_id text not null,
  migration_batch_id uuid,
  migrated_at timestamptz default now(),
  constraint kits_kit_number_key unique (kit_number),
  constraint kits_source_check check (source in (${SOURCES.map(quoteLiteral).join(', ')})),
  constraint kits_owner_type_check check (owner_type in ('client', 'practitioner')),
  constraint kits_owner_check check ((owner_type = 'practitioner') = (practitioner_id is not null))
) with (fillfactor = 90);
${SOURCES.map((source) => `create unique index ${keyIndexName(source)} on ${binding.kits} ${keyArbiter(binding, source)};`).join('\n')}
create view ${qualifiedName(target.schema, 'kit_id_map')} with (security_invoker = true) as
  select source, legacy_id, id as kits_id, migration_batch_id, migrated_at from ${binding.kits};
`;
};

/**
 * Indexes that the copy does without and that are built after it: measured, 0.59 of the time of a
 * copy into the fully indexed table. (source, legacy_id) serves those who know a key only as text.
 */
export const SECONDARY_INDEXES: readonly {
  readonly name: string;
  readonly unique: boolean;
  readonly on: string;
}[] = [
  { name: 'kits_legacy_key', unique: true, on: '(source, legacy_id)' },
  // A practitioner's user does not own the practitioner's kits, of which there may be very many.
  { name: 'kits_user_idx', unique: false, on: "(user_id, id) where owner_type = 'client'" },
  {
    name: 'kits_practitioner_idx',
    unique: false,
    on: '(practitioner_id, id) where practitioner_id is not null',
  },
  { name: 'kits_status_idx', unique: false, on: '(status, id)' },
];

export const createSecondaryIndex = (
  binding: Binding,
  index: (typeof SECONDARY_INDEXES)[number],
): string =>
  `create ${index.unique ? 'unique ' : ''}index if not exists ${quoteIdentifier(index.name)} on ${binding.kits} ${index.on}`;

/** What applications may do with `kits`; the stage's triggers decide when. */
export const kitsGrants = (binding: Binding): string => {
  const map = qualifiedName(binding.mapping.target.schema, 'kit_id_map');
  return `
grant select, insert, update, delete on ${binding.kits} to kits_app;
grant select on ${map} to kits_app;
grant select on ${binding.kits}, ${map} to kits_readonly;
`;
};
