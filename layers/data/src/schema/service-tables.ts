/**
 * The schema `kits_service`: what the kits service keeps beside the kits, in every stage and whichever store
 * is authoritative. Apart from `migration`, which applications may not write. Each statement may run again;
 * in the order in which the service locks these tables, so that a newer release waits for it and no deadlock comes.
 */
export const SERVICE_TABLES = `
-- The first response to a request that may come twice, in the transaction of what it did.
create table if not exists kits_service.idempotency_key (
  scope text not null,
  key text not null,
  fingerprint text not null,
  -- Null only inside the transaction that claims the key.
  response jsonb,
  created_at timestamptz not null default now(),
  primary key (scope, key)
);
create index if not exists idempotency_key_age on kits_service.idempotency_key (created_at);

-- Jobs that have had their effect, or were found to need none: a delivery that comes again finds its id here.
create table if not exists kits_service.handled_job (
  job_id text primary key,
  outcome text not null check (outcome in ('applied', 'stale')),
  handled_at timestamptz not null default now()
);
create index if not exists handled_job_age on kits_service.handled_job (handled_at);

-- When what set a kit's status happened: an older job must not overwrite it.
create table if not exists kits_service.status_time (
  source text not null,
  legacy_id text not null,
  occurred_at timestamptz not null,
  primary key (source, legacy_id)
);

-- The outbox. Numbers of one kit rise in the order of its changes, for a change holds the kit's row.
create table if not exists kits_service.kit_event (
  number bigint generated always as identity primary key,
  id uuid not null default gen_random_uuid(),
  kits_id uuid not null,
  body jsonb not null,
  occurred_at timestamptz not null default clock_timestamp(),
  -- When the relay handed it on; kept for a while, for the curious.
  sent_at timestamptz
);
create index if not exists kit_event_unsent on kits_service.kit_event (number) where sent_at is null;

-- Work under way. A mark outlives a worker that died, and no worker outlives its deadline.
create table if not exists kits_service.work_mark (
  id uuid primary key default gen_random_uuid(),
  worker text not null,
  started_at timestamptz not null default clock_timestamp(),
  deadline timestamptz not null
);
`;

/** The service writes here and nowhere else but in the stores. */
export const SERVICE_GRANTS = `
grant usage on schema kits_service to kits_app, kits_readonly;
grant select, insert, update, delete on all tables in schema kits_service to kits_app;
grant usage on all sequences in schema kits_service to kits_app;
grant select on all tables in schema kits_service to kits_readonly;
`;
