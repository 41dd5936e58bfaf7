import { SOURCES } from '@unified-kits/domain';
import type { Binding, BoundSource } from '../catalog/bind-mapping.ts';
import type { Session } from '../connection/database.ts';
import { qualifiedName } from '../sql/identifier.ts';

export interface Sequences {
  /** Behind identity columns, by column. */
  readonly identity: ReadonlyMap<string, string>;
  /** All that a birth may draw from, which the engine's role must be allowed to use. */
  readonly used: readonly string[];
}

/** The sequences that a source's identity columns and defaults draw from. */
export const readSequences = async (session: Session, source: BoundSource): Promise<Sequences> => {
  const { rows } = await session.query(
    `select t.attname as column, pg_get_serial_sequence($1, t.attname) as identity,
            array(select d.refobjid::regclass::text
                    from pg_attrdef a join pg_depend d on d.classid = 'pg_attrdef'::regclass and d.objid = a.oid
                    join pg_class c on d.refclassid = 'pg_class'::regclass and c.oid = d.refobjid and c.relkind = 'S'
                   where a.adrelid = t.attrelid and a.adnum = t.attnum) as used, t.attidentity <> '' as "isIdentity"
       from pg_attribute t where t.attrelid = $2::oid and t.attnum > 0 and not t.attisdropped`,
    [source.relation, source.catalog.oid],
  );
  const { generator } = source.mapping.id;
  const identity = new Map<string, string>(
    rows.flatMap((row) =>
      row.isIdentity && row.identity !== null ? [[row.column, row.identity]] : [],
    ),
  );
  const used = new Set<string>([...identity.values(), ...rows.flatMap((row) => row.used)]);
  if (generator?.kind === 'sequence') used.add(qualifiedName(generator.schema, generator.name));
  return { identity, used: [...used] };
};

/** Whether a legacy table has a constraint that may be checked as late as at the end of a transaction. */
export const hasDeferrable = async (session: Session, binding: Binding): Promise<boolean> => {
  const { rows } = await session.query(
    'select exists (select from pg_constraint where condeferrable and conrelid = any ($1::oid[])) as deferrable',
    [SOURCES.map((source) => binding.sources[source].catalog.oid)],
  );
  return rows[0].deferrable;
};

/**
 * The schemas, quoted, of the types, collations and defaults of the legacy columns. The engine's role
 * needs USAGE on each: without it a cast to an enum that lives elsewhere is refused.
 */
export const readSchemas = async (
  session: Session,
  binding: Binding,
): Promise<readonly string[]> => {
  const { rows } = await session.query(
    `with recursive columns as (
       select a.attrelid, a.attnum, a.atttypid, a.attcollation from pg_attribute a
        where a.attrelid = any ($1::oid[]) and a.attnum > 0 and not a.attisdropped
     ), types as (
       select t.typnamespace, t.typbasetype from columns join pg_type t on t.oid = columns.atttypid
       union
       select b.typnamespace, b.typbasetype from types join pg_type b on b.oid = types.typbasetype
     ), used as (
       select typnamespace as namespace from types
       union
       select c.collnamespace from columns join pg_collation c on c.oid = columns.attcollation
       union
       select coalesce(p.pronamespace, c.relnamespace, t.typnamespace)
         from columns join pg_attrdef a on a.adrelid = columns.attrelid and a.adnum = columns.attnum
         join pg_depend d on d.classid = 'pg_attrdef'::regclass and d.objid = a.oid
         left join pg_proc p on d.refclassid = 'pg_proc'::regclass and p.oid = d.refobjid
         left join pg_class c on d.refclassid = 'pg_class'::regclass and c.oid = d.refobjid
         left join pg_type t on d.refclassid = 'pg_type'::regclass and t.oid = d.refobjid
     )
     select namespace::regnamespace::text as schema from used
      where namespace is not null and namespace <> 'pg_catalog'::regnamespace`,
    [SOURCES.map((source) => binding.sources[source].catalog.oid)],
  );
  return rows.map(({ schema }) => schema);
};
