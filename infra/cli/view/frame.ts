import type { Output } from '../output.ts';

/** A picture on a terminal that the next one is drawn over. */
export const frame = (out: Output): { draw(lines: readonly string[]): void } => {
  let drawn = 0;
  return {
    draw(lines) {
      const up = drawn === 0 ? '' : `\x1b[${drawn}A`;
      // To the end of each line, and of the screen: the last picture may have been larger.
      out.raw(`${up}${lines.map((line) => `${line}\x1b[K\n`).join('')}\x1b[J`);
      drawn = lines.length;
    },
  };
};
