import { NOTED_PRACTITIONER, OWNERS_LOCK } from '../backlog/changed-owners.ts';
import type { Binding, BoundSource } from '../catalog/bind-mapping.ts';
import type { CatalogColumn } from '../catalog/read-table.ts';
import { CANONICAL_FUNCTION_SETTINGS, MINIMAL_FUNCTION_SETTINGS } from '../connection/settings.ts';
import { kitsKeyExpression, type Projection } from '../projection/projection.ts';
import { dollarQuote, qualifiedName, quoteIdentifier, quoteLiteral } from '../sql/identifier.ts';
import { CURRENT_BATCH } from '../stage/current-batch.ts';
import { checkNow } from './check-now.ts';
import { syncToKitsName, syncToLegacyName } from './sync-functions.ts';

/** How long a client's write may wait for the other store's row before its key is noted instead. */
const MIRROR_LOCK_TIMEOUT = '250ms';
const OWNER_SETTINGS = 'set search_path = pg_catalog, pg_temp';

/** What a capture or a mirror is told of: a statement's rows, or one row whose key was changed. */
type Occasion = 'statement' | 'moved';

/**
 * Notes a statement's keys straight from its transition table, with nothing between: measured, key arrays
 * that also compare old keys with new cost an update 12 µs where this costs 5. An update's old keys are
 * noted by a row trigger that fires only where a key changes.
 *
 * It runs as the engine under the caller's `search_path`, for setting another costs every write some 3 %:
 * so there is nothing in it that a path could resolve otherwise, no operator, no function, no bare type.
 */
const captureRows = (
  name: string,
  rows: 'new_rows' | 'old_rows',
  source: string,
  legacyId: string,
) =>
  trigger(
    name,
    '',
    '',
    `
    insert into migration.pending_sync (source, legacy_id, cause)
    select ${source}, ${legacyId}, 'capture' from ${rows} r;`,
  );

const captureMoved = (name: string, source: string, legacyId: string) =>
  trigger(
    name,
    '',
    '',
    `
    insert into migration.pending_sync (source, legacy_id, cause) values (${source}, ${legacyId}, 'capture');`,
  );

const captures = (
  name: string,
  source: (row: string) => string,
  legacyId: (row: string) => string,
): string[] => [
  captureRows(name, 'new_rows', source('r'), legacyId('r')),
  captureRows(`${name}_gone`, 'old_rows', source('r'), legacyId('r')),
  captureMoved(`${name}_moved`, source('old'), legacyId('old')),
];

interface KeyArrays {
  readonly declare: string;
  readonly assign: string;
}

/** Fills `keys` and `gone`; within, `r` is a changed row. */
const keyArrays = (
  occasion: Occasion,
  key: string,
  type: string,
  where: string,
  suffix = '',
): KeyArrays => ({
  declare: `keys${suffix} ${type}[] := '{}'; gone${suffix} ${type}[] := '{}';`,
  assign:
    occasion === 'moved'
      ? `
  gone${suffix} := array(select ${key} from (select old.*) r${where});`
      : `
  if tg_op = 'DELETE' then
    gone${suffix} := array(select ${key} from old_rows r${where});
  else
    keys${suffix} := array(select ${key} from new_rows r${where});
  end if;`,
});

const noteFailed = (source: string, suffix: string) => `
    insert into migration.pending_sync (source, legacy_id, cause, error)
    select ${quoteLiteral(source)}, noted.key::text, 'mirror', fault
      from unnest(keys${suffix} || gone${suffix}) noted(key);`;

/** Whether the transaction may work under a snapshot from before what others have committed since. */
const OLD_SNAPSHOT = `current_setting('transaction_isolation') in ('repeatable read', 'serializable')`;

/**
 * A mirror that fails notes its keys, with what failed but no value, and lets the write stand; so does one in
 * which the client's statement timeout ends, which `others` would leave out. One that
 * works under an old snapshot does not see what has been written to the other store since, and a row it
 * does not see it cannot delete: it mirrors what it can, and notes its keys for the drain, which looks
 * with a new snapshot.
 */
const guarded = (work: string, notes: string, unsettled = 'false') => `
  begin
${work}
  exception when others or assert_failure or query_canceled then
    get stacked diagnostics fault = returned_sqlstate, broken = constraint_name;
    fault := rtrim(fault || ' ' || coalesce(broken, ''));
  end;
  if fault is not null or ${unsettled} or ${OLD_SNAPSHOT} then
${notes}
  end if;`;

