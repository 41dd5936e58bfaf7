import {
  isKitStatus,
  KIT_STATUSES,
  type KitStatus,
  liesAhead,
  mayFollow,
  SHARED_COLUMNS,
  TIME_OF_STATUS,
} from '@unified-kits/domain';
import { describe, expect, it } from 'vitest';

/** Rows: from; columns: to, in the order of KIT_STATUSES. `>` the next step, `»` further on, `.` never. */
const AHEAD: Readonly<Record<KitStatus, string>> = {
  created: '. > » » » » » >',
  registered: '. . > » » » » >',
  collected: '. . . > » » » >',
  received: '. . . . > » > .',
  processing: '. . . . . > > .',
  completed: '. . . . . . . .',
  rejected: '. . . . . . . .',
  cancelled: '. . . . . . . .',
};
const PAIRS = KIT_STATUSES.flatMap((from) =>
  KIT_STATUSES.map((to, index) => ({ from, to, way: AHEAD[from].split(' ')[index] })),
);

describe('the life of a kit', () => {
  it('has eight statuses, so 64 pairs to judge', () => {
    expect(PAIRS).toHaveLength(64);
  });

  it.each(PAIRS)('from $from to $to: $way', ({ from, to, way }) => {
    expect(mayFollow(from, to)).toBe(way === '>');
    expect(liesAhead(from, to)).toBe(way !== '.');
  });

  it('never comes back to where it was, so the same job twice changes nothing', () => {
    for (const from of KIT_STATUSES)
      for (const to of KIT_STATUSES) expect(liesAhead(from, to) && liesAhead(to, from)).toBe(false);
  });

  it.each([null, '', 'Created', 'constructor', 'reported'])(
    'does not know %j, and leads nowhere from it',
    (status) => {
      expect(isKitStatus(status)).toBe(false);
      for (const to of KIT_STATUSES) {
        expect(mayFollow(status, to)).toBe(false);
        expect(liesAhead(status, to)).toBe(false);
      }
    },
  );

  it.each(KIT_STATUSES)('knows %s, and keeps a time of it only in a column of times', (status) => {
    expect(isKitStatus(status)).toBe(true);
    const field = TIME_OF_STATUS[status];
    if (field !== undefined) expect(SHARED_COLUMNS[field].type).toBe('timestamptz');
  });
});
