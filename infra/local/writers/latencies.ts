/** Quantiles of durations, in milliseconds. */
export interface Quantiles {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

const round = (value: number) => Math.round(value * 10) / 10;

/** The nearest-rank quantiles; all 0 where there is nothing. */
export const quantiles = (durations: readonly number[]): Quantiles => {
  const sorted = durations.toSorted((a, b) => a - b);
  const at = (share: number) =>
    round(sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0);
  return { p50: at(0.5), p99: at(0.99), max: at(1) };
};
