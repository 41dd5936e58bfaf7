/**
 * The schema `migration`: everything the engine remembers. Made by phase 0, because a report must be
 * stored before anything of the organisation's is touched. Each statement may run again.
 */
export const TRACKING_TABLES = `
create table if not exists migration.installed (
  component text primary key,
  version integer not null,
  digest text not null,
  installed_at timestamptz not null default now()
);
-- The legacy tables that phase 1 made everything for.
alter table migration.installed add column if not exists legacy_tables jsonb;

-- What phase 1 made, so that its rollback drops that and nothing else.
create table if not exists migration.created_object (
  kind text not null,
  identity text not null,
  created_at timestamptz not null default now(),
  primary key (kind, identity)
);

create table if not exists migration.report (
  id uuid primary key default gen_random_uuid(),
  digest text not null,
  mapping_name text not null,
  mapping_digest text not null,
  schema_digest text not null,
  verdict text not null check (verdict in ('GO', 'NO-GO')),
  body jsonb not null,
  created_at timestamptz not null default now(),
  approved_at timestamptz,
  approved_by text,
  check ((approved_at is null) = (approved_by is null))
);

create table if not exists migration.batch (
  id uuid primary key default gen_random_uuid(),
  kind text not null check (kind in ('canary', 'full')),
  report_id uuid references migration.report,
  mapping_digest text not null,
  schema_digest text not null,
  actor text not null,
  started_at timestamptz not null default now(),
  copied_at timestamptz,
  ended_at timestamptz,
  outcome text check (outcome in ('closed', 'rolled-back')),
  check ((ended_at is null) = (outcome is null))
);
-- Two operators, one batch: the database decides.
create unique index if not exists batch_one_active on migration.batch ((true)) where ended_at is null;

create table if not exists migration.chunk (
  batch_id uuid not null references migration.batch,
  source text not null,
  ordinal integer not null,
  -- The range is (lower, upper]; null is open. The cursor is the last key copied.
  lower text,
  upper text,
  cursor text,
  estimated_rows bigint not null,
  rows_copied bigint not null default 0,
  done_at timestamptz,
  primary key (batch_id, source, ordinal)
);
create index if not exists chunk_open on migration.chunk (batch_id, source, ordinal) where done_at is null;

create table if not exists migration.parity_run (
  id uuid primary key default gen_random_uuid(),
  batch_id uuid not null references migration.batch,
  epoch integer not null,
  seed bigint not null,
  started_at timestamptz not null default now(),
  finished_at timestamptz,
  compared bigint not null default 0,
  mismatched bigint not null default 0
);

create table if not exists migration.parity_range (
  run_id uuid not null references migration.parity_run on delete cascade,
  source text not null,
  ordinal integer not null,
  lower text,
  upper text,
  compared bigint,
  mismatched bigint,
  done_at timestamptz,
  primary key (run_id, source, ordinal)
);

create table if not exists migration.parity_mismatch (
  run_id uuid not null references migration.parity_run on delete cascade,
  source text not null,
  legacy_id text not null,
  columns text[] not null,
  found_at timestamptz not null default now(),
  primary key (run_id, source, legacy_id)
);

create table if not exists migration.event (
  id bigint generated always as identity primary key,
  at timestamptz not null default clock_timestamp(),
  phase text not null,
  action text not null,
  actor text not null,
  batch_id uuid,
  detail jsonb not null default '{}'
);

create table if not exists migration.stage (
  only_one boolean primary key default true check (only_one),
  stage text not null default 'legacy'
    check (stage in ('legacy', 'copying', 'mirrored', 'dual-write', 'unified', 'closed')),
  epoch integer not null default 0,
  batch_id uuid references migration.batch,
  actor text not null default 'installation',
  since timestamptz not null default clock_timestamp()
);
insert into migration.stage default values on conflict do nothing;

-- Keys noted and not yet re-synchronised. No index: it is written by clients' transactions, and read
-- in whole. A failed mirror leaves SQLSTATE and constraint here, never a value.
create table if not exists migration.pending_sync (
  source text not null,
  legacy_id text not null,
  cause text not null,
  error text,
  noted_at timestamptz not null default now()
);

-- A running analysis. Both unlogged: a crash empties them together, and the analysis begins anew.
create unlogged table if not exists migration.analysis (
  only_one boolean primary key default true check (only_one),
  state jsonb not null,
  touched_at timestamptz not null default clock_timestamp()
);

-- Hashes of kit numbers and of practitioners' users, with the keys of their rows, as arrays: measured,
-- two thirds of the time that a row for each takes. Emptied when the analysis ends.
create unlogged table if not exists migration.analysis_hash (
  source text not null,
  bucket smallint not null,
  hashes bigint[] not null,
  keys text[] not null
);
alter table migration.analysis_hash alter column hashes set storage external, alter column keys set storage external;

-- A refused write ends its transaction and with it every trace in a table; a sequence counts it all the same.
create sequence if not exists migration.refused_writes minvalue 0 start 0;

-- An organisation's own triggers that a flip switched off, with the state to restore.
create table if not exists migration.suspended_trigger (
  relation text not null,
  name text not null,
  enabled text not null,
  suspended_at timestamptz not null default now(),
  primary key (relation, name)
);
`;

/** Raised when the statements above change in a way that an existing schema must be told of. */
export const TRACKING_VERSION = 1;

/** What applications may see of it: which store to read, which keys are behind, and what legacy was like. */
export const TRACKING_GRANTS = `
grant usage on schema migration to kits_app, kits_readonly;
grant select on migration.stage, migration.pending_sync, migration.installed to kits_app;
grant select on all tables in schema migration to kits_readonly;
`;
