import { setTimeout as sleep } from 'node:timers/promises';
import type { Context } from '../context.ts';
import { copyRate } from './copy-rate.ts';
import { frame } from './frame.ts';
import { readStatus } from './operator-status.ts';
import { renderStatus, statusLine } from './render-status.ts';

const EVENTS = 5;
/** In plain output an unchanged subject is repeated only so often, in milliseconds. */
const PLAIN_EVERY_MS = 10_000;

/** How soon it is looked again, in milliseconds: AWS counts calls, this machine does not. */
const pollMs = ({ remote }: Context): number => (remote.place.kind === 'local' ? 250 : 5_000);

/** Draws or writes one look after the other. */
const shower = ({ out, remote, json }: Context): (() => Promise<void>) => {
  const picture = frame(out);
  const follow = copyRate();
  let last = { subject: '', at: 0 };
  return async () => {
    const status = await readStatus(remote, EVENTS);
    const rate = status.standing === undefined ? undefined : follow(status.standing);
    if (out.live && !json) {
      picture.draw(renderStatus(status, { width: out.width, style: out.style, rate }));
      return;
    }
    const subject = [status.standing?.stage, ...status.executions.map(({ state }) => state)].join();
    if (subject === last.subject && Date.now() - last.at < PLAIN_EVERY_MS) return;
    last = { subject, at: Date.now() };
    // A remark: the result comes when it is over.
    out.remark(statusLine(status, rate));
  };
};

/**
 * Shows where the migration is until there is an answer or the operator interrupts: a picture that is kept up
 * to date on a terminal, plain lines elsewhere. What is shown is a courtesy: a look that fails is left out.
 *
 * @param look undefined while there is no answer yet
 * @returns the answer; undefined when it was interrupted.
 */
export const watchStatus = async <Answer>(
  context: Context,
  look: () => Promise<Answer | undefined>,
): Promise<Answer | undefined> => {
  const { interrupted } = context;
  const show = shower(context);
  for (;;) {
    const answer = await look();
    await show().catch(() => undefined);
    if (answer !== undefined || interrupted.aborted) return answer;
    await sleep(pollMs(context), undefined, { signal: interrupted }).catch(() => undefined);
  }
};
