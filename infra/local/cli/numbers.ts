const NUMBER = new Intl.NumberFormat('en');

/** 12,345 */
export const count = (value: number): string => NUMBER.format(Math.round(value));
/** 12.3 s */
export const seconds = (value: number): string => `${value.toFixed(1)} s`;
/** 1.2 ms, 340 ms */
export const milliseconds = (value: number): string =>
  `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
