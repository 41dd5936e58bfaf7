import { setTimeout as sleep } from 'node:timers/promises';
import type { Context } from '../context.ts';
import { knownError } from '../describe-error.ts';
import type { Output } from '../output.ts';
import { copyRate } from './copy-rate.ts';
import { frame } from './frame.ts';
import { type OperatorStatus, readStatus } from './operator-status.ts';
import { renderStatus, statusLine } from './render-status.ts';
import { shorten } from './words.ts';

const EVENTS = 5;
/** In plain output an unchanged subject is repeated only so often, in milliseconds. */
const PLAIN_EVERY_MS = 10_000;

/** How soon it is looked again, in milliseconds: AWS counts calls, this machine does not. */
const pollMs = ({ remote }: Context): number => (remote.place.kind === 'local' ? 250 : 5_000);

interface Shower {
  show(status: OperatorStatus): void;
  /** Nothing could be seen: what was seen last stays, and says so. */
  missed(error: unknown): void;
}

/** One picture drawn over the other. */
const pictures = (out: Output): Shower => {
  const picture = frame(out);
  const follow = copyRate();
  let seen: readonly string[] = [];
  return {
    show(status) {
      const rate = status.standing === undefined ? undefined : follow(status.standing);
      seen = renderStatus(status, { width: out.width, style: out.style, rate });
      picture.draw(seen);
    },
    missed(error) {
      const { message } = knownError(error);
      picture.draw([
        ...seen,
        '',
        out.style('red', shorten(`not seen since: ${message}`, out.width)),
      ]);
    },
  };
};

/** One line after the other, where something has changed; remarks, for the result comes when it is over. */
const plainLines = (out: Output): Shower => {
  const follow = copyRate();
  let last = { subject: '', at: 0 };
  const say = (subject: string, line: string) => {
    if (subject === last.subject && Date.now() - last.at < PLAIN_EVERY_MS) return;
    last = { subject, at: Date.now() };
    out.remark(line);
  };
  return {
    show(status) {
      const rate = status.standing === undefined ? undefined : follow(status.standing);
      const states = status.executions.map(({ state }) => state);
      say([status.standing?.stage, ...states].join(), statusLine(status, rate));
    },
    missed(error) {
      const { name, message } = knownError(error);
      say(name, `not seen: ${message}`);
    },
  };
};

/**
 * Shows where the migration is until there is an answer or the operator interrupts: a picture that is kept up
 * to date on a terminal, plain lines elsewhere. A look that fails is told and tried again.
 *
 * @param look undefined while there is no answer yet
 * @returns the answer; undefined when it was interrupted.
 */
export const watchStatus = async <Answer>(
  context: Context,
  look: () => Promise<Answer | undefined>,
): Promise<Answer | undefined> => {
  const { out, json, remote, interrupted } = context;
  const shower = out.live && !json ? pictures(out) : plainLines(out);
  for (;;) {
    const answer = await look();
    await readStatus(remote, EVENTS).then(shower.show, shower.missed);
    if (answer !== undefined || interrupted.aborted) return answer;
    await sleep(pollMs(context), undefined, { signal: interrupted }).catch(() => undefined);
  }
};
