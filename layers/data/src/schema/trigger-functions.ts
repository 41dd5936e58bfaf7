import { FENCE_SQLSTATE, UNMAPPED_VALUE_SQLSTATE } from '@unified-kits/domain';
import type { Binding, BoundSource } from '../catalog/bind-mapping.ts';
import { ENGINE_ROLE } from '../connection/database.ts';
import { CANONICAL_FUNCTION_SETTINGS } from '../connection/settings.ts';
import { kitsKeyExpression, type Projection } from '../projection/projection.ts';
import { qualifiedName, quoteIdentifier, quoteLiteral } from '../sql/identifier.ts';
import { syncToKitsName, syncToLegacyName } from './sync-functions.ts';

/** How long a client's write may wait for the other store's row before its key is noted instead. */
const MIRROR_LOCK_TIMEOUT = '250ms';
/** The canonical settings include `search_path`; capture needs no other, and each costs time in every write. */
const CAPTURE_SETTINGS = 'set search_path = pg_catalog, pg_temp';

/**
 * The fence. It runs as whoever writes, so `current_user` is the engine's role only in the engine's own
 * statements and in its `security definer` mirrors: nothing an application's session could set.
 * The statement trigger refuses also what would touch no row, because a client with stale flags must
 * hear "not here" instead of "no such kit"; within another trigger (a cascade from a parent) only a row
 * that would really change is refused, by the row trigger.
 */
export const FENCE_FUNCTIONS = `
create or replace function migration.refuse_write() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as $function$
begin
  if current_user <> '${ENGINE_ROLE}' and (tg_level = 'ROW' or pg_trigger_depth() = 1) then
    raise exception using errcode = '${FENCE_SQLSTATE}',
      message = format('%I.%I is not authoritative now: write to %s', tg_table_schema, tg_table_name, tg_argv[0]),
      hint = 'Refresh the flags and try again on the other store.';
  end if;
  if tg_level = 'STATEMENT' then return null; end if;
  if tg_op = 'DELETE' then return old; end if;
  return new;
end $function$;

create or replace function migration.refuse_truncate() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as $function$
begin
  raise exception using errcode = 'feature_not_supported',
    message = format('TRUNCATE of %I.%I is refused while a migration captures its rows', tg_table_schema, tg_table_name),
    hint = 'Use DELETE, or wait until the migration has ended.';
end $function$;

-- The value is an argument so that the planner cannot evaluate the call before a row asks for it; it is never shown.
create or replace function migration.unmapped_value(source text, column_name text, unmapped text) returns text language plpgsql immutable parallel safe set search_path = pg_catalog, pg_temp as $function$
begin
  raise exception using errcode = '${UNMAPPED_VALUE_SQLSTATE}',
    message = format('a value of column %I of %s is not named in the mapping', column_name, source);
end $function$;
`;

interface KeyArrays {
  readonly declare: string;
  readonly assign: string;
}

/** Fills `keys` and `gone` from a statement's transition tables; within, `r` is a changed row. */
const keyArrays = (key: string, type: string, where: string, suffix = ''): KeyArrays => ({
  declare: `keys${suffix} ${type}[]; gone${suffix} ${type}[];`,
  assign: `
  if tg_op = 'INSERT' then
    keys${suffix} := array(select ${key} from new_rows r${where} order by 1);
  elsif tg_op = 'UPDATE' then
    keys${suffix} := array(select ${key} from new_rows r${where} order by 1);
    gone${suffix} := array(select ${key} from old_rows r${where} except select ${key} from new_rows r${where});
  else
    gone${suffix} := array(select ${key} from old_rows r${where} order by 1);
  end if;`,
});

const note = (source: string, suffix: string, cause: string, error: string) => `
    insert into migration.pending_sync (source, legacy_id, cause, error)
    select ${quoteLiteral(source)}, noted.key::text, ${quoteLiteral(cause)}, ${error}
      from unnest(keys${suffix} || gone${suffix}) noted(key);`;

/** A mirror that fails notes its keys, with what failed but no value, and lets the write stand. */
const guarded = (work: string, notes: string) => `
  begin
${work}
  exception when others then
    get stacked diagnostics fault = returned_sqlstate, broken = constraint_name;
    fault := rtrim(fault || ' ' || coalesce(broken, ''));
${notes}
  end;`;

const trigger = (name: string, settings: string, declare: string, body: string) => `
create or replace function migration.${quoteIdentifier(name)}() returns trigger language plpgsql security definer ${settings} as $function$
declare ${declare}
begin${body}
  return null;
end $function$;`;

const legacyTriggers = (source: BoundSource): string => {
  const id = `r.${quoteIdentifier(source.id.name)}`;
  const { declare, assign } = keyArrays(id, source.idType, '');
  return [
    trigger(
      `capture_${source.source}`,
      CAPTURE_SETTINGS,
      declare,
      `${assign}${note(source.source, '', 'capture', 'null')}`,
    ),
    trigger(
      `mirror_${source.source}`,
      `${CANONICAL_FUNCTION_SETTINGS} set lock_timeout = '${MIRROR_LOCK_TIMEOUT}'`,
      `${declare} fault text; broken text;`,
      `${assign}${guarded(`    perform ${syncToKitsName(source.source)}(keys, gone);`, note(source.source, '', 'mirror', 'fault'))}`,
    ),
  ].join('\n');
};

