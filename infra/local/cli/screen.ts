import { styleText } from 'node:util';

const WIDTH = 80;
const WIDEST = 120;

/** Where the run is shown: a terminal gets a picture that is kept up to date, anything else plain lines. */
export interface Screen {
  /** Whether what is shown can be drawn over. */
  readonly terminal: boolean;
  readonly width: number;
  /** A line that stays. */
  line(text?: string): void;
  /** A line for plain output, left out while `key`, which names what it is about, is that of the last one. */
  status(key: string, text: string): void;
  /** A picture that the next one, or the next line, takes the place of; for a terminal. */
  draw(lines: readonly string[]): void;
  style(format: Parameters<typeof styleText>[0], text: string): string;
  good(text: string): string;
  bad(text: string): string;
  dim(text: string): string;
}

type Output = NodeJS.WriteStream;

/** Plain output repeats an unchanged subject only so often. */
const PLAIN_EVERY_MS = 5_000;

/** Breaks a text at spaces so that no line is wider than 80 columns; each line is indented. */
export const wrap = (text: string, first = '', others = first, width = WIDTH): string[] => {
  const lines: string[] = [];
  let current = first;
  let empty = true;
  for (const word of text.split(' ')) {
    if (!empty && current.length + 1 + word.length > width) {
      lines.push(current);
      current = others + word;
    } else current += empty ? word : ` ${word}`;
    empty = false;
  }
  return [...lines, current];
};

/** A screen on an output stream. No colour without a terminal, or with NO_COLOR; nothing is drawn over in CI. */
export const openScreen = (
  output: Output,
  environment: NodeJS.ProcessEnv = process.env,
  now: () => number = Date.now,
): Screen => {
  const terminal = output.isTTY === true && !environment.CI;
  let drawn = 0;
  let last = { key: '', at: 0 };
  const clear = () => {
    if (drawn > 0) output.write(`\x1b[${drawn}A\x1b[J`);
    drawn = 0;
  };
  const style = (format: Parameters<typeof styleText>[0], text: string) =>
    styleText(format, text, { stream: output });
  return {
    terminal,
    get width() {
      return Math.min(output.columns || WIDTH, WIDEST);
    },
    line(text = '') {
      clear();
      output.write(`${text}\n`);
    },
    draw(lines) {
      const up = drawn === 0 ? '' : `\x1b[${drawn}A`;
      output.write(`${up}${lines.map((line) => `${line}\x1b[K\n`).join('')}\x1b[J`);
      drawn = lines.length;
    },
    style,
    status(key, text) {
      if (key === last.key && now() - last.at < PLAIN_EVERY_MS) return;
      last = { key, at: now() };
      output.write(`${text.slice(0, WIDTH)}\n`);
    },
    good: (text) => style('green', text),
    bad: (text) => style('red', text),
    dim: (text) => style('dim', text),
  };
};
