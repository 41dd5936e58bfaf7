const MOST_CHARACTERS = 100;

/**
 * A JSON pointer (RFC 6901). Field names are the caller's own text, so one longer than 100 characters is cut,
 * never through an escape or a surrogate pair, and ends with an ellipsis.
 */
export const jsonPointer = (path: readonly PropertyKey[]): string => {
  const whole = path
    .map(
      (part) =>
        `/${String(part).slice(0, MOST_CHARACTERS).replaceAll('~', '~0').replaceAll('/', '~1')}`,
    )
    .join('')
    .toWellFormed();
  if (whole.length <= MOST_CHARACTERS) return whole;
  return `${whole.slice(0, MOST_CHARACTERS - 1).replace(/[~\ud800-\udbff]$/, '')}…`;
};
