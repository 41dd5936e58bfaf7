import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type ServiceFunctions, serviceFunctions } from '../support/service-functions.ts';

let rig: ServiceFunctions;
beforeEach(async () => {
  rig = await serviceFunctions(5);
});
afterEach(() => rig.close());

/** Puts events into the outbox, one transaction each: kit by kit, in the order given. */
const happened = async (...events: readonly { kit: number; step: number; long?: boolean }[]) => {
  for (const { kit, step, long = false } of events)
    await rig.legacy.pool.query(
      `insert into kits_service.kit_event (kits_id, body) values (md5($1::text)::uuid, $2)`,
      [
        kit,
        JSON.stringify({
          type: 'kit.updated',
          version: 1,
          source: 'kit',
          legacyId: String(kit),
          status: `step ${step}`,
          changed: long ? ['x'.repeat(2_000)] : [],
        }),
      ],
    );
};

interface Seen {
  readonly eventId: string;
  readonly kitId: string;
  readonly status: string;
  readonly sequence: string;
}

/** What has arrived, in that order. */
const arrived = async (): Promise<Seen[]> =>
  (await rig.receive('events')).map(({ Body = '' }) => JSON.parse(Body));

const stepsOf = (events: readonly Seen[], kit: number): string[] =>
  events.filter(({ kitId }) => kitId === String(kit)).map(({ status }) => status);

const unsent = async (): Promise<number> =>
  (await rig.legacy.pool.query('select from kits_service.kit_event where sent_at is null'))
    .rowCount ?? 0;

describe('the relay', () => {
  it("hands the outbox on, each kit's events in the order of its changes", async () => {
    await happened(
      { kit: 1, step: 1 },
      { kit: 2, step: 1 },
      { kit: 1, step: 2 },
      { kit: 1, step: 3 },
      { kit: 2, step: 2 },
    );
    expect(await rig.relay()).toEqual({ sent: 5, done: true });
    const events = await arrived();
    expect(stepsOf(events, 1)).toEqual(['step 1', 'step 2', 'step 3']);
    expect(stepsOf(events, 2)).toEqual(['step 1', 'step 2']);
    const sequences = events
      .filter(({ kitId }) => kitId === '1')
      .map(({ sequence }) => Number(sequence));
    expect(sequences).toEqual(sequences.toSorted((a, b) => a - b));
    expect(await rig.relay()).toEqual({ sent: 0, done: true });
    expect(await arrived()).toEqual([]);
  });

  it('sends again what it could not mark as sent, under the same ids', async () => {
    await happened({ kit: 1, step: 1 }, { kit: 1, step: 2 }, { kit: 2, step: 1 });
    await rig.legacy.pool.query(`
      create function crash() returns trigger language plpgsql as $$ begin raise 'crash'; end $$;
      create trigger crash before update on kits_service.kit_event execute function crash()`);
    await expect(rig.relay()).rejects.toMatchObject({ name: 'DatabaseFault' });
    const first = await arrived();
    expect(first).toHaveLength(2);
    await rig.legacy.pool.query('drop trigger crash on kits_service.kit_event');
    expect(await rig.relay()).toEqual({ sent: 3, done: true });
    const again = await arrived();
    expect(again).toEqual(expect.arrayContaining(first));
    expect(stepsOf(again, 1)).toEqual(['step 1', 'step 2']);
  });

  it('lets no event overtake one of its kit that the queue does not take, and holds up no other kit', async () => {
    await happened(
      { kit: 1, step: 1, long: true },
      { kit: 2, step: 1 },
      { kit: 1, step: 2 },
      { kit: 2, step: 2 },
      { kit: 3, step: 1 },
    );
    await rig.limit('events', 1_024);
    await expect(rig.relay()).rejects.toMatchObject({ name: 'EventsNotSent' });
    const before = await arrived();
    expect(stepsOf(before, 1)).toEqual([]);
    expect(stepsOf(before, 2)).toEqual(['step 1', 'step 2']);
    expect(stepsOf(before, 3)).toEqual(['step 1']);
    await rig.limit('events', 262_144);
    await happened({ kit: 1, step: 3 });
    expect(await rig.relay()).toEqual({ sent: 3, done: true });
    expect(stepsOf(await arrived(), 1)).toEqual(['step 1', 'step 2', 'step 3']);
  });

  it('keeps everything while the queue is out of reach', async () => {
    await happened({ kit: 1, step: 1 });
    await rig.queues.stop();
    await expect(rig.relay()).rejects.toMatchObject({ name: 'QueuesUnreachable' });
    expect(await unsent()).toBe(1);
  });

  it('begins nothing that its time is too short for', async () => {
    await happened({ kit: 1, step: 1 });
    expect(await rig.relay({ remainingMs: () => 2_000 })).toEqual({ sent: 0, done: false });
    expect(await unsent()).toBe(1);
    expect(await arrived()).toEqual([]);
  });

  it('works once at a time: of two at once one leaves the work to the other', async () => {
    await happened(...Array.from({ length: 60 }, (_, n) => ({ kit: n % 6, step: n })));
    const results = await Promise.all([rig.relay(), rig.relay(), rig.relay()]);
    const sent = results.map((result) => (result as { sent: number }).sent);
    expect(sent.reduce((one, other) => one + other)).toBe(60);
    const events = await arrived();
    expect(new Set(events.map(({ eventId }) => eventId)).size).toBe(60);
    expect(events).toHaveLength(60);
  });

  it('forgets what was handed on long ago, and nothing that was not', async () => {
    await happened({ kit: 1, step: 1 }, { kit: 2, step: 1 }, { kit: 3, step: 1 });
    await rig.relay();
    await rig.legacy.pool.query(`
      update kits_service.kit_event set sent_at = now() - interval '16 days' where number = 2;
      update kits_service.kit_event set sent_at = null, occurred_at = now() - interval '30 days' where number = 3;
      insert into kits_service.handled_job values ('old', 'applied', now() - interval '16 days'), ('new', 'applied', now())`);
    await arrived();
    await rig.relay();
    const { rows } = await rig.legacy.pool.query(
      'select number::int from kits_service.kit_event order by number',
    );
    expect(rows).toEqual([{ number: 1 }, { number: 3 }]);
    expect(
      (await rig.legacy.pool.query('select job_id from kits_service.handled_job')).rows,
    ).toEqual([{ job_id: 'new' }]);
    expect(await arrived()).toHaveLength(1);
  });
});

it('has nothing to hand on before the schema is made', async () => {
  const fresh = await serviceFunctions(5, { tracked: false });
  try {
    expect(await fresh.relay()).toEqual({ sent: 0, done: true });
    expect(fresh.log).toEqual([]);
  } finally {
    await fresh.close();
  }
});
