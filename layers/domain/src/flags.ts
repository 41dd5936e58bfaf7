import { IllegalWish, InvalidInput } from './errors.ts';
import type { Stage, Store } from './stages.ts';

/** The operator's wish, as it stands in SSM under `/unified-kits/<environment>/`. */
export interface Flags {
  readonly unifiedReads: boolean;
  readonly unifiedWrites: boolean;
  readonly dualWrite: boolean;
  readonly migrationInProgress: boolean;
  /** Per cent of reads that are compared on both stores, 0 to 100. */
  readonly shadowReads: number;
  /** Ceiling of the copy in rows per second over all lanes; 0 pauses it; undefined: no ceiling. */
  readonly copyRowsPerSecond: number | undefined;
}
export type FlagName = keyof Flags;

/** A flag's parameter name (the last part of its path), the values it may have, and its value at birth. */
export const FLAG_PARAMETERS: Readonly<
  Record<
    FlagName,
    { readonly parameter: string; readonly allowedPattern: string; readonly initial: string }
  >
> = {
  unifiedReads: { parameter: 'unified-reads', allowedPattern: '^(true|false)$', initial: 'false' },
  unifiedWrites: {
    parameter: 'unified-writes',
    allowedPattern: '^(true|false)$',
    initial: 'false',
  },
  dualWrite: { parameter: 'dual-write', allowedPattern: '^(true|false)$', initial: 'false' },
  migrationInProgress: {
    parameter: 'MIGRATION_IN_PROGRESS',
    allowedPattern: '^(true|false)$',
    initial: 'false',
  },
  shadowReads: { parameter: 'shadow-reads', allowedPattern: '^(100|[1-9]?[0-9])$', initial: '0' },
  copyRowsPerSecond: {
    parameter: 'copy-rows-per-second',
    allowedPattern: '^(unlimited|0|[1-9][0-9]{0,8})$',
    initial: 'unlimited',
  },
};
export const FLAG_NAMES = Object.keys(FLAG_PARAMETERS) as readonly FlagName[];

/**
 * Reads one flag's text.
 *
 * @throws {InvalidInput} when the text is not a value of that flag.
 */
export const parseFlag = <Name extends FlagName>(name: Name, text: string): Flags[Name] => {
  const { parameter, allowedPattern } = FLAG_PARAMETERS[name];
  if (!new RegExp(allowedPattern).test(text))
    throw new InvalidInput(`flag "${parameter}" is "${text}"; it must match ${allowedPattern}`);
  const value =
    text === 'true'
      ? true
      : text === 'false'
        ? false
        : text === 'unlimited'
          ? undefined
          : Number(text);
  return value as Flags[Name];
};

/** The text of a flag's value, as it is written to its parameter. */
export const formatFlag = <Name extends FlagName>(_name: Name, value: Flags[Name]): string =>
  value === undefined ? 'unlimited' : String(value);

/** The three flags that together name a stage. */
export type StoreFlags = Pick<Flags, 'unifiedReads' | 'unifiedWrites' | 'dualWrite'>;

/**
 * The stage that a set of flags asks for. Writes on legacy ask for nothing beyond the stage the
 * workflow has reached, so the answer depends on where we are: below `mirrored` the batch leads.
 *
 * @throws {IllegalWish} for unified writes without unified reads.
 */
export const wishedStage = (flags: StoreFlags, current: Stage): Stage => {
  if (flags.unifiedWrites && !flags.unifiedReads)
    throw new IllegalWish(
      'unified-writes is true while unified-reads is false: a client would not read its own writes. Set unified-reads to true first, or unified-writes to false.',
    );
  if (!flags.unifiedWrites)
    return current === 'legacy' || current === 'copying' ? current : 'mirrored';
  if (flags.dualWrite) return 'dual-write';
  return current === 'closed' ? 'closed' : 'unified';
};

/** The flags that say what a stage is, to put a parameter back by. */
export const flagsOfStage = (stage: Stage, unifiedReads: boolean): StoreFlags => ({
  unifiedReads:
    stage === 'legacy' || stage === 'copying' ? false : stage === 'mirrored' ? unifiedReads : true,
  unifiedWrites: stage === 'dual-write' || stage === 'unified' || stage === 'closed',
  dualWrite: stage === 'dual-write',
});

/** Where services learn of the flags. */
export interface FlagSource {
  /** As they were at most 5 s ago. */
  cached(): Promise<Flags>;
  /** As they are. */
  read(): Promise<Flags>;
}

export const otherStore = (store: Store): Store => (store === 'legacy' ? 'kits' : 'legacy');
export const writesTo = (flags: Flags): Store => (flags.unifiedWrites ? 'kits' : 'legacy');
export const readsFrom = (flags: Flags): Store => (flags.unifiedReads ? 'kits' : 'legacy');
