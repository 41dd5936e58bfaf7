/**
 * The schema `kits_service`: what the kits service keeps beside the kits, in every stage and whichever store
 * is authoritative. Apart from `migration`, which applications may not write. Each statement may run again.
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

-- The outbox. Numbers of one kit rise in the order of its changes, for a change holds the kit's row.
create table if not exists kits_service.kit_event (
  number bigint generated always as identity primary key,
  id uuid not null default gen_random_uuid(),
  kits_id uuid not null,
  body jsonb not null,
  occurred_at timestamptz not null default clock_timestamp()
);
`;

/** The service writes here and nowhere else but in the stores. */
export const SERVICE_GRANTS = `
grant usage on schema kits_service to kits_app, kits_readonly;
grant select, insert, update, delete on all tables in schema kits_service to kits_app;
grant usage on all sequences in schema kits_service to kits_app;
grant select on all tables in schema kits_service to kits_readonly;
`;
