import type { Message } from '@aws-sdk/client-sqs';
import { JOB_TYPES } from '@unified-kits/domain';
import { z } from 'zod';
import { reasonOf } from '../runtime/dead-letter-reason.ts';
import type { Call } from '../runtime/phase-handler.ts';
import { required, sqsOf } from '../runtime/queues.ts';
import { giveBack, hold } from './held-messages.ts';

/** A message that was given up, by ids alone: its body may name a person's kit. */
export interface DeadLetter {
  readonly messageId: string;
  /** Under which the consumer's log knows it; absent where the queue itself gave it up. */
  readonly originalMessageId: string | undefined;
  readonly jobId: string | undefined;
  readonly type: string | undefined;
  readonly reason: string;
  readonly detail: string;
  readonly failedAt: string | undefined;
  readonly receiveCount: number;
}

/** What of a body is an id or a word of ours; garbage has neither. */
const identity = z
  .object({
    jobId: z
      .string()
      .regex(/^[\x21-\x7e]{1,128}$/)
      .optional()
      .catch(undefined),
    type: z.enum(JOB_TYPES).optional().catch(undefined),
  })
  .catch({});

const identityOf = (body: string): z.output<typeof identity> => {
  try {
    return identity.parse(JSON.parse(body));
  } catch (error) {
    if (error instanceof SyntaxError) return {};
    throw error;
  }
};

const described = (message: Message): DeadLetter => {
  const { MessageId = '', Body = '', Attributes = {} } = message;
  const { jobId, type } = identityOf(Body);
  return {
    messageId: MessageId,
    jobId,
    type,
    ...reasonOf(message),
    receiveCount: Number(Attributes.ApproximateReceiveCount ?? 0),
  };
};

/** Messages are hidden from one another's view for this long at most, in seconds, if they are not given back. */
const HIDDEN_SECONDS = 60;
/** Long before that the list ends, however many there are. */
const LONGEST_MS = 30_000;

/** Lists what was given up, and leaves it where it is. `more` when the limit, or the time, ended the list. */
export const listDeadLetters = async (
  { environment, deadline }: Call,
  limit: number,
): Promise<{ readonly deadLetters: readonly DeadLetter[]; readonly more: boolean }> => {
  const sqs = sqsOf(environment);
  const queue = required(environment.queues.deadLetters, 'JOBS_DEAD_LETTER_QUEUE_URL');
  const until = Math.min(deadline, Date.now() + LONGEST_MS);
  const held: Message[] = [];
  let ended = false;
  try {
    while (!ended && held.length < limit && Date.now() < until) {
      const messages = await hold(sqs, queue, {
        most: limit - held.length,
        seconds: HIDDEN_SECONDS,
      });
      held.push(...messages);
      ended = messages.length === 0;
    }
  } finally {
    await giveBack(sqs, queue, held);
  }
  return { deadLetters: held.map(described), more: !ended };
};
