import { readFile } from 'node:fs/promises';
import type { Contract, MappingInput } from '@unified-kits/domain';
import clinicMapping from '../fixtures/clinic.mapping.ts';
import type { Organisation } from './mapped-api.ts';

export interface Creation {
  readonly as: 'client' | 'practitioner';
  readonly contract: Contract;
  readonly body: Readonly<Record<string, unknown>>;
  /** The status, where it is not done. */
  readonly refused?: number;
}
/** Of the n-th kit that was made, or of one that was there: the legacy id of a kit of the client. */
export interface Change {
  readonly of: number | { readonly legacyId: string };
  readonly contract: Contract;
  readonly body: Readonly<Record<string, unknown>>;
  /** The status, where it is not done. */
  readonly refused?: number;
}
/** What is done under one organisation's mapping, the same in each stage. */
export interface Script extends Organisation {
  readonly name: string;
  readonly creations: readonly Creation[];
  readonly changes: readonly Change[];
  /** Tables with their id, and a column that orders their rows. */
  readonly tables: readonly (readonly [relation: string, id: string, order: string])[];
}

/** A practitioner's id that must not break a path or a header. */
const textIds = 'dr "ü" > \u2028 %41;,<x>\\ é';

/** Domains, enums, CHECKs, coarse times, ambiguous words, text ids. */
export const odd: Script = {
  name: 'domains, enums, checks, coarse times and two words of one meaning',
  client: { userId: '7' },
  practitioner: { userId: '-3', practitionerId: textIds },
  ddl: `
create schema org; create schema types;
create type types.state as enum ('new', 'active', 'sent', 'lost', 'void');
create domain types.code as varchar(6) check (value <> 'bad');
create domain types.kind as text not null default 'std' check (value ~ '^[a-z]+$');
create table org.people (id integer primary key);
create table org.doctors (id varchar(60) primary key, person integer references org.people);
create table org.refs (id text primary key);
create table org.kit (
  id integer generated always as identity primary key,
  number varchar(12) not null,
  person integer not null references org.people,
  state types.state not null default 'new',
  kind types.kind,
  ref types.code,
  doc jsonb not null default '{}',
  remark varchar(10),
  price numeric(8,2) check (price >= 0),
  gift boolean not null default false,
  extra jsonb,
  rank integer default 7,
  hint types.code default 'hint',
  big bigint,
  ratio double precision,
  born date default now(),
  activated timestamp(0),
  constraint gifts_are_free check (not gift or price is null or price = 0));
create unique index "UQ number" on org.kit (number);
create table org.practitioner_kits (
  id text primary key default 'pk ' || gen_random_uuid(),
  number char(10),
  doctor varchar(60),
  state text not null default 'a',
  kind varchar(8),
  tags text[] not null default '{}',
  stamp timestamptz default now());
insert into org.people values (7), (-3), (8);
insert into org.doctors values ('${textIds}', -3);
insert into org.kit (number, person, state, kind, remark, born, activated) values
  ('OLD 1', 7, 'void', 'abc', 'first', '2020-02-29', '2020-03-01 10:00:00'), ('OLD 2', 7, 'lost', 'abc', null, null, null), ('OLD 3', 7, 'new', 'abc', null, 'infinity', '-infinity');
`,
  mapping: {
    version: 1,
    name: 'odd',
    target: { schema: 'org', userIdType: 'integer', practitionerIdType: 'text' },
    users: { schema: 'org', table: 'people' },
    sources: {
      kit: {
        schema: 'org',
        table: 'kit',
        owner: { type: 'client', userId: 'person' },
        columns: {
          kitNumber: 'number',
          status: {
            column: 'state',
            values: {
              new: 'created',
              active: 'registered',
              sent: 'collected',
              lost: 'cancelled',
              void: 'cancelled',
            },
          },
          kitType: 'kind',
          orderId: 'ref',
          metadata: 'doc',
          createdAt: 'born',
          registeredAt: 'activated',
        },
        api: {
          attributes: {
            remark: 'remark',
            price: { column: 'price', type: 'number' },
            gift: { column: 'gift', type: 'boolean' },
            extra: { column: 'extra', type: 'json' },
            rank: { column: 'rank', type: 'number' },
            hint: 'hint',
            big: { column: 'big', type: 'number' },
            ratio: 'ratio',
          },
        },
      },
      practitioner_kits: {
        schema: 'org',
        table: 'practitioner_kits',
        owner: {
          type: 'practitioner',
          practitionerId: 'doctor',
          practitioners: { schema: 'org', table: 'doctors', userId: 'person' },
        },
        columns: {
          kitNumber: 'number',
          status: { column: 'state', values: { a: 'created', b: 'registered', c: 'collected' } },
          kitType: { column: 'kind', values: { old: 'DNA', dna: 'DNA', gut: 'GUT' } },
        },
        api: { attributes: { tags: 'tags', stamp: 'stamp' } },
      },
    },
  },
  tables: [
    ['org.kit', 'id', 'number'],
    ['org.practitioner_kits', 'id', 'number'],
  ],
  creations: [
    { as: 'client', contract: 'legacy', body: { kitNumber: 'N1' } },
    {
      as: 'client',
      contract: 'legacy',
      body: {
        kitNumber: 'N 2é😀',
        kitType: 'xyz',
        orderId: 'éééééé',
        metadata: { a: 1 },
        remark: '😀😀😀😀😀😀😀😀😀😀',
        price: 12.345,
        gift: false,
        extra: [1, null, { a: 'b' }],
        rank: -5,
        hint: 'x',
        big: Number.MAX_SAFE_INTEGER,
        ratio: '0.1',
      },
    },
    {
      as: 'client',
      contract: 'v2',
      body: {
        ownerType: 'client',
        kitNumber: 'N3',
        attributes: { gift: true, price: 0, extra: 'text', rank: null },
      },
    },
    {
      as: 'practitioner',
      contract: 'legacy',
      body: { kitNumber: 'P1', kitType: 'dna', tags: '{a,"b c"}' },
    },
    { as: 'practitioner', contract: 'legacy', body: { kitNumber: 'P2', kitType: 'old' } },
    {
      as: 'practitioner',
      contract: 'v2',
      body: {
        ownerType: 'practitioner',
        kitNumber: 'P3',
        kitType: 'DNA',
        attributes: { stamp: '2020-01-01T00:00:00+05:00' },
      },
    },
    { as: 'practitioner', contract: 'v2', body: { ownerType: 'client', kitNumber: 'PC' } },
    // Refused, everywhere alike.
    { as: 'client', contract: 'legacy', body: { kitNumber: 'OLD 1' }, refused: 409 },
    { as: 'client', contract: 'legacy', body: { kitNumber: 'thirteen char' }, refused: 422 },
    { as: 'practitioner', contract: 'legacy', body: { kitNumber: 'eleven char' }, refused: 422 },
    {
      as: 'client',
      contract: 'legacy',
      body: { kitNumber: 'R1', orderId: 'seven c' },
      refused: 422,
    },
    { as: 'client', contract: 'legacy', body: { kitNumber: 'R2', orderId: 'bad' }, refused: 422 },
    { as: 'client', contract: 'legacy', body: { kitNumber: 'R3', kitType: 'UPPER' }, refused: 422 },
    {
      as: 'client',
      contract: 'legacy',
      body: { kitNumber: 'R4', remark: 'eleven char' },
      refused: 422,
    },
    { as: 'client', contract: 'legacy', body: { kitNumber: 'R5', hint: 'seven c' }, refused: 422 },
    {
      as: 'client',
      contract: 'v2',
      body: { ownerType: 'client', kitNumber: 'R5', attributes: { hint: 'seven c' } },
      refused: 422,
    },
    { as: 'client', contract: 'legacy', body: { kitNumber: 'R6', price: -1 }, refused: 422 },
    {
      as: 'client',
      contract: 'legacy',
      body: { kitNumber: 'R7', price: 5, gift: true },
      refused: 422,
    },
    { as: 'client', contract: 'legacy', body: { kitNumber: 'R8', price: 1_234_567 }, refused: 422 },
    { as: 'client', contract: 'legacy', body: { kitNumber: 'R9', rank: 1.5 }, refused: 422 },
    {
      as: 'client',
      contract: 'legacy',
      body: { kitNumber: 'R10', rank: 99_999_999_999 },
      refused: 422,
    },
    { as: 'client', contract: 'legacy', body: { kitNumber: 'R11', ratio: 'much' }, refused: 422 },
    {
      as: 'practitioner',
      contract: 'legacy',
      body: { kitNumber: 'R12', tags: 'no array' },
      refused: 422,
    },
    {
      as: 'practitioner',
      contract: 'legacy',
      body: { kitNumber: 'R13', kitType: 'DNA' },
      refused: 422,
    },
    {
      as: 'practitioner',
      contract: 'v2',
      body: { ownerType: 'practitioner', kitNumber: 'R14', kitType: 'dna' },
      refused: 422,
    },
  ],
  changes: [
    { of: 0, contract: 'legacy', body: { status: 'active', remark: 'is on' } },
    { of: 0, contract: 'v2', body: { status: 'collected' } },
    {
      of: 1,
      contract: 'legacy',
      body: { metadata: {}, price: null, extra: null, orderId: null, remark: '' },
    },
    {
      of: 1,
      contract: 'v2',
      body: { attributes: { big: null, ratio: '1e10', rank: 3 }, kitType: 'other' },
    },
    { of: 2, contract: 'v2', body: { status: 'cancelled' } },
    { of: 3, contract: 'legacy', body: { status: 'b' } },
    { of: 3, contract: 'v2', body: { attributes: { tags: '{}' } } },
    { of: 4, contract: 'v2', body: { kitType: 'GUT' } },
    { of: 4, contract: 'legacy', body: { kitType: 'dna' } },
    { of: 5, contract: 'legacy', body: { stamp: null } },
    // The word of two that the kit has stays when something else is changed.
    { of: { legacyId: '1' }, contract: 'legacy', body: { remark: 'changed' } },
    { of: { legacyId: '1' }, contract: 'v2', body: { orderId: 'x' } },
    { of: { legacyId: '1' }, contract: 'legacy', body: { status: 'lost' } },
    {
      of: { legacyId: '2' },
      contract: 'v2',
      body: { status: 'cancelled', attributes: { remark: 'same' } },
    },
    { of: { legacyId: '3' }, contract: 'v2', body: { status: 'registered' } },
    // Refused, everywhere alike.
    { of: 0, contract: 'legacy', body: { kitType: null }, refused: 422 },
    { of: 0, contract: 'legacy', body: { metadata: null }, refused: 422 },
    { of: 0, contract: 'legacy', body: { gift: null }, refused: 422 },
    { of: 0, contract: 'v2', body: { attributes: { gift: null } }, refused: 422 },
    { of: 3, contract: 'legacy', body: { tags: null }, refused: 422 },
    { of: 0, contract: 'legacy', body: { price: -1 }, refused: 422 },
    { of: 2, contract: 'legacy', body: { price: 1 }, refused: 422 },
    { of: 0, contract: 'legacy', body: { orderId: 'bad' }, refused: 422 },
    { of: 0, contract: 'legacy', body: { orderId: 'seven c' }, refused: 422 },
    { of: 3, contract: 'legacy', body: { kitType: 'nine char' }, refused: 422 },
    { of: 3, contract: 'v2', body: { status: 'cancelled' }, refused: 422 },
  ],
};

