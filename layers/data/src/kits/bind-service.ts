import {
  type LegacyIdTypes,
  type Mapping,
  SchemaVersionMismatch,
  type Source,
  STAGE_DEFINITIONS,
  STAGES,
} from '@unified-kits/domain';
import {
  type Binding,
  type BoundSource,
  bindMapping,
  type LegacyTables,
} from '../catalog/bind-mapping.ts';
import type { Session } from '../connection/database.ts';
import type { KitStore } from './kit-store.ts';
import { legacyKitStore } from './legacy-kit-store.ts';
import { unifiedKitStore } from './unified-kit-store.ts';

/** A mapping bound to the live schema for the service: both stores, and what it must know of the columns. */
export interface ServiceBinding {
  readonly binding: Binding;
  readonly stores: Readonly<Record<'legacy' | 'kits', KitStore>>;
  readonly numbers: Readonly<Record<Source, NumberIndexes>>;
  readonly idTypes: LegacyIdTypes;
}

/** Whether an index on the kit number finds a kit among all, and those that keep the number unique. */
const NUMBER_INDEXES = `
select coalesce(bool_or(a.attnum = i.indkey[0] and i.indpred is null), false) as searchable,
       coalesce(array_agg(c.relname::text) filter (where i.indisunique), '{}') as "uniqueIndexes"
  from pg_attribute a
  join pg_index i on i.indrelid = a.attrelid
  join pg_class c on c.oid = i.indexrelid
 where a.attrelid = $1::oid and a.attname = $2 and i.indisvalid
   and (a.attnum = any (i.indkey)
        or exists (select from pg_depend d where d.objid = i.indexrelid and d.refobjid = a.attrelid and d.refobjsubid = a.attnum))`;

/** What a source's table does about kit numbers. */
export interface NumberIndexes {
  readonly searchable: boolean;
  readonly uniqueIndexes: readonly string[];
}

const numberIndexes = async (session: Session, source: BoundSource): Promise<NumberIndexes> => {
  const rule = source.rules.find(({ field }) => field === 'kitNumber');
  const { rows } = await session.query(NUMBER_INDEXES, [source.catalog.oid, rule?.column.name]);
  return rows[0];
};

const INTEGERS = new Set(['smallint', 'integer', 'bigint']);

/** Where `kits` leads, the legacy tables that phase 1 made it for. */
const INSTALLED_TABLES = `
select i.legacy_tables as tables from migration.stage st join migration.installed i on i.component = 'kits'
 where st.stage = any ($1::text[]) and i.legacy_tables is not null`;

const KITS_LEAD = STAGES.filter((stage) => STAGE_DEFINITIONS[stage].writes === 'kits');

/**
 * The mapping bound to the legacy tables as they are or, where `kits` leads, as they were when it was made
 * for them: what has become of them since is the mirror's concern, and no client's.
 */
const bindForStage = async (session: Session, mapping: Mapping): Promise<Binding> => {
  const { rows } = await session.query<{ tables: LegacyTables }>(INSTALLED_TABLES, [KITS_LEAD]);
  return bindMapping(session, mapping, rows[0]?.tables);
};

/**
 * Binds the mapping for the service.
 *
 * @throws {MappingMismatch} when the mapping does not fit the live schema.
 * @throws {SchemaVersionMismatch} when the service's own tables are not there yet.
 */
export const bindService = async (session: Session, mapping: Mapping): Promise<ServiceBinding> => {
  const { rows } = await session.query(
    `select to_regclass('kits_service.kit_event') is not null and to_regclass('migration.stage') is not null as ready`,
  );
  if (!rows[0].ready)
    throw new SchemaVersionMismatch(
      'the service\'s own tables are not there: run the schema phase\'s "prepare" first',
    );
  const binding = await bindForStage(session, mapping);
  const { kit, practitioner_kits } = binding.sources;
  const numbers: ServiceBinding['numbers'] = {
    kit: await numberIndexes(session, kit),
    practitioner_kits: await numberIndexes(session, practitioner_kits),
  };
  const idType = ({ idType: type }: BoundSource) => (INTEGERS.has(type) ? 'integer' : 'string');
  return {
    binding,
    stores: { legacy: legacyKitStore(binding, numbers), kits: unifiedKitStore(binding) },
    numbers,
    idTypes: { kit: idType(kit), practitioner_kits: idType(practitioner_kits) },
  };
};
