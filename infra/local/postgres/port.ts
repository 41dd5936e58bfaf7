import { createServer } from 'node:net';
import { PortInUseError, systemCode } from './errors.ts';

/** A loopback port nobody listens on just now. Somebody may take it before the server does: retry then. */
export function freePort(): Promise<number> {
  return listenOnce(0);
}

/**
 * Makes sure nobody listens on the port.
 *
 * @throws PortInUseError when somebody does.
 */
export async function requireFreePort(port: number): Promise<number> {
  try {
    return await listenOnce(port);
  } catch (error) {
    if (systemCode(error) !== 'EADDRINUSE') throw error;
    throw new PortInUseError(
      `Port ${port} on 127.0.0.1 is in use. Give another port, or none to have a free one chosen.`,
    );
  }
}

function listenOnce(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => {
      const address = server.address();
      const bound = typeof address === 'object' && address ? address.port : port;
      server.close(() => resolve(bound));
    });
  });
}
