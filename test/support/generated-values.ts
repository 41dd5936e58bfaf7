import fc from 'fast-check';

/** A kind of column: how it is declared, and the texts that its type reads. */
export interface ColumnKind {
  /** As in `create table`; `@` stands for the quoted schema of the generated types. */
  readonly type: string;
  readonly values: fc.Arbitrary<string>;
}

const BAD_IN_TEXT = /[\0\p{Surrogate}]/u;

/** Texts that break what quotes badly, trims, folds case or counts bytes. */
export const text = fc.oneof(
  fc.constantFrom(
    '',
    ' ',
    '  x  ',
    "'",
    "''",
    '"',
    '\\',
    '\\x00',
    "E'\\n'",
    '\n\r\t',
    'null',
    'NULL',
    '{}',
    '{"a":null}',
    '$1',
    '$function$',
    '%s %I',
    'é',
    'e\u0301',
    'Straße',
    'ĳ İ ı',
    '😀👩‍👩‍👧',
    '\u202eabc',
    '\ufeff',
    'a\u0001b\u007f',
    'true',
    '1.0',
  ),
  fc.string({ unit: 'binary', maxLength: 30 }).filter((value) => !BAD_IN_TEXT.test(value)),
);

const atMost = (length: number) => text.map((value) => [...value].slice(0, length).join(''));

const digits = (min: bigint, max: bigint) => fc.bigInt({ min, max }).map(String);
const micros = fc.nat({ max: 999_999 }).map((n) => String(n).padStart(6, '0'));
const clock = fc
  .tuple(fc.nat({ max: 23 }), fc.nat({ max: 59 }), fc.nat({ max: 59 }), micros)
  .map(([h, m, s, us]) => `${[h, m, s].map((n) => String(n).padStart(2, '0')).join(':')}.${us}`);
const day = fc
  .tuple(
    fc.integer({ min: 1, max: 9999 }),
    fc.integer({ min: 1, max: 12 }),
    fc.integer({ min: 1, max: 28 }),
  )
  .map(
    ([y, m, d]) =>
      `${String(y).padStart(4, '0')}-${String(m).padStart(2, '0')}-${String(d).padStart(2, '0')}`,
  );
const moment = fc.tuple(day, clock).map(([d, t]) => `${d} ${t}`);
const moments = (zone: string) =>
  fc.oneof(
    fc.constantFrom(
      'infinity',
      '-infinity',
      `1969-12-31 23:59:59.999999${zone}`,
      `1970-01-01 00:00:00${zone}`,
      `0044-03-15 12:00:00.000001${zone} BC`,
      `4713-06-01 00:00:00${zone} BC`,
      `294276-06-01 00:00:00.000001${zone}`,
      `10889-08-02 05:31:50.655${zone}`,
    ),
    moment.map((value) => value + zone),
  );
const timestamps = moments('');
const timestamptzs = fc.oneof(moments('+00'), moments('+05:45'), moments('-11'));
const dates = fc.oneof(
  fc.constantFrom('infinity', '-infinity', '0001-01-01 BC', '1969-12-31', '2024-02-29'),
  day,
);
const numerics = fc.oneof(
  fc.constantFrom(
    'NaN',
    '0',
    '0.000',
    '1.0',
    '1.00',
    '-1.50',
    '1e-20',
    '123456789012345678901234567890.123456789000',
  ),
  fc
    .tuple(digits(-(10n ** 30n), 10n ** 30n), fc.nat({ max: 12 }))
    .map(([n, zeros]) => `${n}.${'0'.repeat(zeros)}1`),
);
const cents = fc.integer({ min: -99_999_999, max: 99_999_999 }).map((n) => (n / 100).toFixed(2));

/** jsonb refuses \u0000 and lone surrogates; `json` keeps whatever it was given. */
const storable = (json: string) => !/\\u0000|\\ud[89a-f]/i.test(json);
const nested = `${'['.repeat(200)}{"deep":null}${']'.repeat(200)}`;
export const jsons = fc.oneof(
  fc.constantFrom(
    'null',
    'true',
    '""',
    '{}',
    '[]',
    '1.00',
    '-0.0',
    '1e400',
    '{"a":1.0,"b":1.00,"n":null}',
    '{"":{"":[null,{"x":null}]}}',
    '{ "dup" : 1,  "dup" : 2 }',
    '{"q":"\\" \\\\ \' \\n \\t é 😀"}',
    nested,
    JSON.stringify({
      huge: 'é'.repeat(5_000),
      list: Array.from({ length: 300 }, (_, n) => n / 3),
    }),
  ),
  fc
    .jsonValue()
    .map((value) => JSON.stringify(value))
    .filter(storable),
);
const uuids = fc.uuid();
const array = (items: fc.Arbitrary<string | null>) =>
  fc
    .array(items, { maxLength: 4 })
    .map(
      (list) =>
        `{${list.map((item) => (item === null ? 'NULL' : `"${item.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`)).join(',')}}`,
    );
