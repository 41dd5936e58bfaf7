import { installKits } from '@unified-kits/data';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { analysed } from '../support/analysis.ts';
import { type LegacyDatabase, legacyDatabase } from '../support/legacy.ts';

describe('phase 0', () => {
  let legacy: LegacyDatabase;
  beforeEach(async () => {
    legacy = await legacyDatabase(10);
  });
  afterEach(() => legacy.drop());

  it('names functions of defaults, checks and indexes that rely on a search_path', async () => {
    await legacy.pool.query(`
      create table numbering (last bigint);
      create function in_default() returns text language plpgsql as $f$ begin return (select max(last) from numbering); end $f$;
      create function in_check(text) returns boolean language sql as $f$ select $1 <> all (select last::text from numbering) $f$;
      create function in_index(text) returns text language sql immutable as $f$ select lower($1) $f$;
      create function in_domain(text) returns boolean language sql as $f$ select length($1) < 99 $f$;
      create function says_where() returns text language sql set search_path = public as $f$ select max(last)::text from numbering $f$;
      create function is_bound() returns text language sql begin atomic select max(last)::text from numbering; end;
      create domain short as text check (in_domain(value));
      alter table kit add column a text default in_default(), add column b text default says_where(), add column c text default is_bound(),
        add column d short, add check (in_check(order_id));
      create index on practitioner_kits (in_index(patient_name))`);
    const { findings } = await analysed(legacy.db, legacy.mapping);
    expect(
      findings
        .filter(({ code }) => code === 'FUNCTION_WITHOUT_SEARCH_PATH')
        .map(({ source, keys }) => [source, ...keys]),
    ).toEqual([
      ['kit', 'public.in_check(text)', 'public.in_default()', 'public.in_domain(text)'],
      ['practitioner_kits', 'public.in_index(text)'],
    ]);
  });

  it('refuses a table that a subscription writes', async () => {
    const url = new URL(legacy.url);
    const name = `uk_${url.pathname.slice(4)}`;
    await legacy.pool.query(`
      create subscription ${name} connection 'dbname=nowhere' publication kits with (connect = false, slot_name = none, enabled = false)`);
    try {
      // Without a publisher nothing fills this catalog.
      await legacy.pool.query(`
        set allow_system_table_mods = on;
        insert into pg_subscription_rel (srsubid, srrelid, srsubstate) select oid, 'kit'::regclass, 'r' from pg_subscription where subname = '${name}';
        set allow_system_table_mods = off`);
      const { verdict, findings } = await analysed(legacy.db, legacy.mapping);
      expect(verdict).toBe('NO-GO');
      expect(findings[0]).toMatchObject({
        code: 'SUBSCRIBED_TABLE',
        source: 'kit',
        keys: ['public.kit'],
      });
    } finally {
      await legacy.pool.query(`drop subscription ${name}`);
    }
  });

  it('refuses owner ids in collations that cannot be compared', async () => {
    await legacy.pool.query(`
      alter table practitioners alter column id type text collate "C", alter column user_id type text;
      alter table practitioner_kits alter column practitioner_id type text;
      alter table users alter column id type text collate "C";
      alter table kit alter column user_id type text`);
    const mapping = {
      ...legacy.mapping,
      target: { ...legacy.mapping.target, userIdType: 'text', practitionerIdType: 'text' },
    } as const;
    await expect(installKits(legacy.db, mapping, 'test')).rejects.toMatchObject({
      name: 'MappingMismatch',
      message: expect.stringMatching(
        /in 3 places.*"kit", column "user_id": has collation default.*"practitioners", column "user_id".*"practitioners", column "id": has collation pg_catalog."C", but is compared with kits.practitioner_id/s,
      ),
    });
  });
});
