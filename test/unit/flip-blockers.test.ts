import { type Blocker, describeBlocker } from '@unified-kits/data';
import { describe, expect, it } from 'vitest';

const blocker: Blocker = {
  pid: 7,
  relation: 'public.kit',
  mode: 'RowExclusiveLock',
  user: 'app',
  application: 'orders',
  state: 'idle in transaction',
  transactionSeconds: 12,
};

describe('what stands in the way of a flip', () => {
  it.each<[Partial<Blocker>, string]>([
    [
      {},
      'pid 7 (app, orders, idle in transaction, transaction open 12 s) holds RowExclusiveLock on public.kit',
    ],
    [
      { user: null, application: '', state: null, transactionSeconds: null },
      'pid 7 (unknown user, no application name, state unknown, transaction open ? s) holds RowExclusiveLock on public.kit',
    ],
    [
      { application: null, transactionSeconds: 0 },
      'pid 7 (app, no application name, idle in transaction, transaction open 0 s) holds RowExclusiveLock on public.kit',
    ],
    [{ pid: null }, 'a prepared transaction holds RowExclusiveLock on public.kit'],
  ])('is told with what is known of it: %j', (known, line) => {
    expect(describeBlocker({ ...blocker, ...known })).toBe(line);
  });
});
