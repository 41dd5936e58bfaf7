import { quoteLiteral } from '../sql/identifier.ts';

/** The last millisecond that 48 bits hold (10889-08-02); later and infinite times are clamped to it. */
const LAST_MILLISECOND = '281474976710655';

/**
 * The SQL expression of a kit's deterministic id: UUID version 8 (RFC 9562, section 5.8) of the
 * 48-bit millisecond timestamp of `created_at` and 72 bits of SHA-256 over `source:legacy_id`.
 * A null time, or one before 1970, counts as 0. Written inline: measured, a call to an SQL function
 * costs five times as much, and sha256 costs no more than md5 (which FIPS builds refuse).
 *
 * @param source a name of the mapping, or undefined for the parameter $1
 * @param createdAt SQL of a timestamptz
 * @param legacyId SQL of the legacy id as text
 */
export const kitsIdExpression = (
  source: string | undefined,
  createdAt: string,
  legacyId: string,
): string => {
  const milliseconds = `case when ${createdAt} is null or ${createdAt} < '1970-01-01 00:00:00+00' then 0 when ${createdAt} >= '10889-08-02 00:00:00+00' then ${LAST_MILLISECOND} else floor(date_part('epoch', ${createdAt}) * 1000)::bigint end`;
  const prefix = source === undefined ? "($1 || ':')" : quoteLiteral(`${source}:`);
  const hash = `encode(sha256(convert_to(${prefix} || ${legacyId}, 'UTF8')), 'hex')`;
  // Twelve digits of time, twenty of hash; the 13th becomes the version, the 17th the variant.
  return `cast(overlay(overlay(lpad(to_hex(${milliseconds}), 12, '0') || left(${hash}, 20) placing '8' from 13 for 1) placing 'a' from 17 for 1) as uuid)`;
};

/** The same as a function, for rows that are born one at a time. */
export const KITS_ID_FUNCTION = `
create or replace function migration.kits_id(source text, created_at timestamptz, legacy_id text) returns uuid
language plpgsql stable set search_path = pg_catalog, pg_temp as $function$
begin
  return ${kitsIdExpression(undefined, '$2', '$3')};
end $function$;
`;
