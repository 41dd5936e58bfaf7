/** One thing that a check-up has looked at. */
export interface HealthFinding {
  /** What was looked at, in one word. */
  readonly check: string;
  /** A note asks for nothing; a fault stops, or will stop, the migration. */
  readonly level: 'ok' | 'note' | 'warning' | 'fault';
  /** Ids, names and figures; never a row's content. */
  readonly message: string;
  /** What to do about it. */
  readonly fix?: string;
}

/** The findings of one check, or that all is well. */
export const orOk = (
  check: string,
  findings: readonly HealthFinding[],
  message: string,
): readonly HealthFinding[] =>
  findings.some(({ level }) => level !== 'note')
    ? findings
    : [{ check, level: 'ok', message }, ...findings];
