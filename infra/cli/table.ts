/** Rows in columns, two spaces apart; the last column may be as long as it is. */
export const table = (head: readonly string[], rows: readonly (readonly string[])[]): string[] => {
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, column) => (column === head.length - 1 ? cell : cell.padEnd(widths[column] ?? 0)))
      .join('  ')
      .trimEnd();
  return [line(head), ...rows.map(line)];
};

/** A time as operators read it: UTC, to the second. */
export const shortTime = (iso: string): string => iso.slice(0, 19).replace('T', ' ');
