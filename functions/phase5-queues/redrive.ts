import type { Message } from '@aws-sdk/client-sqs';
import { installTracking, recordEvent } from '@unified-kits/data';
import { z } from 'zod';
import { reasonOf, withoutReason } from '../runtime/dead-letter-reason.ts';
import type { Call } from '../runtime/phase-handler.ts';
import { required, sqsOf } from '../runtime/queues.ts';
import { sendMessages } from '../runtime/send-messages.ts';
import { giveBack, hold, MOST_PER_CALL, remove } from './held-messages.ts';
import { moveAll } from './move-task.ts';

/** Which dead letters are put back: those named, by either of their ids, or those of a reason, or all. */
export const redriveEvent = z
  .object({
    action: z.literal('redrive'),
    actor: z.string().trim().min(1).max(200),
    messageIds: z.array(z.string().min(1).max(100)).min(1).max(1_000).optional(),
    reason: z.string().min(1).max(250).optional(),
    all: z.literal(true).optional(),
  })
  .refine(
    ({ messageIds, reason, all }) =>
      [messageIds, reason, all].filter((one) => one !== undefined).length === 1,
    { message: 'give one of messageIds, reason and all: true' },
  );
type Redrive = z.output<typeof redriveEvent>;

/** Longer than the function may run, so that nothing comes round a second time; what is not chosen is given back at the end. */
const HIDDEN_SECONDS = 900;
/** Of those that are not chosen: each has to be given back, and the time for that must be left. */
const MOST_KEPT = 5_000;

const idsOf = (message: Message): string[] =>
  [message.MessageId, reasonOf(message).originalMessageId].filter((id) => id !== undefined);

const isChosen = (message: Message, { messageIds, reason }: Redrive): boolean => {
  if (messageIds !== undefined) return idsOf(message).some((id) => messageIds.includes(id));
  return reason === undefined || reasonOf(message).reason === reason;
};

/**
 * Moves those that are chosen, ten at a time: first sent, then deleted, so that none is lost; one that is
 * there twice is the same job, which is applied once. What is given up anew meanwhile stays where it is.
 */
const moveChosen = async ({ environment, deadline }: Call, asked: Redrive) => {
  const sqs = sqsOf(environment);
  const jobs = required(environment.queues.jobs, 'JOBS_QUEUE_URL');
  const deadLetters = required(environment.queues.deadLetters, 'JOBS_DEAD_LETTER_QUEUE_URL');
  const began = Date.now();
  const kept: Message[] = [];
  const missing = new Set(asked.messageIds);
  const counts = { redriven: 0, failed: 0, notDeleted: 0 };
  let done = false;
  try {
    while (!done && kept.length < MOST_KEPT && Date.now() < deadline) {
      const messages = await hold(sqs, deadLetters, {
        most: MOST_PER_CALL,
        seconds: HIDDEN_SECONDS,
      });
      const chosen = messages.filter(
        (message) =>
          isChosen(message, asked) && Number(message.Attributes?.SentTimestamp ?? 0) <= began,
      );
      const { taken, fault } = await sendMessages(
        sqs,
        jobs,
        chosen.map(({ Body = '', MessageAttributes = {} }) => ({
          body: Body,
          attributes: withoutReason(MessageAttributes),
        })),
      );
      const moved = chosen.filter((_, index) => taken[index] === true);
      kept.push(...messages.filter((message) => !moved.includes(message)));
      counts.redriven += moved.length;
      counts.failed += chosen.length - moved.length;
      counts.notDeleted += await remove(sqs, deadLetters, moved);
      if (fault !== undefined) throw fault;
      for (const id of moved.flatMap(idsOf)) missing.delete(id);
      done = messages.length === 0 || (asked.messageIds !== undefined && missing.size === 0);
    }
  } finally {
    await giveBack(sqs, deadLetters, kept);
  }
  return { done, by: 'message', ...counts, missing: [...missing] };
};

/**
 * Puts dead letters back on the queue of jobs, without the reason that they were given.
 *
 * @returns counts; `done: false` when more may be left, for another call.
 * @throws {QueuesUnreachable} when the queue of jobs takes nothing, or SQS' own task fails.
 */
export const redrive = async (call: Call, asked: Redrive) => {
  const { db, environment, deadline, phase } = call;
  const { actor, messageIds, reason = null, all = false } = asked;
  await installTracking(db);
  await db.transaction({ asEngine: true }, (session) =>
    recordEvent(session, {
      phase,
      action: 'redrive',
      actor,
      detail: { reason, all, messages: messageIds?.length ?? null },
    }),
  );
  if (asked.all === true) {
    const moved = await moveAll(
      sqsOf(environment),
      {
        from: required(environment.queues.deadLetters, 'JOBS_DEAD_LETTER_QUEUE_URL'),
        to: required(environment.queues.jobs, 'JOBS_QUEUE_URL'),
      },
      deadline,
    );
    if (moved !== undefined) return { by: 'task', ...moved };
  }
  return moveChosen(call, asked);
};