const trigger = (name: string, settings: string, declare: string, body: string) => `
create or replace function migration.${quoteIdentifier(name)}() returns trigger language plpgsql security definer ${settings} as ${dollarQuote(`
declare ${declare}
begin${body}
  return null;
end `)};`;

/** Types whose text is the same under every setting. */
const SETTLED = new Set([
  'text',
  'character varying',
  'character',
  'uuid',
  'smallint',
  'integer',
  'bigint',
  'numeric',
  'boolean',
  'json',
  'jsonb',
]);

const mirrorSettings = (...sources: readonly BoundSource[]): string => {
  const settled = sources.every(({ attributes }) =>
    attributes.every(({ baseType, typeKind }) => typeKind === 'e' || SETTLED.has(baseType)),
  );
  return `${settled ? MINIMAL_FUNCTION_SETTINGS : CANONICAL_FUNCTION_SETTINGS} set lock_timeout = '${MIRROR_LOCK_TIMEOUT}'`;
};

/** What a mirror calls: its function and whether the rows are new, so that no update is tried first. */
const syncCall = (routine: string, suffix: string) => `
    perform ${routine}(keys${suffix}, gone${suffix}, tg_op = 'INSERT');`;

const legacyTriggers = (bound: BoundSource): string => {
  const { source, id, idType } = bound;
  const key = `r.${quoteIdentifier(id.name)}`;
  const mirror = (name: string, occasion: Occasion) => {
    const { declare, assign } = keyArrays(occasion, key, idType, '');
    const owned = source === 'practitioner_kits';
    const work = guarded(
      syncCall(syncToKitsName(source), ''),
      noteFailed(source, ''),
      owned ? 'not settled' : undefined,
    );
    return trigger(
      name,
      mirrorSettings(bound),
      `${declare} fault text; broken text;${owned ? ` settled boolean := ${OWNERS_SETTLED};` : ''}`,
      `${assign}${work}`,
    );
  };
  return [
    ...captures(
      `capture_${source}`,
      () => quoteLiteral(source),
      (row) => `${row}.${quoteIdentifier(id.name)}::pg_catalog.text`,
    ),
    mirror(`mirror_${source}`, 'statement'),
    mirror(`mirror_${source}_moved`, 'moved'),
  ].join('\n');
};

const kitsTriggers = (projections: readonly Projection[], deferrable: boolean): string => {
  const sources = projections.map(({ source: { source, idType } }, index) => ({
    source,
    idType,
    suffix: String(index),
    where: ` where r.source = ${quoteLiteral(source)}`,
  }));
  const mirror = (name: string, occasion: Occasion) => {
    const parts = sources.map(({ source, idType, suffix, where }) => ({
      ...keyArrays(occasion, kitsKeyExpression('r.', source, idType), idType, where, suffix),
      // A kit of one source changes nothing of the other.
      sync: `
    if cardinality(keys${suffix}) + cardinality(gone${suffix}) > 0 then${syncCall(syncToLegacyName(source), suffix)}
    end if;`,
      note: noteFailed(source, suffix),
    }));
    const work = guarded(
      parts.map(({ sync }) => sync).join('') + (deferrable ? checkNow(projections) : ''),
      parts.map(({ note }) => note).join(''),
    );
    return trigger(
      name,
      mirrorSettings(...projections.map(({ source }) => source)),
      `${parts.map(({ declare }) => declare).join(' ')} fault text; broken text; deferrable_names text; deferred_names text;`,
      `${parts.map(({ assign }) => assign).join('')}${work}`,
    );
  };
  return [
    ...captures(
      'capture_kits',
      (row) => `${row}.source`,
      (row) => `${row}.legacy_id`,
    ),
    mirror('mirror_kits', 'statement'),
    mirror('mirror_kits_moved', 'moved'),
  ].join('\n');
};

/** Whether nobody is changing a practitioner's user just now; then nobody does until this transaction ends. */
const OWNERS_SETTLED = `pg_try_advisory_xact_lock_shared(${OWNERS_LOCK})`;

const notePractitioner = (practitioner: string, error = 'null') => `
    insert into migration.pending_sync (source, legacy_id, cause, error)
    values (${quoteLiteral(NOTED_PRACTITIONER)}, ${practitioner}::text, 'owner', ${error});`;

/**
 * A practitioner who is given to another user takes the kits along: `kits.user_id` is derived, and no
 * trigger on the legacy table sees this change. While copying, the practitioner is noted; later `kits` is
 * set, and the practitioner noted where kits are being written that this transaction cannot see.
 */
