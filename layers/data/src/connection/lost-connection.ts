import pg from 'pg';

/** What the network or the driver says when a server restarts, fails over or has no room. */
const LOST =
  /ECONNREFUSED|ECONNRESET|EPIPE|ETIMEDOUT|Connection terminated|timeout exceeded when trying to connect|not queryable/;

/** Whether a statement's connection was lost, or could not be had. What it had not committed is undone. */
export const isLostConnection = (error: unknown): boolean =>
  error instanceof pg.DatabaseError
    ? // 08: connection, 57P: an operator's intervention, such as a restart, 25P03 and 25P04: a timeout that ends the session.
      /^(08|57P|25P0[34])/.test(error.code ?? '')
    : error instanceof Error &&
      (LOST.test(error.message) || ('code' in error && LOST.test(String(error.code))));
