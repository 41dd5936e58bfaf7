/** A whole number with thousands apart. */
export const count = (value: number): string => Math.round(value).toLocaleString('en');

/** A span of time in seconds as a person says it. */
export const duration = (seconds: number): string => {
  if (seconds < 1) return 'under 1 s';
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7_200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172_800
    ? `${Math.round(seconds / 3_600)} h`
    : `${Math.round(seconds / 86_400)} d`;
};

/** The time of day, in UTC. */
export const clock = (iso: string): string => iso.slice(11, 19);

/** No wider than that; what is cut off is marked. */
export const shorten = (text: string, width: number): string =>
  text.length <= width ? text : `${text.slice(0, Math.max(0, width - 3))}...`;

/** `[######......]` */
export const bar = (part: number, cells: number): string => {
  const full = Math.round(Math.min(1, Math.max(0, part)) * cells);
  return `[${'#'.repeat(full)}${'.'.repeat(cells - full)}]`;
};
