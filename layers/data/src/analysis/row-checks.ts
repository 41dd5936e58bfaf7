import { SHARED_COLUMNS } from '@unified-kits/domain';
import type { BoundRule, BoundSource } from '../catalog/bind-mapping.ts';
import type { CatalogColumn } from '../catalog/read-table.ts';
import { quoteIdentifier } from '../sql/identifier.ts';
import { plainCheck, type RowCheck } from './scanned-table.ts';

/** A B-tree entry holds at most 2,704 bytes, of which the widest index of `kits` needs some itself. */
const LONGEST_KEY = 2_600;

const s = ({ name }: CatalogColumn) => `s.${quoteIdentifier(name)}`;

const mayBeLong = (column: CatalogColumn): boolean =>
  column.typeCategory === 'S' && !/\(\d+\)$/.test(column.type);

const tooLong = (column: CatalogColumn): RowCheck[] =>
  mayBeLong(column)
    ? [
        plainCheck(
          'VALUE_TOO_LONG',
          column,
          `coalesce(octet_length(${s(column)}::text) > ${LONGEST_KEY}, false)`,
        ),
      ]
    : [];

/** An enum whose map leaves a label out is refused when the mapping is bound; here it costs nothing. */
const unmapped = ({ column, values }: BoundRule): RowCheck[] =>
  values === undefined || column.enumLabels !== null
    ? []
    : [
        {
          code: 'UNMAPPED_VALUE',
          column: column.name,
          condition: (first) =>
            `coalesce(${s(column)}::text <> all (cast($${first} as text[])), false)`,
          values: [Object.keys(values)],
        },
      ];

const required = ({ field, column }: BoundRule): RowCheck[] =>
  field === 'status' && !column.notNull
    ? [plainCheck('STATUS_MISSING', column, `${s(column)} is null`)]
    : [];

/** `date` reaches further than `timestamp`, which `kits` has. */
const outOfRange = ({ field, column }: BoundRule): RowCheck[] =>
  SHARED_COLUMNS[field].type === 'timestamptz' && column.baseType === 'date'
    ? [
        plainCheck(
          'VALUE_OUT_OF_RANGE',
          column,
          `coalesce(isfinite(${s(column)}) and ${s(column)} >= date '294277-01-01', false)`,
        ),
      ]
    : [];

const times = ({ field, column }: BoundRule): RowCheck[] => {
  if (field === 'updatedAt' && !column.notNull)
    return [plainCheck('UPDATED_AT_MISSING', column, `${s(column)} is null`)];
  if (field !== 'createdAt') return [];
  const zone = column.baseType === 'timestamp with time zone' ? '+00' : '';
  const at = (day: string) =>
    `cast('${day}${column.baseType === 'date' ? '' : ` 00:00:00${zone}`}' as ${column.baseType})`;
  // 10889-08-02 is where 48 bits of milliseconds end; the two bounds hold both infinities too.
  return [
    plainCheck(
      'CREATED_AT_CLAMPED',
      column,
      `coalesce(${s(column)} < ${at('1970-01-01')} or ${s(column)} >= ${at('10889-08-02')}, true)`,
    ),
  ];
};

/** What one row of a source can have wrong with it, apart from its number and its owner. */
export const rowChecks = (source: BoundSource): RowCheck[] => [
  ...tooLong(source.id),
  ...source.rules.flatMap((rule) => [
    ...required(rule),
    ...unmapped(rule),
    ...(rule.field === 'kitNumber' || (rule.field === 'status' && rule.values === undefined)
      ? tooLong(rule.column)
      : []),
    ...outOfRange(rule),
    ...times(rule),
  ]),
];