/** Statuses without a value map, ids by generators, times without a zone. */
export const plain: Script = {
  name: 'own words in no map, times without a zone, and ids of every kind',
  client: { userId: 'a client' },
  practitioner: { userId: 'z', practitionerId: '9223372036854775807' },
  ddl: `
create table people (id text primary key);
create table doctors (id bigint primary key, person text);
create sequence kit_ids start 32000;
create table kit (id smallint primary key, number bigint not null, person varchar(40), state text not null default 'created', kind varchar(5), at timestamp, touched timestamp(3), seen timestamptz(3));
create table practitioner_kits (id uuid primary key, number text, doctor bigint, state varchar(20) not null, kind integer, doc jsonb, note text not null, at timestamp default now());
create index on kit (person); create unique index on kit (number); create index on practitioner_kits (number);
insert into people values ('a client'), ('z');
insert into doctors values (9223372036854775807, 'z');
insert into kit values (-32768, 1, 'a client', 'shipped', 'old', '1969-12-31 23:59:59.999999', '2020-01-01', null);
`,
  mapping: {
    version: 1,
    name: 'plain',
    target: { userIdType: 'text', practitionerIdType: 'bigint' },
    users: { table: 'people' },
    sources: {
      kit: {
        table: 'kit',
        id: { column: 'id', generator: { kind: 'sequence', name: 'kit_ids' } },
        owner: { type: 'client', userId: 'person' },
        columns: {
          kitNumber: 'number',
          status: 'state',
          kitType: 'kind',
          createdAt: 'at',
          updatedAt: 'touched',
          collectedAt: 'seen',
        },
      },
      practitioner_kits: {
        table: 'practitioner_kits',
        id: { column: 'id', generator: { kind: 'uuid' } },
        owner: {
          type: 'practitioner',
          practitionerId: 'doctor',
          practitioners: { table: 'doctors', userId: 'person' },
        },
        columns: { kitNumber: 'number', status: 'state', orderId: 'kind', metadata: 'doc' },
        api: { attributes: { note: 'note', at: 'at' } },
      },
    },
  },
  tables: [
    ['kit', 'id', 'number::text'],
    ['practitioner_kits', 'id', 'number'],
  ],
  creations: [
    { as: 'client', contract: 'legacy', body: { kitNumber: '77', kitType: 'five5' } },
    { as: 'client', contract: 'v2', body: { ownerType: 'client', kitNumber: '78' } },
    {
      as: 'practitioner',
      contract: 'legacy',
      body: { kitNumber: 'P', orderId: '007', note: '', metadata: { n: 1 } },
    },
    {
      as: 'practitioner',
      contract: 'v2',
      body: {
        ownerType: 'practitioner',
        kitNumber: 'Q',
        attributes: { note: 'n', at: '2020-01-01 10:00' },
      },
    },
    { as: 'client', contract: 'legacy', body: { kitNumber: '77' }, refused: 409 },
    { as: 'client', contract: 'legacy', body: { kitNumber: 'no number' }, refused: 422 },
    {
      as: 'client',
      contract: 'legacy',
      body: { kitNumber: '79', kitType: 'six666' },
      refused: 422,
    },
    { as: 'practitioner', contract: 'legacy', body: { kitNumber: 'R' }, refused: 422 },
    {
      as: 'practitioner',
      contract: 'v2',
      body: { ownerType: 'practitioner', kitNumber: 'R' },
      refused: 422,
    },
    { as: 'practitioner', contract: 'legacy', body: { kitNumber: 'R', note: null }, refused: 422 },
    {
      as: 'practitioner',
      contract: 'legacy',
      body: { kitNumber: 'R', note: 'x', orderId: 'x' },
      refused: 422,
    },
  ],
  changes: [
    { of: 0, contract: 'legacy', body: { status: 'registered' } },
    { of: 0, contract: 'v2', body: { status: 'collected', kitType: null } },
    { of: 2, contract: 'legacy', body: { orderId: '-0', note: 'x', status: 'registered' } },
    { of: 3, contract: 'v2', body: { metadata: { a: 1 }, attributes: { at: null } } },
    { of: { legacyId: '-32768' }, contract: 'legacy', body: { kitType: 'new' } },
    {
      of: { legacyId: '-32768' },
      contract: 'legacy',
      body: { status: 'registered' },
      refused: 409,
    },
    { of: 2, contract: 'legacy', body: { note: null }, refused: 422 },
    { of: 3, contract: 'v2', body: { attributes: { note: null } }, refused: 422 },
  ],
};

