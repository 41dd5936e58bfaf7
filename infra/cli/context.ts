import type { Output } from './output.ts';
import type { Remote } from './remote.ts';

/** What every command is given. */
export interface Context {
  readonly out: Output;
  /** Where answers come from, and where questions go: what a script reads stays clean of them. */
  readonly input: NodeJS.ReadStream;
  readonly questions: NodeJS.WritableStream;
  /** One JSON value in the place of lines. */
  readonly json: boolean;
  /** Who is written into the audit log. */
  readonly actor: string;
  readonly remote: Remote;
  /** Aborted when the operator interrupts. */
  readonly interrupted: AbortSignal;
}

/** Answers with a result: as JSON where that is asked for, else line by line. */
export const answer = (
  { out, json }: Context,
  value: unknown,
  lines: () => readonly string[],
): void => {
  if (json) out.line(JSON.stringify(value, null, 2));
  else for (const line of lines()) out.line(line);
};

/** What a command does; returns an exit code where it is not 0. */
export type Work = (context: Context) => Promise<number | undefined>;

/** Finds the system, then does the work. */
export type Run = (work: Work) => Promise<void>;
