import type { BoundRule } from '../catalog/bind-mapping.ts';
import { quoteLiteral } from '../sql/identifier.ts';

/** legacy text → unified text; a value that the map does not name raises SQLSTATE KF002, unless `otherwise` says what it is. */
export const toUnified = (
  values: Readonly<Record<string, string>>,
  legacy: string,
  source: string,
  column: string,
  otherwise = `migration.unmapped_value(${quoteLiteral(source)}, ${quoteLiteral(column)}, ${legacy})`,
): string =>
  `case when ${legacy} is null then null ${Object.entries(values)
    .map(([from, to]) => `when ${legacy} = ${quoteLiteral(from)} then ${quoteLiteral(to)}`)
    .join(' ')} else ${otherwise} end`;

/** unified text → legacy text; of several legacy values the first that the map names. */
export const toLegacy = (
  values: Readonly<Record<string, string>>,
  unified: string,
  column: string,
  otherwise = `migration.unmapped_value('kits', ${quoteLiteral(column)}, ${unified})`,
): string => {
  const inverse = new Map<string, string>();
  for (const [from, to] of Object.entries(values)) if (!inverse.has(to)) inverse.set(to, from);
  return `case when ${unified} is null then null ${[...inverse]
    .map(([to, from]) => `when ${unified} = ${quoteLiteral(to)} then ${quoteLiteral(from)}`)
    .join(' ')} else ${otherwise} end`;
};

/**
 * Whether two legacy values share a unified one. Then the legacy value itself is kept in
 * `legacy_attributes`, and is written back for as long as it still means what `kits` says.
 */
export const isAmbiguous = ({ values }: BoundRule): boolean =>
  values !== undefined && new Set(Object.values(values)).size < Object.keys(values).length;
