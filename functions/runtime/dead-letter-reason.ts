import type { Message, MessageAttributeValue } from '@aws-sdk/client-sqs';

export type MessageAttributes = Readonly<Record<string, MessageAttributeValue>>;

/** Why a message was given up; it travels with it. */
export interface GivingUp {
  /** A word that an operator can select by. */
  readonly reason: string;
  /** Names of fields, never a value. */
  readonly detail: string;
}

/** What the consumer adds to a message that it gives up. */
const OURS = ['reason', 'detail', 'failedAt', 'originalMessageId'] as const;

/** SQS takes ten attributes. */
const MOST_KEPT = 10 - OURS.length;
const MOST_CHARACTERS = 250;

const text = (value: string): MessageAttributeValue => ({
  DataType: 'String',
  StringValue: value.slice(0, MOST_CHARACTERS) || '-',
});

/** A message's own attributes: without ours, where all of ours are there. */
export const withoutReason = (attributes: MessageAttributes): MessageAttributes =>
  OURS.every((name) => name in attributes)
    ? Object.fromEntries(
        Object.entries(attributes).filter(([name]) => !OURS.some((ours) => ours === name)),
      )
    : attributes;

/** A message's attributes with the reason why it is given up; of its own, six stay. */
export const withReason = (
  attributes: MessageAttributes,
  { reason, detail, messageId }: GivingUp & { readonly messageId: string },
): MessageAttributes => ({
  ...Object.fromEntries(Object.entries(withoutReason(attributes)).slice(0, MOST_KEPT)),
  reason: text(reason),
  detail: text(detail),
  failedAt: text(new Date().toISOString()),
  originalMessageId: text(messageId),
});

/** What the queue itself gives up has no reason with it. */
export const BY_THE_QUEUE: GivingUp = {
  reason: 'receives-used-up',
  detail: 'the queue gave it up by itself, so nobody could say why',
};

/** Why a message lies among the dead letters. */
export const reasonOf = ({
  MessageAttributes = {},
}: Message): GivingUp & {
  readonly failedAt: string | undefined;
  readonly originalMessageId: string | undefined;
} => {
  const told = (name: (typeof OURS)[number]) => MessageAttributes[name]?.StringValue;
  return {
    reason: told('reason') ?? BY_THE_QUEUE.reason,
    detail: told('detail') ?? BY_THE_QUEUE.detail,
    failedAt: told('failedAt'),
    originalMessageId: told('originalMessageId'),
  };
};
