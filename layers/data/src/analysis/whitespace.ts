import type { Session } from '../connection/database.ts';
import { quoteLiteral } from '../sql/identifier.ts';

const ASCII = ' \t\n\r\f\v';
/** What looks like nothing but is not ASCII: no-break and other spaces, zero widths, the byte order mark. */
const UNICODE =
  '\u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u200b\u2028\u2029\u202f\u205f\u3000\ufeff';

/**
 * SQL of the characters that count as space around a kit number. PostgreSQL's own `btrim` takes only
 * U+0020 off; a regular expression for each row costs several times as much. A database in another
 * encoding cannot take all of them, and has ASCII's.
 */
export const whitespaceLiteral = async (session: Session): Promise<string> => {
  const { rows } = await session.query(
    `select current_setting('server_encoding') = 'UTF8' as unicode`,
  );
  return quoteLiteral(rows[0].unicode ? ASCII + UNICODE : ASCII);
};
