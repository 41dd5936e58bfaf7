import type { MigrationStanding } from '@unified-kits/data';

/** How far the copy is, over both sources. */
export interface CopyTotal {
  readonly copied: number;
  readonly expected: number;
}

export const copyTotal = ({ copy }: Pick<MigrationStanding, 'copy'>): CopyTotal =>
  copy.reduce(
    (sum, { copied, expected }) => ({
      copied: sum.copied + copied,
      expected: sum.expected + expected,
    }),
    { copied: 0, expected: 0 },
  );

/** Weight of the newest measurement. */
const FRESH = 0.3;

const secondsBetween = (from: string, to: string): number =>
  (Date.parse(to) - Date.parse(from)) / 1000;

/** Rows per second since the stage began: all that a single look can tell. Undefined before the first row. */
export const averageRate = (standing: MigrationStanding): number | undefined => {
  const { copied } = copyTotal(standing);
  const seconds = secondsBetween(standing.since, standing.at);
  return copied === 0 || seconds <= 0 ? undefined : copied / seconds;
};

/** Follows a copy from look to look; what it answers is smoothed. */
export const copyRate = (): ((standing: MigrationStanding) => number | undefined) => {
  let before: MigrationStanding | undefined;
  let rate: number | undefined;
  return (standing) => {
    if (before !== undefined) {
      const seconds = secondsBetween(before.at, standing.at);
      const rows = copyTotal(standing).copied - copyTotal(before).copied;
      if (seconds > 0 && rows >= 0) {
        const now = rows / seconds;
        rate = rate === undefined ? now : rate + FRESH * (now - rate);
      }
    }
    before = standing;
    return rate ?? averageRate(standing);
  };
};
