import type { Session } from '../connection/database.ts';
import { quoteLiteral } from '../sql/identifier.ts';

const ASCII = ' \t\n\r\f\v';
/** No-break space, zero-width space, ideographic space, byte order mark: what pasted numbers bring along. */
const UNICODE = '\u00a0\u200b\u3000\ufeff';

/**
 * SQL of the characters that count as space around a kit number. PostgreSQL's own `btrim` takes only
 * U+0020 off. Each character costs time in every row: all 27 that Unicode calls space were a tenth of
 * the pass. A database in another encoding cannot take all of them, and has ASCII's.
 */
export const whitespaceLiteral = async (session: Session): Promise<string> => {
  const { rows } = await session.query(
    `select current_setting('server_encoding') = 'UTF8' as unicode`,
  );
  return quoteLiteral(rows[0].unicode ? ASCII + UNICODE : ASCII);
};
