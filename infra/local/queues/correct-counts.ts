import type { buildApp } from 'fauxqs';
import { z } from 'zod';

const answered = z.looseObject({ Attributes: z.record(z.string(), z.string()).optional() });
const asked = z.object({ QueueUrl: z.string() });
/** The server's own view of a queue; times in milliseconds since the epoch. */
const inspected = z.object({
  messages: z.object({
    inflight: z.array(z.object({ visibilityDeadline: z.number() })),
    delayed: z.array(z.object({ delayUntil: z.number().optional() })),
  }),
});

const VISIBLE = 'ApproximateNumberOfMessages';
const HIDDEN = 'ApproximateNumberOfMessagesNotVisible';
const DELAYED = 'ApproximateNumberOfMessagesDelayed';

/**
 * Makes GetQueueAttributes count what is so now. The queue server notices only while somebody receives
 * that a message has become visible again, so once a queue's consumer is paused its in-flight messages
 * would be counted as in flight for ever, and waiting for them would never end.
 */
export function correctCounts(app: ReturnType<typeof buildApp>): void {
  app.addHook('preSerialization', async (request, _reply, payload) => {
    if (request.headers['x-amz-target'] !== 'AmazonSQS.GetQueueAttributes') return payload;
    const { data: answer } = answered.safeParse(payload);
    const { data: question } = asked.safeParse(request.body);
    const counts = answer?.Attributes;
    if (!counts || !question) return payload;
    const name = question.QueueUrl.split('/').at(-1) ?? '';
    const found = await app.inject({ url: `/_fauxqs/queues/${encodeURIComponent(name)}` });
    const { inflight, delayed } = inspected.parse(found.json()).messages;
    const now = Date.now();
    const expired = inflight.filter((one) => one.visibilityDeadline <= now).length;
    const due = delayed.filter((one) => (one.delayUntil ?? 0) <= now).length;
    const add = (attribute: string, difference: number) =>
      attribute in counts ? { [attribute]: String(Number(counts[attribute]) + difference) } : {};
    return {
      ...answer,
      Attributes: {
        ...counts,
        ...add(VISIBLE, expired + due),
        ...add(HIDDEN, -expired),
        ...add(DELAYED, -due),
      },
    };
  });
}
