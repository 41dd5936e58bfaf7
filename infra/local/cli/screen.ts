import { styleText } from 'node:util';

const WIDTH = 80;

/** Where the run is shown: a terminal gets one line that is kept up to date, anything else plain lines. */
export interface Screen {
  /** A line that stays. */
  line(text?: string): void;
  /** The line that is overwritten by the next; `key` names what it is about, for plain output. */
  status(key: string, text: string): void;
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

/** A screen on an output stream. No colour without a terminal, or with NO_COLOR. */
export const openScreen = (output: Output, now: () => number = Date.now): Screen => {
  const terminal = output.isTTY === true;
  let shown = false;
  let last = { key: '', at: 0 };
  const clear = () => {
    if (shown) output.write('\r\x1b[2K');
    shown = false;
  };
  const style = (format: Parameters<typeof styleText>[0], text: string) =>
    styleText(format, text, { stream: output });
  return {
    line(text = '') {
      clear();
      output.write(`${text}\n`);
    },
    status(key, text) {
      if (terminal) {
        const columns = Math.min(output.columns || WIDTH, 120);
        output.write(`\r\x1b[2K${text.slice(0, columns - 1)}`);
        shown = true;
        return;
      }
      if (key === last.key && now() - last.at < PLAIN_EVERY_MS) return;
      last = { key, at: now() };
      output.write(`${text.slice(0, WIDTH)}\n`);
    },
    good: (text) => style('green', text),
    bad: (text) => style('red', text),
    dim: (text) => style('dim', text),
  };
};
