import { setTimeout as sleep } from 'node:timers/promises';
import type { Contract, Source } from '@unified-kits/domain';
import { type Abilities, nextStatus } from './abilities.ts';
import type { OwnKit } from './api-kit.ts';
import type { WriterSession } from './session.ts';

export interface WriterOptions {
  readonly session: WriterSession;
  /** The kits that this writer alone writes; new ones are added. */
  readonly kits: OwnKit[];
  readonly abilities: Readonly<Record<Source, Abilities | undefined>>;
  readonly random: () => number;
  /** Operations per second; a write and the read that checks it are one. */
  readonly rate: number;
  readonly signal: AbortSignal;
}

/** Of a hundred operations; the rest are changes. */
const READS = 25;
const CREATIONS = 15;
const MEANT_REFUSALS = 4;
/** Of a hundred writes that may be sent twice: their first answer is lost. */
const LOST_ANSWERS = 4;
const MOST_LOST_MS = 8;
/** Of a hundred changes. */
const STATUS_STEPS = 40;

type Dice = (limit: number) => number;

/** A list, or the kit itself: under the contract that it was written by, or under the other one. */
const look = (session: WriterSession, kit: OwnKit, contract: Contract, dice: Dice) => {
  const die = dice(100);
  const other = contract === 'v2' ? 'legacy' : 'v2';
  if (die < 15) return session.list(kit, dice(2) === 0 ? contract : other);
  return session.read(kit, die < 40 ? other : contract);
};

const beRefused = async (
  session: WriterSession,
  kits: readonly OwnKit[],
  kit: OwnKit,
  token: string | undefined,
  dice: Dice,
): Promise<void> => {
  const stranger = kits.find(
    ({ caller }) =>
      caller.userId !== kit.caller.userId && caller.practitionerId !== kit.caller.practitionerId,
  );
  if (stranger !== undefined && (token === undefined || dice(2) === 0))
    await session.foreignRead(kit, stranger);
  else if (token !== undefined) await session.outdatedChange(kit, token);
};

const step = async (options: WriterOptions): Promise<void> => {
  const { session, kits, abilities, random } = options;
  const dice: Dice = (limit) => Math.floor(random() * limit);
  const kit = kits[dice(kits.length)];
  if (kit === undefined) return;
  const able = abilities[kit.source];
  const contract: Contract = dice(2) === 0 ? 'legacy' : 'v2';
  const giveUpMs = dice(100) < LOST_ANSWERS ? 1 + dice(MOST_LOST_MS) : undefined;
  const die = dice(100);

  if (die < MEANT_REFUSALS) return beRefused(session, kits, kit, able?.token, dice);
  if (die < MEANT_REFUSALS + CREATIONS && able?.creation !== undefined) {
    const made = await session.create(kit, able.creation, { contract, giveUpMs });
    if (made === undefined || !('key' in made)) return;
    kits.push(made);
    return look(session, made, contract, dice);
  }
  if (die >= 100 - READS || able?.token === undefined) return look(session, kit, contract, dice);

  // The unified contract demands it, and only a change that is sure of its version may be sent twice.
  const ifMatch = contract === 'v2' || dice(2) === 0;
  const status = dice(100) < STATUS_STEPS ? nextStatus(able, kit, random) : undefined;
  const answer = await session.change(
    kit,
    { token: able.token, status },
    { contract, ifMatch, giveUpMs: ifMatch ? giveUpMs : undefined },
  );
  // Whether it was changed nobody knows: whatever it shows proves nothing any more.
  if (answer === undefined) kits.splice(kits.indexOf(kit), 1);
  else if (answer.status < 300) await look(session, kit, contract, dice);
};

/**
 * Clients and practitioners of the API, one request after the other at a steady rate until told to stop: they
 * make, read and change kits, and look at once whether what they wrote is there.
 */
export const runWriter = async (options: WriterOptions): Promise<void> => {
  const { random, rate, signal } = options;
  while (!signal.aborted) {
    const due = performance.now() + (1_000 / rate) * (0.5 + random());
    await step(options);
    const pause = due - performance.now();
    if (pause > 0) await sleep(pause, undefined, { signal }).catch(() => undefined);
  }
};
