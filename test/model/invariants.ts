import { otherStore, STAGE_DEFINITIONS, type Store } from '@unified-kits/domain';
import { backlog } from './postgres.ts';
import type { Scenario } from './scenario.ts';
import type { Breach } from './search.ts';
import { actorAt, FAILED, has, KEYS, type Key, NO_ROW, ROWS, rowOf, type State } from './state.ts';
import { writerOf } from './writer.ts';

const KEY_NAMES = ['a', 'b'] as const;
const nameOf = (key: Key) => KEY_NAMES[key];

/**
 * The authoritative store holds each key's last acknowledged content, and nothing else. That a key has no
 * second row there is its unique index's doing, here as in Postgres.
 */
const acknowledged = (state: State): Breach | undefined => {
  const store = STAGE_DEFINITIONS[state.stage].writes;
  for (const key of KEYS) {
    const [is, must] = [state.contents[rowOf(store, key)], state.acknowledged[key]];
    if (is === must) continue;
    return must === NO_ROW
      ? {
          invariant: 'nothing is resurrected',
          detail: `${nameOf(key)} was deleted, and is in ${store}`,
        }
      : {
          invariant: 'an acknowledged write lasts',
          detail: `that of ${nameOf(key)} is not in ${store}, which leads`,
        };
  }
  return undefined;
};

const noTrace = (state: State): Breach | undefined => {
  for (const row of ROWS) {
    const writer = writerOf(state.contents[row]);
    if (writer !== undefined && actorAt(state, writer).outcome === FAILED)
      return {
        invariant: 'an aborted write leaves no trace',
        detail: `what writer ${writer + 1} wrote is there`,
      };
  }
  return undefined;
};

/** `inStep` (layers/data/src/kits/in-step.ts): whether a read of one key may be answered from a store. */
export const isInStep = (store: Store, { stage }: State, noted: boolean): boolean => {
  if (STAGE_DEFINITIONS[stage].writes === store) return true;
  return (store === 'kits' ? stage === 'mirrored' : stage === 'dual-write') && !noted;
};

/** Stores that a service's cached flags may name: those of the first stage, and those of this one. */
const namedByFlags = ({ stage }: State, { starts }: Scenario): readonly Store[] => [
  STAGE_DEFINITIONS[starts[0]?.stage ?? stage].writes,
  STAGE_DEFINITIONS[stage].writes,
];

/** A read is one statement, so one snapshot, which is what is committed at some moment: now, for instance. */
const noStaleRead = (state: State, scenario: Scenario): Breach | undefined => {
  const noted = backlog(state);
  const leads = STAGE_DEFINITIONS[state.stage].writes;
  const other = otherStore(leads);
  const trusts = scenario.defect === 'reads trust the flags';
  for (const key of KEYS) {
    const answers = trusts
      ? namedByFlags(state, scenario).includes(other)
      : isInStep(other, state, has(noted, key));
    if (answers && state.contents[rowOf(other, key)] !== state.contents[rowOf(leads, key)])
      return {
        invariant: 'no read is stale',
        detail: `${nameOf(key)}, read from ${other} in stage ${state.stage}`,
      };
  }
  return undefined;
};

/** While anything keeps the stores in step, a key is in step, or noted, or not yet copied. */
const inStepOrNoted = (state: State): Breach | undefined => {
  const { stage, contents } = state;
  if (STAGE_DEFINITIONS[stage].drains === 'nothing' || state.unseen) return undefined;
  const excused = backlog(state) | (stage === 'copying' ? ~state.copied : 0);
  for (const key of KEYS)
    if (!has(excused, key) && contents[rowOf('legacy', key)] !== contents[rowOf('kits', key)])
      return {
        invariant: 'what is not in step is noted',
        detail: `${nameOf(key)} differs, and nothing tells`,
      };
  return undefined;
};

/** A batch that has been rolled back has left nothing, and nothing rests on it. */
const rolledBack = (state: State): Breach | undefined => {
  if (!state.batchEnded) return undefined;
  const left =
    state.stage !== 'legacy'
      ? `stage ${state.stage}`
      : KEYS.some((key) => state.contents[rowOf('kits', key)] !== NO_ROW)
        ? 'a row of kits'
        : backlog(state) !== 0
          ? 'a noted key'
          : undefined;
  return left === undefined
    ? undefined
    : { invariant: 'a rollback leaves nothing', detail: `${left} is left` };
};

/** The first invariant that a state breaks. */
export const breachOf = (state: State, scenario: Scenario): Breach | undefined =>
  noTrace(state) ??
  acknowledged(state) ??
  rolledBack(state) ??
  noStaleRead(state, scenario) ??
  inStepOrNoted(state);