type Attributes = NonNullable<NonNullable<MappingInput['sources']['kit']['api']>['attributes']>;
const attributesOf = (
  mapping: MappingInput,
  kit: Attributes,
  practitioner: Attributes,
): MappingInput => ({
  ...mapping,
  sources: {
    kit: { ...mapping.sources.kit, api: { attributes: kit } },
    practitioner_kits: { ...mapping.sources.practitioner_kits, api: { attributes: practitioner } },
  },
});

/** The clinic's dump, with names in the API for what no rule names. */
export const clinic = async (): Promise<Script> => ({
  name: "the clinic's own tables",
  client: { userId: '1ceb0ac4-43db-3fbb-6036-5eb221f6971b' },
  ddl: `${await readFile('test/fixtures/clinic-legacy.sql', 'utf8')}
alter table app.kit_result drop constraint "kit_result_kitId_fkey", drop constraint "kit_result_practitionerKitId_fkey";
insert into app."user" (id, email) values ('00000000-0000-4000-8000-000000000001', 'p@example.org');
insert into app.practitioner (id, "userId") values (99999, '00000000-0000-4000-8000-000000000001');
delete from app.kit where id > 200; delete from app.practitioner_kits where "createdAt" > '2018-06-01';
analyze;`,
  practitioner: { userId: '00000000-0000-4000-8000-000000000001', practitionerId: '99999' },
  mapping: attributesOf(
    clinicMapping,
    {
      notes: 'notes',
      currency: 'currency',
      tags: 'tags',
      priceCharged: { column: 'priceCharged', type: 'number' },
      isGift: { column: 'isGift', type: 'boolean' },
      shippingAddress: { column: 'shippingAddress', type: 'json' },
    },
    {
      patientLastName: 'patientLastName',
      patientBirthDate: 'patientBirthDate',
      consentSignature: 'consentSignature',
      turnaround: 'turnaround',
      discountPercent: { column: 'discountPercent', type: 'number' },
    },
  ),
  tables: [
    ['app.kit', 'id', '"kitNumber"'],
    ['app.practitioner_kits', 'id', 'coalesce("kitNumber", id::text)'],
  ],
  creations: [
    {
      as: 'client',
      contract: 'legacy',
      body: {
        kitNumber: 'C1',
        kitType: 'GUT-2',
        priceCharged: 10.005,
        tags: '{vip}',
        shippingAddress: { zip: '1' },
      },
    },
    {
      as: 'client',
      contract: 'v2',
      body: {
        ownerType: 'client',
        kitNumber: 'C2',
        kitType: 'DNA-1',
        attributes: { isGift: true, currency: 'CHF' },
      },
    },
    {
      as: 'practitioner',
      contract: 'legacy',
      body: {
        kitNumber: 'C3',
        kitType: 'X',
        patientBirthDate: '1960-02-29',
        turnaround: '36 hours',
        consentSignature: '\\x00ff',
        discountPercent: 0.1,
      },
    },
    {
      as: 'practitioner',
      contract: 'v2',
      body: { ownerType: 'practitioner', kitNumber: 'C4', kitType: 'X', metadata: { a: null } },
    },
    { as: 'client', contract: 'legacy', body: { kitNumber: 'C5' }, refused: 422 },
    {
      as: 'client',
      contract: 'legacy',
      body: { kitNumber: 'AK07919-B', kitType: 'X' },
      refused: 409,
    },
    {
      as: 'client',
      contract: 'legacy',
      body: { kitNumber: 'C6', kitType: 'X', currency: 'EURO' },
      refused: 422,
    },
    {
      as: 'practitioner',
      contract: 'legacy',
      body: { kitNumber: 'C7', kitType: 'X', patientBirthDate: '1960-02-30' },
      refused: 422,
    },
    {
      as: 'practitioner',
      contract: 'legacy',
      body: { kitNumber: 'x'.repeat(33), kitType: 'X' },
      refused: 422,
    },
  ],
  changes: [
    { of: 0, contract: 'legacy', body: { status: 'REGISTERED', priceCharged: null } },
    { of: 0, contract: 'v2', body: { status: 'collected', attributes: { notes: 'n' } } },
    { of: 1, contract: 'v2', body: { status: 'cancelled' } },
    {
      of: 2,
      contract: 'legacy',
      body: { status: 'registered', turnaround: null, patientLastName: "O'Brien" },
    },
    { of: 2, contract: 'v2', body: { status: 'collected' } },
    { of: { legacyId: '1' }, contract: 'legacy', body: { notes: null, orderId: null } },
    { of: { legacyId: '1' }, contract: 'v2', body: { metadata: { b: 1 } } },
    { of: 2, contract: 'v2', body: { status: 'cancelled' }, refused: 422 },
    { of: 0, contract: 'legacy', body: { kitType: null }, refused: 422 },
    { of: 0, contract: 'legacy', body: { tags: null }, refused: 422 },
    { of: 0, contract: 'v2', body: { attributes: { isGift: null } }, refused: 422 },
    { of: 0, contract: 'v2', body: { attributes: { currency: 'EURO' } }, refused: 422 },
  ],
});
