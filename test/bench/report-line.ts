/** A measured figure, and what it should be. */
export interface Line {
  readonly what: string;
  readonly value: number;
  readonly unit: string;
  /** The aim, as `>=` or `<=` and a number; absent where there is none. */
  readonly aim?: readonly ['>=' | '<=', number];
}

export type AddLine = (line: Line) => void;

export const meets = ({ value, aim }: Line): boolean =>
  aim === undefined || (aim[0] === '>=' ? value >= aim[1] : value <= aim[1]);

/** A line as it is printed while the rest is still measured. */
export const formatLine = (line: Line): string => {
  const { what, value, unit, aim } = line;
  const figure = Math.abs(value) >= 100 ? Math.round(value).toLocaleString('en') : value.toFixed(3);
  const verdict =
    aim === undefined ? '' : `  (aim ${aim.join(' ')}: ${meets(line) ? 'met' : 'MISSED'})`;
  return `${what.padEnd(72)} ${figure.padStart(12)} ${unit}${verdict}`;
};
