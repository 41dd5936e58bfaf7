/** A known-bad variant of the real system: statements are changed on their way to the database. */
export interface Variant {
  readonly meaning: string;
  rewrite(statement: string): string;
}

const replaced = (meaning: string, from: string | RegExp, to: string): Variant => ({
  meaning,
  rewrite: (statement) => statement.replaceAll(from, to),
});

/** The same in the statements that make functions, where the rest must stay as it is. */
const inFunctions = (meaning: string, from: string | RegExp, to: string): Variant => ({
  meaning,
  rewrite: (statement) =>
    statement.includes('create or replace function') ? statement.replaceAll(from, to) : statement,
});

const COPY_AGAINST_DRAIN = `hashtextextended('unified-kits copy against drain', 0)`;
const OLD_SNAPSHOT = `or current_setting('transaction_isolation') in ('repeatable read', 'serializable')`;
const LEADS_BY_ROW = `
  if (tg_argv[0] = 'kits') = ((select stage from migration.stage) in ('legacy', 'copying', 'mirrored')) then
    return case when tg_level = 'STATEMENT' then null when tg_op = 'DELETE' then old else new end;
  end if;`;
const KITS_ID = /cast\(overlay\(overlay\(.+? placing 'a' from 17 for 1\) as uuid\)/gs;

/**
 * Known-bad variants of what the real code does. Those that the model of the protocol knows, too, have their names
 * from test/model/protocol.ts; what shows in no interleaving but a few is there alone.
 */
export const VARIANTS = {
  'fence is a row in the snapshot': inFunctions(
    'the fence reads the row of the stage, as the transaction’s snapshot shows it',
    "begin\n  if tg_level = 'STATEMENT' and pg_trigger_depth() > 1",
    `begin${LEADS_BY_ROW}\n  if tg_level = 'STATEMENT' and pg_trigger_depth() > 1`,
  ),
  'drain without its lock': replaced(
    'a drain waits neither for chunks nor for another drain',
    `select pg_advisory_xact_lock(${COPY_AGAINST_DRAIN})`,
    'select',
  ),
  'chunk without its lock': replaced(
    'a drain does not wait for chunks, and a chunk may commit late',
    `select pg_advisory_xact_lock_shared(${COPY_AGAINST_DRAIN})`,
    'select',
  ),
  'two drains at once': {
    meaning: 'drains wait for chunks, but each takes what no other has taken',
    rewrite: (statement) =>
      statement
        .replaceAll(
          `select pg_advisory_xact_lock(${COPY_AGAINST_DRAIN})`,
          `select pg_advisory_lock(${COPY_AGAINST_DRAIN}), pg_advisory_unlock(${COPY_AGAINST_DRAIN})`,
        )
        .replaceAll(
          /(select ctid from migration\.pending_sync [^\n]*limit \$1)/g,
          '$1 for update skip locked',
        ),
  },
  'drain locks no rows': replaced(
    'while a mirror is on, a drain does not lock the authoritative rows before it reads them',
    /^(select (?:s\."\w+"::text|k\.legacy_id) as key from .+ order by .+) for share$/gs,
    '$1',
  ),
  'mirror without exception block': inFunctions(
    'an error of the mirror is the client’s',
    /\n {2}begin\n([^$]*?)\n {2}exception when others or assert_failure(?: or query_canceled)? then.*?\n {2}end;/gs,
    '\n$1',
  ),
  'mirror of an old snapshot notes nothing': inFunctions(
    'what a snapshot does not show is not mirrored, nor noted',
    OLD_SNAPSHOT,
    '',
  ),
  'flip without table locks': {
    meaning: 'triggers are switched while writers are under way',
    // ALTER TABLE would lock the table, too: the catalog is changed as it changes it, and sessions are told.
    rewrite: (statement) =>
      statement.replaceAll(/^lock table .+ in share row exclusive mode$/gs, 'select').replaceAll(
        /alter table (\S+) (enable always|disable) trigger (\w+)/g,
        (alter, table, state, name) => `do $broken$ begin
             if current_setting('is_superuser') = 'off' then ${alter}; return; end if;
             update pg_trigger set tgenabled = '${state === 'disable' ? 'D' : 'A'}' where tgrelid = '${table}'::regclass and tgname = '${name}';
             update pg_class set relname = relname where oid = '${table}'::regclass;
           end $broken$`,
      ),
  },
  'flip leaves the backlog': replaced(
    'a flip neither drains the last keys nor looks whether there are any',
    'select ctid from migration.pending_sync  limit $1',
    'select ctid from migration.pending_sync where false limit $1',
  ),
  'flip ignores open chunks': replaced(
    'a flip to "mirrored" does not ask whether the copy is complete',
    'select count(*) as n from migration.chunk where batch_id = $1 and done_at is null',
    'select count(*) as n from migration.chunk where batch_id = $1 and false',
  ),
  'reopening compares nothing': replaced(
    'a flip back from "unified" does not ask whether the stores were compared since "closed"',
    `detail ->> 'to' = 'closed'`,
    `detail ->> 'to' = 'never'`,
  ),
  'batch of the snapshot': inFunctions(
    'a row of kits is given the batch that the transaction’s snapshot shows',
    /(?<!function )migration\.current_batch\(\)/g,
    '(select batch_id from migration.stage)',
  ),
  'reads trust the flags': replaced(
    'a read is answered by the store that the flags name, or once named',
    /case st\.stage when '(?:mirrored|dual-write)' then .*? else true end/gs,
    'true',
  ),
  'capture forgets deletions': inFunctions(
    'what is deleted while the copy runs is not noted',
    'from old_rows r;',
    'from old_rows r where false;',
  ),
  'mirror forgets deletions': inFunctions(
    'what is deleted while a mirror is on stays in the other store',
    /array\(select ([^\n]+?) from old_rows r/g,
    'array(select $1 from (select from old_rows limit 0) gone, old_rows r',
  ),
  'mirror forgets a column': inFunctions(
    'one column is not brought into step',
    /"kit_type" = [^\n]*,\n/g,
    '',
  ),
  'ids by chance': {
    meaning: 'a kit is given another id whenever it is copied',
    rewrite: (statement) =>
      statement.startsWith('insert into') || statement.includes('create or replace function')
        ? statement.replaceAll(KITS_ID, 'gen_random_uuid()')
        : statement,
  },
  'jobs have their effect twice': replaced(
    'a job that comes again is not known again',
    `values ($1, 'applied') on conflict do nothing`,
    `values ($1, 'applied') on conflict (job_id) do update set outcome = excluded.outcome`,
  ),
} as const satisfies Record<string, Variant>;
export type VariantName = keyof typeof VARIANTS;
export const VARIANT_NAMES = Object.keys(VARIANTS) as readonly VariantName[];
