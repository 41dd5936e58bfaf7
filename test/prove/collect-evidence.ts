import { ReceiveMessageCommand } from '@aws-sdk/client-sqs';
import { readParityProof, readStage, wasClosed } from '@unified-kits/data';
import { STAGE_DEFINITIONS } from '@unified-kits/domain';
import type pg from 'pg';
import { z } from 'zod';
import { QUEUES } from '../../infra/queues.ts';
import type { Compared, Evidence, EvidentEvent, EvidentKit } from './evidence.ts';
import { inSnapshot, placeOf, readKits } from './kits-known.ts';
import type { ProveSystem } from './prove-system.ts';

const waiting = z.object({
  messages: z.object({
    ready: z.array(z.object({ body: z.string() })),
    delayed: z.array(z.object({ body: z.string() })),
    inflight: z.array(z.object({ message: z.object({ body: z.string() }) })).default([]),
  }),
});
const job = z.object({ jobId: z.string() });

/** Ids of the jobs in a queue: those that are being worked on, or soon will be, and those that come later. */
export const jobsIn = async ({ queues }: ProveSystem, queue: string) => {
  const found = await fetch(`${queues.endpoint}/_fauxqs/queues/${queue}`);
  const { ready, delayed, inflight } = waiting.parse(await found.json()).messages;
  const idsOf = (messages: readonly { readonly body: string }[]) =>
    messages.map(({ body }) => job.parse(JSON.parse(body)).jobId);
  return {
    now: idsOf([...ready, ...inflight.map(({ message }) => message)]),
    later: idsOf(delayed),
  };
};

/** Takes all events that have arrived; each is hidden afterwards. */
export const takeEvents = async ({ sqs, queues }: ProveSystem): Promise<string[]> => {
  const ids: string[] = [];
  for (;;) {
    const { Messages = [] } = await sqs.send(
      new ReceiveMessageCommand({
        QueueUrl: queues.queueUrl(QUEUES.events.name),
        MaxNumberOfMessages: 10,
        VisibilityTimeout: 600,
      }),
    );
    if (Messages.length === 0) return ids;
    for (const { Body = '' } of Messages)
      ids.push(z.object({ eventId: z.string() }).parse(JSON.parse(Body)).eventId);
  }
};

const readEvents = async (session: pg.ClientBase): Promise<EvidentEvent[]> => {
  const { rows } = await session.query(
    `select id::text, kits_id::text as "kitsId", body, sent_at is not null as sent from kits_service.kit_event order by number`,
  );
  return rows.map(({ id, kitsId, body, sent }) => ({
    id,
    kitsId,
    source: body.source,
    legacyId: body.legacyId,
    type: body.type,
    place: placeOf('kit', body.status),
    previousPlace: body.previousStatus === null ? null : placeOf('kit', body.previousStatus),
    changed: body.changed,
    sent,
  }));
};

const LEFTOVERS = `
  select (select count(*)::int from migration.pending_sync) as "keys in the backlog",
         (select count(*)::int from migration.batch where ended_at is null) as "active batches",
         (select count(*)::int from migration.suspended_trigger) as "suspended triggers",
         (select count(*)::int from pg_trigger t where t.tgrelid in ('kit'::regclass, 'practitioner_kits'::regclass, 'practitioners'::regclass)
            and not t.tgisinternal and t.tgenabled <> 'D') as "triggers on legacy tables",
         (select count(*)::int from pg_prepared_xacts) as "prepared transactions"`;

/** @returns both stores, or undefined in a stage in which one of them has no meaning. */
export const compareStores = (
  system: ProveSystem,
  settled: boolean,
): Promise<Compared | undefined> =>
  inSnapshot(system.admin, async (session) => {
    const row = await readStage(session);
    if (row.stage === 'legacy' || row.stage === 'closed') return undefined;
    const { rows: open } = await session.query(
      'select count(*) filter (where done_at is null)::int as left, count(*)::int as planned from migration.chunk where batch_id = $1',
      [row.batchId],
    );
    const proof = await readParityProof(session, row);
    // After "closed", in which nothing is noted, a comparison comes first.
    const closed = row.batchId !== null && (await wasClosed(session, row.batchId));
    if (row.stage === 'unified' && closed && proof === undefined) return undefined;
    if (row.stage === 'copying' && (open[0].left > 0 || open[0].planned === 0)) return undefined;
    const { rows: ids } = await session.query('select kit_number as number, id::text from kits');
    const { rows: noted } = await session.query(
      `select source || ' ' || legacy_id as key from migration.pending_sync`,
    );
    const { rows: stray } = await session.query(
      'select count(*)::int as n from kits k join practitioners p on p.id = k.practitioner_id where p.user_id is distinct from k.user_id',
    );
    return {
      stage: row.stage,
      settled,
      noted: noted.map(({ key }) => key),
      legacy: await readKits(session, 'legacy'),
      kits: await readKits(session, 'kits'),
      kitsIds: Object.fromEntries(ids.map(({ number, id }) => [number, id])),
      mismatched: proof?.mismatched,
      strayOwners: stray[0].n,
    };
  });

/** What a run has left, when all is over. */
export const collectEvidence = async (
  system: ProveSystem,
  before: {
    readonly original: readonly EvidentKit[];
    readonly emitted: readonly string[];
    readonly compared: readonly Compared[];
  },
): Promise<Evidence> => {
  const emitted = [...before.emitted, ...(await takeEvents(system))];
  const jobs = await jobsIn(system, QUEUES.jobs.name);
  const dead = await jobsIn(system, QUEUES.jobs.deadLetters);
  const seen = await inSnapshot(system.admin, async (session) => {
    const { stage } = await readStage(session);
    const { rows: flips } = await session.query(
      `select detail ->> 'from' as "from", detail ->> 'to' as "to", (detail ->> 'epoch')::int as epoch from migration.event where action = 'flip' order by id`,
    );
    const { rows: handled } = await session.query(
      'select job_id, outcome from kits_service.handled_job',
    );
    // A cutover that faults have stopped at its very beginning has made no table.
    const { rows: made } = await session.query(`select to_regclass('kits') is not null as kits`);
    const left = made[0].kits ? (await readKits(session, 'kits')).length : 0;
    return {
      stage,
      stored: await readKits(session, STAGE_DEFINITIONS[stage].writes),
      events: await readEvents(session),
      handled: Object.fromEntries(handled.map(({ job_id, outcome }) => [job_id, outcome])),
      flips,
      leftovers: { ...(await session.query(LEFTOVERS)).rows[0], 'rows in kits': left },
    };
  });
  return { ...before, ...seen, emitted, waiting: [...jobs.now, ...jobs.later], dead: dead.now };
};
