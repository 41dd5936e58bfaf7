const BOUNDARY = /^(select .+::text as key from .+ s where .+ order by .+) offset \$1 limit 1$/s;

/**
 * Pieces of some ten rows where the product takes thousands: with little data there would be nothing in the
 * middle of a copy or a comparison.
 */
export const SMALL_CHUNKS = (statement: string): string =>
  BOUNDARY.test(statement)
    ? statement.replace(BOUNDARY, '$1 offset least($$1::int, 12) limit 1')
    : statement;