const bytes = fc
  .uint8Array({ maxLength: 40 })
  .map((value) => `\\x${Buffer.from(value).toString('hex')}`);

export const MOOD = ['sad', 'so so', 'it\'s "ok"', 'HAPPY', 'happy', ''] as const;

/** Types, functions of nothing else, that the generated columns need; `@` is their schema. */
export const TYPES = `
create type @."Mood ""x""" as enum (${MOOD.map((label) => `'${label.replaceAll("'", "''")}'`).join(', ')});
create domain @."Short" as varchar(12) not null default 'd';
create domain @."Note" as text check (length(value) < 100);
create domain @."Doc" as jsonb;
create type @."Pair" as (a text, b numeric);
create collation @."Loose" (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
`;

/** What a column that no rule names may be. */
export const EXTRA_KINDS: readonly ColumnKind[] = [
  { type: 'text', values: text },
  { type: 'varchar(12)', values: atMost(12) },
  { type: 'char(9)', values: atMost(9) },
  { type: 'name', values: atMost(10) },
  { type: '"char"', values: fc.constantFrom('', 'a', '"') },
  { type: 'text[]', values: array(fc.option(text)) },
  { type: 'int[]', values: fc.constantFrom('{}', '{1,NULL,3}', '[0:1]={7,8}', '{{1,2},{3,4}}') },
  { type: 'numeric', values: numerics },
  { type: 'numeric(10,2)', values: cents },
  {
    type: 'float8',
    values: fc.oneof(
      fc.constantFrom('-0', 'NaN', 'Infinity', '-Infinity', '5e-324'),
      fc.double({ noNaN: true }).map((n) => (Object.is(n, -0) ? '-0' : String(n))),
    ),
  },
  {
    type: 'float4',
    values: fc.oneof(fc.constantFrom('-0', 'NaN', '1e-45'), fc.float({ noNaN: true }).map(String)),
  },
  { type: 'smallint', values: digits(-32_768n, 32_767n) },
  { type: 'bigint', values: digits(-(2n ** 63n), 2n ** 63n - 1n) },
  { type: 'boolean', values: fc.constantFrom('true', 'false') },
  { type: 'date', values: fc.oneof(dates, fc.constant('5874897-12-31')) },
  { type: 'timestamp', values: timestamps },
  { type: 'timestamptz', values: timestamptzs },
  { type: 'timestamptz(3)', values: timestamptzs },
  { type: 'time', values: fc.oneof(clock, fc.constant('24:00:00')) },
  { type: 'timetz', values: clock.map((value) => `${value}+05:45`) },
  {
    type: 'interval',
    values: fc.constantFrom(
      '0',
      '1 mon -1 day +00:00:00.000001',
      '-178000 years',
      '30 days',
      '1 mon',
      '-00:00:00.5',
    ),
  },
  { type: 'bytea', values: bytes },
  { type: 'jsonb', values: jsons },
  {
    type: 'json',
    values: fc.oneof(jsons, fc.constantFrom(' { "b":1,"a" : 2, "a":3 } ', '"\\u0000"')),
  },
  { type: 'uuid', values: uuids },
  { type: 'inet', values: fc.constantFrom('10.0.0.1', '10.0.0.1/8', '::1', 'fe80::/10') },
  { type: 'cidr', values: fc.constantFrom('10.0.0.0/8', '::/0') },
  { type: 'int4range', values: fc.constantFrom('empty', '[1,5)', '(,3]', '(,)') },
  {
    type: 'tstzrange',
    values: fc.constantFrom('empty', '["1969-12-31 23:59:59.999999+00",infinity)'),
  },
  { type: 'bit(5)', values: fc.constantFrom('00000', '10110') },
  { type: 'varbit', values: fc.constantFrom('', '1', '010') },
  { type: 'money', values: cents },
  { type: 'point', values: fc.constantFrom('(0.1,-0)', '(NaN,Infinity)') },
  { type: 'tsvector', values: fc.constantFrom('', "'a':1A 'b c':2") },
  { type: '@."Mood ""x"""', values: fc.constantFrom(...MOOD) },
  { type: '@."Mood ""x"""[]', values: array(fc.option(fc.constantFrom(...MOOD))) },
  { type: '@."Note"', values: text },
  { type: '@."Doc"', values: jsons },
  { type: '@."Pair"', values: fc.constantFrom('(,)', '("",1.00)', '("a ""q"" \\\\",NaN)') },
  { type: '@.citext', values: atMost(20) },
  { type: 'text collate @."Loose"', values: text },
];

/** Never null: its domain refuses it. */
export const SHORT: ColumnKind = { type: '@."Short"', values: atMost(12) };

/** What may feed a text column of `kits` that need not be unique. */
export const TEXT_KINDS: readonly ColumnKind[] = EXTRA_KINDS.filter(({ type }) =>
  [
    'text',
    'varchar(12)',
    'char(9)',
    'name',
    'numeric',
    'numeric(10,2)',
    'smallint',
    'bigint',
    'boolean',
    'uuid',
    '@."Mood ""x"""',
    '@."Note"',
    '@.citext',
    'text collate @."Loose"',
  ].includes(type),
);

export const TIME_KINDS: readonly ColumnKind[] = [
  { type: 'timestamptz', values: timestamptzs },
  { type: 'timestamptz(3)', values: timestamptzs },
  { type: 'timestamp', values: timestamps },
  { type: 'timestamp(0)', values: timestamps },
  { type: 'date', values: dates },
];

export const JSON_KINDS: readonly ColumnKind[] = [
  { type: 'jsonb', values: jsons },
  { type: '@."Doc"', values: jsons },
];

/** Ids that no two rows share: the n-th of a type. */
export const ID_TYPES: Readonly<Record<string, (n: number) => string>> = {
  smallint: (n) => String(n * 7 - 20),
  integer: (n) => String(n * 100_003 - 400_000),
  bigint: (n) => String(BigInt(n) * 10n ** 15n - 5n),
  uuid: (n) => `${String(n).padStart(8, 'a')}-0000-4000-8000-${String(n).padStart(12, '0')}`,
  text: (n) => `${n}/é 'q' "d" \\ ${n % 2 === 0 ? 'A' : 'a'}`,
  'varchar(60)': (n) => `id ${n}\n😀`,
  'text collate "C"': (n) => `${n % 2 === 0 ? 'b' : 'B'}${n}`,
};

/** Kit numbers that no two rows share. */
export const KIT_NUMBER_TYPES: Readonly<Record<string, (n: number) => string>> = {
  text: (n) => ` K'${n}"\\é `,
  'varchar(20)': (n) => `k-${n}`,
  'char(20)': (n) => `k ${n}`,
  '@.citext': (n) => `Kit${n}`,
  bigint: (n) => String(9n * 10n ** 18n + BigInt(n)),
  'numeric(20,3)': (n) => `${n}.100`,
  uuid: (n) => `${String(n).padStart(8, 'b')}-1111-4111-8111-${String(n).padStart(12, '0')}`,
};

const NASTY_NAMES = [
  'select',
  'Table',
  'user',
  'with space',
  'a"b',
  "a'b",
  'a\\b',
  '$function$',
  '%I %s',
  'Ünïcödé',
  '😀',
  ' ',
  '.',
  '"',
  'keys',
  'found',
  'gone',
  'k',
  's',
  'p',
  'r',
  'new',
  'old',
  'excluded',
  'source',
  'legacy_id',
  'legacy_attributes',
  'user_id',
  'owner_type',
  'practitioner_id',
  'status',
  'fault',
  'broken',
  'kit_number',
  'created_at',
  'x'.repeat(63),
  '{}',
  '--',
  '/*',
  ';',
  '$1',
  ':a',
  '?',
] as const;
const SYSTEM_COLUMNS = new Set(['ctid', 'xmin', 'xmax', 'cmin', 'cmax', 'tableoid']);

export const identifier = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...NASTY_NAMES) },
  {
    weight: 1,
    arbitrary: fc
      .string({ unit: 'binary', minLength: 1, maxLength: 12 })
      .filter((name) => !BAD_IN_TEXT.test(name) && !SYSTEM_COLUMNS.has(name)),
  },
);
