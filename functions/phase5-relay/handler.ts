import middy from '@middy/core';
import {
  type Database,
  exclusively,
  hasSqlState,
  markSent,
  type OutboxEvent,
  pruneEvents,
  pruneJobs,
  pruneKeys,
  readUnsent,
  SQLSTATE,
} from '@unified-kits/data';
import { UnifiedKitsError } from '@unified-kits/domain';
import type { Context } from 'aws-lambda';
import { databaseOf } from '../runtime/database.ts';
import { type Environment, readEnvironment } from '../runtime/environment.ts';
import { publicError } from '../runtime/faults.ts';
import { METRICS } from '../runtime/metric-names.ts';
import { required, sqsOf } from '../runtime/queues.ts';
import { sendMessages } from '../runtime/send-messages.ts';
import { serviceLog } from '../runtime/service-log.ts';
import { metricsMiddleware, serviceMetrics } from '../runtime/service-metrics.ts';

const PHASE = 'phase5-relay';
/** SQS takes ten messages a call. */
const PER_CALL = 10;
/** Events read at a time; they are a kit's oldest, one a kit. */
const PER_READ = 200;
const MARGIN_MS = 3_000;
/** Longer than any queue keeps a message. */
const KEEP_DAYS = 15;
/** As long as a client may be expected to repeat a request. */
const KEEP_KEYS_HOURS = 48;
const PRUNE_AT_ONCE = 1_000;

/** The queue did not take an event; it stays in the outbox. */
class EventsNotSent extends UnifiedKitsError {
  constructor(count: number) {
    super(
      'EventsNotSent',
      `the queue took none of ${count} events: they are sent with the next run`,
    );
  }
}

/** An event as it goes out: what changed, by ids, and its place among the changes of its kit. */
const message = ({ id, number, occurredAt, body }: OutboxEvent): string => {
  const { source, legacyId, ...event } = body;
  return JSON.stringify({
    eventId: id,
    ...event,
    [source === 'kit' ? 'kitId' : 'practitionerKitId']: legacyId,
    occurredAt,
    sequence: number,
  });
};

const send = (environment: Environment, events: readonly OutboxEvent[]) =>
  sendMessages(
    sqsOf(environment),
    required(environment.queues.events, 'EVENTS_QUEUE_URL'),
    events.map((event) => ({
      body: message(event),
      attributes: { type: { DataType: 'String', StringValue: String(event.body.type) } },
    })),
  );

const chunks = <Item>(items: readonly Item[], size: number): readonly Item[][] =>
  Array.from({ length: Math.ceil(items.length / size) }, (_, n) =>
    items.slice(n * size, (n + 1) * size),
  );

const asService = { asApplication: true } as const;

/**
 * Sends what is in the outbox until it is empty, or the time is up. An event that the queue does not take is
 * still its kit's oldest when the outbox is read again, so nothing of that kit overtakes it; other kits go on.
 *
 * @throws {EventsNotSent} when the queue takes none of what is left.
 */
const relay = async (
  environment: Environment,
  db: Database,
  deadline: number,
): Promise<{ readonly sent: number; readonly done: boolean }> => {
  let sent = 0;
  while (Date.now() < deadline) {
    const events = await db.transaction(asService, (session) => readUnsent(session, PER_READ));
    if (events.length === 0) return { sent, done: true };
    const before = sent;
    for (const part of chunks(events, PER_CALL)) {
      const { taken, fault } = await send(environment, part);
      const numbers = part.filter((_, index) => taken[index] === true).map(({ number }) => number);
      // Sent and not marked is sent again: a consumer knows an event by its id.
      await db.transaction(asService, (session) => markSent(session, numbers));
      sent += numbers.length;
      serviceMetrics(PHASE).count(METRICS.EventsRelayed, numbers.length);
      if (fault !== undefined) throw fault;
      if (Date.now() >= deadline) break;
    }
    if (sent === before) throw new EventsNotSent(events.length);
  }
  return { sent, done: false };
};

/** Forgets what is past its time, a bounded piece at a run. */
const prune = (db: Database): Promise<void> =>
  db.transaction(asService, async (session) => {
    await pruneEvents(session, KEEP_DAYS, PRUNE_AT_ONCE);
    await pruneJobs(session, KEEP_DAYS, PRUNE_AT_ONCE);
    await pruneKeys(session, KEEP_KEYS_HOURS, PRUNE_AT_ONCE);
  });

/** Hands the outbox on to `kit-events`: at least once, and those of one kit in the order of its changes. */
export const handler = middy<unknown, { sent: number; done: boolean }>()
  .use(metricsMiddleware)
  .handler(async (_event: unknown, context: Context) => {
    const environment = readEnvironment();
    const db = databaseOf(environment);
    const deadline = Date.now() + context.getRemainingTimeInMillis() - MARGIN_MS;
    try {
      // One at a time: two would send a kit's events past one another.
      const result = await exclusively(db, 'relay', 1, () => relay(environment, db, deadline));
      if (result === undefined) return { sent: 0, done: false };
      await prune(db);
      return result;
    } catch (error) {
      // Deployed before the schema is made: there is no event yet.
      if (hasSqlState(error, SQLSTATE.undefinedTable)) return { sent: 0, done: true };
      const leaving = publicError(error);
      serviceLog(PHASE).error('events were not handed on', leaving);
      throw leaving;
    }
  });
