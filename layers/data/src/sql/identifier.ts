/**
 * A quoted SQL identifier. Identifiers come from the validated mapping or the catalog, never from a
 * request; they are quoted all the same, because an organisation's names may need it.
 */
export const quoteIdentifier = (name: string): string => `"${name.replaceAll('"', '""')}"`;

export const qualifiedName = (schema: string, name: string): string =>
  `${quoteIdentifier(schema)}.${quoteIdentifier(name)}`;

/**
 * A quoted SQL literal, for the bodies of generated functions only: DDL takes no parameters. What is
 * quoted here are the mapping's own words (source names, value maps), never a row's content.
 */
export const quoteLiteral = (text: string): string =>
  text.includes('\\')
    ? ` E'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`
    : `'${text.replaceAll("'", "''")}'`;

/**
 * A function's body in dollar quotes. The tag is one that the body does not contain: the names, value
 * maps and defaults within are an organisation's, and could close the quotes.
 */
export const dollarQuote = (body: string): string => {
  let tag = 'function';
  while (body.includes(`$${tag}$`)) tag += '_';
  return `$${tag}$${body}$${tag}$`;
};
