/** Nothing this machine offers can run the Postgres binaries; the message lists every place tried. */
export class PostgresBinariesUnusableError extends Error {
  override readonly name = 'PostgresBinariesUnusableError';
}

/** The server did not start, or ended before it was ready; the message carries the end of its log. */
export class PostgresStartError extends Error {
  override readonly name = 'PostgresStartError';
}

/** Another live process holds this data directory, or somebody else owns it. */
export class DataDirectoryInUseError extends Error {
  override readonly name = 'DataDirectoryInUseError';
}

/** The data directory was made by another major version, or cannot be reached by the server's user. */
export class DataDirectoryUnusableError extends Error {
  override readonly name = 'DataDirectoryUnusableError';
}

/** The port asked for is taken. */
export class PortInUseError extends Error {
  override readonly name = 'PortInUseError';
}

/** The server outlived every polite way of stopping it. */
export class PostgresStopError extends Error {
  override readonly name = 'PostgresStopError';
}

/** The `code` of a system error (`ENOENT`, ...), or undefined for anything else. */
export function systemCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}