const ownerTriggers = (binding: Binding): string => {
  const { owner } = binding.mapping.sources.practitioner_kits;
  const practitioner = `new.${quoteIdentifier(owner.practitioners.id)}`;
  return [
    trigger('capture_owner', OWNER_SETTINGS, '', notePractitioner(practitioner)),
    trigger(
      'mirror_owner',
      `${OWNER_SETTINGS} set lock_timeout = '${MIRROR_LOCK_TIMEOUT}'`,
      `fault text; broken text; alone boolean := pg_try_advisory_xact_lock(${OWNERS_LOCK});`,
      guarded(
        `    update ${binding.kits} k set user_id = new.${quoteIdentifier(owner.practitioners.userId)}
     where k.owner_type = 'practitioner' and k.practitioner_id = ${practitioner};`,
        notePractitioner(practitioner, 'fault'),
        'not alone',
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

/** A kept column's value in a legacy row that is inserted without naming it. */
const defaultOf = (column: CatalogColumn, sequence: string | undefined): string => {
  if (sequence !== undefined) return `nextval(${quoteLiteral(sequence)}::regclass)`;
  // A null of the base type, for a domain might refuse it before anyone asked for it to be stored.
  return column.defaultExpression === null
    ? `null::${column.baseType}`
    : `cast(${column.defaultExpression} as ${column.type})`;
};

/**
 * A kit born in `kits` is given its legacy identity, the legacy columns' defaults and its deterministic
 * id, so that legacy routes keep their ids and a rollback has nothing left to invent. The id is made of
 * `created_at` as the legacy column will hold it: a coarser one there, or none, would otherwise give the
 * kit another id when it is rolled back and migrated again. Its practitioner's user may be read in an old
 * snapshot, so the practitioner is noted, as where the user is just being changed.
 */
const birthTrigger = (
  binding: Binding,
  projections: readonly Projection[],
  sequences: IdentitySequences,
): string => {
  const branch = ({ source, forward, kept, createdAtBack }: Projection) => {
    const sequence = (column: CatalogColumn) => sequences[source.source]?.get(column.name);
    const id = newLegacyId(source, sequence(source.id));
    const attributes =
      forward.find(({ column }) => column === 'legacy_attributes')?.expression ?? `'{}'`;
    const defaults = kept
      .map((column) => `${defaultOf(column, sequence(column))} as ${quoteIdentifier(column.name)}`)
      .join(', ');
    return `
  if new.source = ${quoteLiteral(source.source)} then
    ${id === undefined ? `raise exception 'kits of source ${source.source} cannot be born: the id column has no default and the mapping no generator';` : `new.legacy_id := (${id})::text;`}
    new.legacy_attributes := (select ${attributes} from (select ${defaults}) s) || coalesce(new.legacy_attributes, '{}');
    new.id := migration.kits_id(new.source, (select ${createdAtBack} from (select new.created_at) k(created_at)), new.legacy_id);
  end if;`;
  };
  const { practitioners } = binding.mapping.sources.practitioner_kits.owner;
  return `
create or replace function migration.birth() returns trigger language plpgsql security definer ${CANONICAL_FUNCTION_SETTINGS} as ${dollarQuote(`
begin
  new.source := case new.owner_type when 'client' then 'kit' when 'practitioner' then 'practitioner_kits' end;
${projections.map(branch).join('')}
  if new.owner_type = 'practitioner' and (not ${OWNERS_SETTLED} or ${OLD_SNAPSHOT}) then${notePractitioner('new.practitioner_id')}
  end if;
  if new.user_id is null then
    new.user_id := (select p.${quoteIdentifier(practitioners.userId)} from ${qualifiedName(practitioners.schema, practitioners.table)} p where p.${quoteIdentifier(practitioners.id)} = new.practitioner_id);
  end if;
  new.migration_batch_id := ${CURRENT_BATCH};
  return new;
end `)};`;
};

/** The sequences behind a source's identity columns by column name, qualified and quoted. */
export type IdentitySequences = Readonly<
  Partial<Record<BoundSource['source'], ReadonlyMap<string, string>>>
>;

/** Every trigger function of a binding. */
export const triggerFunctions = (
  binding: Binding,
  projections: readonly Projection[],
  sequences: IdentitySequences,
  deferrable: boolean,
): string =>
  [
    ...projections.map(({ source }) => legacyTriggers(source)),
    kitsTriggers(projections, deferrable),
    ownerTriggers(binding),
    birthTrigger(binding, projections, sequences),
  ].join('\n');
