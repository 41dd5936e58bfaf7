import {
  CreationUnsupported,
  type LegacyIdTypes,
  type Mapping,
  SchemaVersionMismatch,
  type Source,
} from '@unified-kits/domain';
import { type Binding, type BoundSource, bindMapping } from '../catalog/bind-mapping.ts';
import type { Session } from '../connection/database.ts';
import type { KitStore } from './kit-store.ts';
import { legacyKitStore } from './legacy-kit-store.ts';
import { unifiedKitStore } from './unified-kit-store.ts';

/** A mapping bound to the live schema for the service: both stores, and what it must know of the columns. */
export interface ServiceBinding {
  readonly binding: Binding;
  readonly stores: Readonly<Record<'legacy' | 'kits', KitStore>>;
  readonly idTypes: LegacyIdTypes;
}

/** An index whose first column is the kit number's, and that is there for every row. */
const NUMBER_INDEX = `
select exists (
  select from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
   where i.indrelid = $1::oid and i.indisvalid and i.indpred is null and a.attname = $2) as present`;

const numberIndexed = async (session: Session, source: BoundSource): Promise<boolean> => {
  const rule = source.rules.find(({ field }) => field === 'kitNumber');
  if (rule === undefined) return false;
  const { rows } = await session.query(NUMBER_INDEX, [source.catalog.oid, rule.column.name]);
  return rows[0].present;
};

const INTEGERS = new Set(['smallint', 'integer', 'bigint']);

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
  const binding = await bindMapping(session, mapping);
  const { kit, practitioner_kits } = binding.sources;
  const indexed: Record<Source, boolean> = {
    kit: await numberIndexed(session, kit),
    practitioner_kits: await numberIndexed(session, practitioner_kits),
  };
  const idType = ({ idType: type }: BoundSource) => (INTEGERS.has(type) ? 'integer' : 'string');
  return {
    binding,
    stores: { legacy: legacyKitStore(binding, indexed), kits: unifiedKitStore(binding) },
    idTypes: { kit: idType(kit), practitioner_kits: idType(practitioner_kits) },
  };
};

/**
 * Refuses to make a kit whose legacy row would lack a value that it must have: in `kits` it could be born,
 * and could never be mirrored.
 *
 * @throws {CreationUnsupported} naming the column.
 */
export const assertCreatable = (source: BoundSource, given: ReadonlySet<string>): void => {
  const { columns } = source.catalog;
  for (const column of columns) {
    const filled =
      !column.notNull ||
      column.generated ||
      column.identity !== '' ||
      column.defaultExpression !== null ||
      given.has(column.name) ||
      (column === source.id && source.mapping.id.generator !== undefined);
    if (!filled)
      throw new CreationUnsupported(
        `column "${column.name}" of ${source.relation} must have a value: show it in the mapping's api.attributes, or give it a default`,
      );
  }
};
