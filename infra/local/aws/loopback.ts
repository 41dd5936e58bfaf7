const NAMES = new Set(['127.0.0.1', 'localhost', '[::1]']);

/**
 * Whether a Host header names this machine. A server that answers to every name can be reached by any
 * web page, through a name of the page's own that resolves to the loopback address.
 */
export function isLoopback(hostHeader: string | undefined): boolean {
  return NAMES.has((hostHeader ?? '').replace(/:\d+$/, ''));
}
