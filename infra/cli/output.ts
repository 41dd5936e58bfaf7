import { styleText } from 'node:util';

type Format = Parameters<typeof styleText>[0];

/** Where a command's words go: results to one stream, remarks and questions to the other. */
export interface Output {
  /** Columns of the terminal; 80 without one. */
  readonly width: number;
  /** Whether what is shown can be drawn over: a terminal, and not a log of CI. */
  readonly live: boolean;
  readonly colour: boolean;
  line(text?: string): void;
  /** A remark that is no result: kept out of what a script reads. */
  remark(text: string): void;
  /** Writes as it is, without a line's end. */
  raw(text: string): void;
  style(format: Format, text: string): string;
}

const WIDTH = 80;
const WIDEST = 120;

const isSet = (text: string | undefined): boolean => text !== undefined && text !== '';

/** No colour without a terminal, or with NO_COLOR; nothing is drawn over in CI. */
export const openOutput = (
  stdout: NodeJS.WriteStream,
  stderr: NodeJS.WriteStream,
  environment: NodeJS.ProcessEnv,
): Output => {
  const terminal = stdout.isTTY === true && environment.TERM !== 'dumb';
  const colour = terminal && !isSet(environment.NO_COLOR);
  return {
    get width() {
      return terminal ? Math.min(stdout.columns || WIDTH, WIDEST) : WIDTH;
    },
    live: terminal && !isSet(environment.CI),
    colour,
    line: (text = '') => {
      stdout.write(`${text}\n`);
    },
    remark: (text) => {
      stderr.write(`${text}\n`);
    },
    raw: (text) => {
      stdout.write(text);
    },
    style: (format, text) => (colour ? styleText(format, text, { validateStream: false }) : text),
  };
};