const kitsTriggers = (projections: readonly Projection[]): string => {
  const parts = projections.map(({ source }, index) => {
    const suffix = String(index);
    const key = kitsKeyExpression('r.', source.source, source.idType);
    return {
      ...keyArrays(key, source.idType, ` where r.source = ${quoteLiteral(source.source)}`, suffix),
      sync: `    perform ${syncToLegacyName(source.source)}(keys${suffix}, gone${suffix});`,
      noteAs: (cause: string, error: string) => note(source.source, suffix, cause, error),
    };
  });
  const declare = parts.map((part) => part.declare).join(' ');
  const assign = parts.map((part) => part.assign).join('');
  return [
    trigger(
      'capture_kits',
      CAPTURE_SETTINGS,
      declare,
      `${assign}${parts.map((part) => part.noteAs('capture', 'null')).join('')}`,
    ),
    trigger(
      'mirror_kits',
      `${CANONICAL_FUNCTION_SETTINGS} set lock_timeout = '${MIRROR_LOCK_TIMEOUT}'`,
      `${declare} fault text; broken text;`,
      `${assign}${guarded(parts.map((part) => part.sync).join('\n'), parts.map((part) => part.noteAs('mirror', 'fault')).join(''))}`,
    ),
  ].join('\n');
};

/**
 * A practitioner who is given to another user takes the kits along: `kits.user_id` is derived, and no
 * trigger on the legacy table sees this change. While copying, the keys are noted; later `kits` is set.
 */
const ownerTriggers = (binding: Binding): string => {
  const source = binding.sources.practitioner_kits;
  const { owner } = binding.mapping.sources.practitioner_kits;
  const practitioner = `new.${quoteIdentifier(owner.practitioners.id)}`;
  const noted = (cause: string, error: string) => `
    insert into migration.pending_sync (source, legacy_id, cause, error)
    select ${quoteLiteral(source.source)}, s.${quoteIdentifier(source.id.name)}::text, ${quoteLiteral(cause)}, ${error}
      from ${source.relation} s where s.${quoteIdentifier(owner.practitionerId)} = ${practitioner};`;
  return [
    trigger('capture_owner', CAPTURE_SETTINGS, '', noted('owner', 'null')),
    trigger(
      'mirror_owner',
      `${CAPTURE_SETTINGS} set lock_timeout = '${MIRROR_LOCK_TIMEOUT}'`,
      'fault text; broken text;',
      guarded(
        `    update ${binding.kits} k set user_id = new.${quoteIdentifier(owner.practitioners.userId)}
     where k.owner_type = 'practitioner' and k.practitioner_id = ${practitioner};`,
        noted('owner', 'fault'),
      ),
    ),
  ].join('\n');
};

/** Where a new legacy id comes from: the column's own default, else the mapping's generator. */
export const newLegacyId = (
  source: BoundSource,
  identitySequence: string | undefined,
): string | undefined => {
  const { generator } = source.mapping.id;
  if (source.id.identity !== '' && identitySequence !== undefined)
    return `nextval(${quoteLiteral(identitySequence)}::regclass)`;
  if (source.id.defaultExpression !== null) return source.id.defaultExpression;
  if (generator?.kind === 'uuid') return 'gen_random_uuid()';
  if (generator?.kind === 'sequence')
    return `nextval(${quoteLiteral(qualifiedName(generator.schema, generator.name))}::regclass)`;
  return undefined;
};

/**
 * A kit born in `kits` is given its legacy identity, the legacy columns' defaults and its deterministic
 * id, so that legacy routes keep their ids and a rollback has nothing left to invent.
 */
const birthTrigger = (
  binding: Binding,
  projections: readonly Projection[],
  sequences: IdentitySequences,
): string => {
  const branch = ({ source, forward }: Projection) => {
    const id = newLegacyId(source, sequences[source.source]);
    const attributes =
      forward.find(({ column }) => column === 'legacy_attributes')?.expression ?? `'{}'`;
    const defaults = source.catalog.columns
      .map(
        (column) =>
          `cast(${column.defaultExpression !== null && column.name !== source.id.name ? column.defaultExpression : 'null'} as ${column.type}) as ${quoteIdentifier(column.name)}`,
      )
      .join(', ');
    return `
  if new.source = ${quoteLiteral(source.source)} then
    ${id === undefined ? `raise exception 'kits of source ${source.source} cannot be born: the id column has no default and the mapping no generator';` : `new.legacy_id := (${id})::text;`}
    new.legacy_attributes := (select ${attributes} from (select ${defaults}) s) || coalesce(new.legacy_attributes, '{}');
  end if;`;
  };
  const { practitioners } = binding.mapping.sources.practitioner_kits.owner;
  return `
create or replace function migration.birth() returns trigger language plpgsql security definer ${CANONICAL_FUNCTION_SETTINGS} as $function$
begin
  new.source := case new.owner_type when 'client' then 'kit' when 'practitioner' then 'practitioner_kits' end;
${projections.map(branch).join('')}
  if new.user_id is null then
    new.user_id := (select p.${quoteIdentifier(practitioners.userId)} from ${qualifiedName(practitioners.schema, practitioners.table)} p where p.${quoteIdentifier(practitioners.id)} = new.practitioner_id);
  end if;
  new.id := migration.kits_id(new.source, new.created_at, new.legacy_id);
  new.migration_batch_id := (select batch_id from migration.stage);
  return new;
end $function$;`;
};

/** The sequence behind an identity column, qualified and quoted; absent where there is none. */
export type IdentitySequences = Readonly<Partial<Record<BoundSource['source'], string>>>;

/** Every trigger function of a binding. */
export const triggerFunctions = (
  binding: Binding,
  projections: readonly Projection[],
  sequences: IdentitySequences,
): string =>
  [
    ...projections.map(({ source }) => legacyTriggers(source)),
    kitsTriggers(projections),
    ownerTriggers(binding),
    birthTrigger(binding, projections, sequences),
  ].join('\n');
