-- The roles and logins of a database that is there already. Run it once, as a superuser or as whoever may
-- create roles and owns the legacy tables, in the database that has them; then set both passwords:
--   alter role kits_migration password '…';  alter role kits_service password '…';
-- and keep them in the two secrets that the settings name. Replace legacy_owner by the role that owns the
-- legacy tables, and the tables' names by those of your mapping.

-- Roles that nobody logs in as: the engine, the application, and who only looks.
create role kits_owner nologin;
create role kits_app nologin;
create role kits_readonly nologin;

-- The migration: it must own the legacy tables (flips switch triggers on them), by membership.
create role kits_migration login inherit;
grant legacy_owner, kits_owner, kits_app, kits_readonly to kits_migration;
do $$ begin execute format('grant create on database %I to kits_migration', current_database()); end $$;
-- It hands the schema on to the engine.
grant usage, create on schema public to kits_migration with grant option;
alter role kits_migration set idle_session_timeout = '30min';

-- The service: rows of both stores, nothing of the migration's, no DDL.
create role kits_service login inherit;
grant kits_app to kits_service;
grant usage on schema public to kits_service;
grant select, insert, update, delete on kit, practitioner_kits to kits_service;
grant select on users, practitioners to kits_service;
alter role kits_service set idle_session_timeout = '30min';
