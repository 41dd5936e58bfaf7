/** A line of the functions' log, parsed. */
type Line = Readonly<Record<string, unknown>>;

/** The lines that CloudWatch would make metrics of. */
export const metricLines = (log: readonly Line[], name: string): readonly Line[] =>
  log.filter((line) => '_aws' in line && name in line);

/** The values of a metric, in the order they were measured; those with the dimensions given. */
export const metricValues = (
  log: readonly Line[],
  name: string,
  dimensions: Readonly<Record<string, string>> = {},
): readonly number[] =>
  metricLines(log, name)
    .filter((line) => Object.entries(dimensions).every(([key, value]) => line[key] === value))
    .flatMap((line) => line[name] as number | number[]);

/** What a counter has come to. */
export const metricTotal = (log: readonly Line[], name: string): number =>
  metricValues(log, name).reduce((sum, value) => sum + value, 0);
