import type { Source } from './mapping/schema.ts';

/**
 * How much a finding weighs: a blocker stops the migration; a `unified-blocker` stops only the stage
 * `unified` (the dual-write window stays open until it is gone); the others only want to be known.
 */
export const SEVERITIES = ['blocker', 'unified-blocker', 'warning', 'info'] as const;
export type Severity = (typeof SEVERITIES)[number];

export interface FindingKind {
  readonly severity: Severity;
  readonly title: string;
  /** One sentence that an operator can act on. */
  readonly advice: string;
}

/** Everything that phase 0 can find. */
export const FINDING_KINDS = {
  PRACTITIONER_WITHOUT_USER: {
    severity: 'blocker',
    title: 'practitioners without a user',
    advice:
      'Give each practitioner named here a user, or remove it: a kit of theirs would have no user in kits.',
  },
  PRACTITIONER_USER_UNKNOWN: {
    severity: 'blocker',
    title: 'practitioners whose user does not exist',
    advice: 'Point each practitioner named here at an existing user, or restore the user.',
  },
  PRACTITIONERS_SHARE_USER: {
    severity: 'blocker',
    title: 'practitioners that share one user',
    advice:
      'Give each of these practitioners a user of its own: through a shared one each would see the kits of the others.',
  },
  DUPLICATE_IN_KIT: {
    severity: 'blocker',
    title: 'kits with the same kit number, within kit',
    advice:
      'Decide which of these rows keeps the kit number and correct or remove the others: kits allows each number once.',
  },
  DUPLICATE_IN_PRACTITIONER_KITS: {
    severity: 'blocker',
    title: 'kits with the same kit number, within practitioner_kits',
    advice:
      'Decide which of these rows keeps the kit number and correct or remove the others: kits allows each number once.',
  },
  DUPLICATE_ACROSS: {
    severity: 'blocker',
    title: 'kits with the same kit number in kit and in practitioner_kits',
    advice:
      'Decide to which owner each of these kits belongs and correct or remove the other row: kits allows each number once.',
  },
  KIT_NUMBER_MISSING: {
    severity: 'blocker',
    title: 'kits without a kit number, or with an empty or blank one',
    advice: 'Give each of these rows its kit number, or remove it.',
  },
  KIT_OWNER_MISSING: {
    severity: 'blocker',
    title: 'kits without an owner',
    advice: 'Set the owner of each of these rows in the column named, or remove the row.',
  },
  KIT_OWNER_UNKNOWN: {
    severity: 'blocker',
    title: 'kits whose owner does not exist',
    advice: 'Point each of these rows at an existing owner, restore the owner, or remove the row.',
  },
  STATUS_MISSING: {
    severity: 'blocker',
    title: 'kits without a status',
    advice: 'Set the status of each of these rows: kits requires one.',
  },
  UNMAPPED_VALUE: {
    severity: 'blocker',
    title: 'values that the mapping does not name',
    advice:
      'Look up the column named in these rows, then add the values to its value map, or correct the rows.',
  },
  VALUE_TOO_LONG: {
    severity: 'blocker',
    title: 'values too long to be indexed in kits',
    advice: 'Shorten the value of the column named in these rows to at most 2,600 bytes.',
  },
  VALUE_OUT_OF_RANGE: {
    severity: 'blocker',
    title: 'dates later than a timestamp can hold',
    advice:
      'Correct the date in these rows, or leave the column out of the mapping: it is then kept in legacy_attributes as it is.',
  },
  ID_NULLABLE: {
    severity: 'blocker',
    title: 'an id column that may be null',
    advice: 'Set the id column NOT NULL: a row without an id can be neither copied nor captured.',
  },
  ID_MISSING: {
    severity: 'blocker',
    title: 'rows without an id',
    advice: 'Give these rows an id, or remove them.',
  },
  NO_UNIQUE_KEY: {
    severity: 'blocker',
    title: 'an id column without a usable unique key',
    advice:
      'Create a unique index over the id column alone (whole, valid, not deferrable), for example with CREATE UNIQUE INDEX CONCURRENTLY, then analyse again.',
  },
  NO_ID_GENERATOR: {
    severity: 'blocker',
    title: 'an id column from which no new id can be had',
    advice:
      'Name a generator in the mapping (id.generator), or give the column a default: kits born in kits need a legacy id.',
  },
  PARTITIONED_OR_INHERITED: {
    severity: 'blocker',
    title: 'a partitioned or inherited legacy table',
    advice:
      'Move the rows into one ordinary table first: writes to a partition bypass the triggers of its parent, and would be lost.',
  },
  ROW_SECURITY: {
    severity: 'blocker',
    title: 'row-level security that the engine does not bypass',
    advice:
      'Have a superuser run ALTER ROLE kits_owner BYPASSRLS: the engine must see every row or none.',
  },
  SUBSCRIBED_TABLE: {
    severity: 'blocker',
    title: 'a legacy table that logical replication writes',
    advice:
      'End the subscription of this table, or migrate where it is published: replication fires no statement triggers, so what it writes would be neither captured nor mirrored.',
  },
  REWRITE_RULE: {
    severity: 'blocker',
    title: 'rewrite rules on a legacy table',
    advice:
      'Replace the rules named here by triggers, or drop them: a rewritten write escapes capture and fence.',
  },
  NOT_OWNER: {
    severity: 'blocker',
    title: 'a table that the connected role may not alter or pass on',
    advice:
      "Connect as the table's owner, or grant the owner's role to the connected one (for users, SELECT with grant option is enough).",
  },
  NOT_EXAMINED: {
    severity: 'blocker',
    title: 'a table whose rows could not be examined',
    advice:
      'Clear the other blockers of this table and of the tables its owners are in, then analyse again.',
  },
  REFERENCED_BY: {
    severity: 'unified-blocker',
    title: 'foreign keys of other tables that point at a legacy table',
    advice:
      'Re-point these foreign keys at kits during the dual-write window: while one is left, the stage unified is refused.',
  },
  CASCADING_REFERENCE: {
    severity: 'warning',
    title: 'foreign keys through which another table changes legacy rows',
    advice:
      'Give these cascades a new home on kits: once the writes are switched, one that would change a legacy row is refused.',
  },
  OWN_TRIGGER: {
    severity: 'warning',
    title: "triggers of the organisation's own on a legacy table",
    advice:
      'Give their side effects a new home: they are switched off while the legacy tables are not authoritative, and restored on the way back.',
  },
  FUNCTION_WITHOUT_SEARCH_PATH: {
    severity: 'warning',
    title:
      'functions of defaults, checks and indexes that rely on the search_path of whoever writes',
    advice:
      "Have each function named here say where it looks (ALTER FUNCTION … SET search_path = …), unless it names every schema itself: the engine's writes run under a search_path of their own.",
  },
  REQUIRED_WITHOUT_DEFAULT: {
    severity: 'warning',
    title: 'required legacy columns without a default that no rule names',
    advice:
      'Give these columns a default, or set them in legacyAttributes of each new kit: without a value a kit born in kits cannot be mirrored.',
  },
  CREATED_AT_CLAMPED: {
    severity: 'warning',
    title: 'kits whose time of creation is missing, infinite, before 1970 or past the year 10889',
    advice:
      'Nothing has to be done: the time is kept as it is, only the time part of the kits id is clamped, so these kits do not sort by age.',
  },
  UPDATED_AT_MISSING: {
    severity: 'warning',
    title: 'kits without a time of update',
    advice:
      'Nothing has to be done: the time stays null; fill it in first if a consumer of kits relies on it.',
  },
  NEAR_DUPLICATE: {
    severity: 'warning',
    title: 'kit numbers that differ only in case or surrounding space',
    advice:
      'Check whether these rows mean the same kit: kits keeps both, for their numbers differ.',
  },
  LEGACY_ATTRIBUTES: {
    severity: 'warning',
    title: 'columns that are kept in legacy_attributes',
    advice:
      'Nothing has to be done: no rule names these columns, so they travel in legacy_attributes and come back unchanged.',
  },
  UNLOGGED_TABLE: {
    severity: 'warning',
    title: 'an unlogged legacy table',
    advice:
      'Run ALTER TABLE … SET LOGGED first: a crash would empty this table while kits keeps its rows.',
  },
  GENERATED_COLUMN: {
    severity: 'info',
    title: 'generated columns',
    advice: 'Nothing has to be done: they are computed again on the way back.',
  },
  IDENTITY_ALWAYS: {
    severity: 'info',
    title: 'identity columns that are always generated',
    advice: 'Nothing has to be done: the engine writes back the value each row had.',
  },
} as const satisfies Record<string, FindingKind>;
export type FindingCode = keyof typeof FINDING_KINDS;
export const FINDING_CODES = Object.keys(FINDING_KINDS) as readonly FindingCode[];

/** Where something was found; `both`: in both sources together, and its keys are `source:key`. */
export type FindingSource = Source | 'practitioners' | 'users' | 'both';

/** As many keys as a report shows of one finding. */
export const MOST_KEYS = 20;

/** One fault or remark, with keys and names from the catalog, never a row's content. */
export interface Finding {
  readonly code: FindingCode;
  readonly severity: Severity;
  readonly title: string;
  readonly source: FindingSource;
  readonly column?: string;
  /** Rows, or things of the catalog. */
  readonly count: number;
  /** The first of them. */
  readonly keys: readonly string[];
  readonly advice: string;
}

/** What was seen, before the words for it are added. */
export interface Tally {
  readonly code: FindingCode;
  readonly source: FindingSource;
  readonly column?: string | undefined;
  readonly count: number;
  readonly keys: readonly string[];
}

const sameTally = (a: Tally, b: Tally): boolean =>
  a.code === b.code && a.source === b.source && a.column === b.column;

/** Adds what one more part of a table has shown; nothing seen leaves the list as it was. */
export const addTallies = (tallies: readonly Tally[], more: readonly Tally[]): Tally[] => {
  const sum = [...tallies];
  for (const tally of more) {
    if (tally.count === 0) continue;
    const index = sum.findIndex((one) => sameTally(one, tally));
    const before = sum[index];
    if (before === undefined) sum.push({ ...tally, keys: tally.keys.slice(0, MOST_KEYS) });
    else
      sum[index] = {
        ...before,
        count: before.count + tally.count,
        keys: [...before.keys, ...tally.keys].slice(0, MOST_KEYS),
      };
  }
  return sum;
};

const rank = ({ severity, code, source, column }: Finding): string =>
  [
    SEVERITIES.indexOf(severity),
    String(FINDING_CODES.indexOf(code)).padStart(3, '0'),
    source,
    column ?? '',
  ].join(' ');

/** The findings of a report, the weightiest first, in an order that does not depend on when each was seen. */
export const toFindings = (tallies: readonly Tally[]): Finding[] =>
  addTallies([], tallies)
    .map(({ column, ...tally }): Finding => {
      const kind: FindingKind = FINDING_KINDS[tally.code];
      return { ...tally, ...(column === undefined ? {} : { column }), ...kind };
    })
    .sort((a, b) => (rank(a) < rank(b) ? -1 : 1));

export type Verdict = 'GO' | 'NO-GO';

export const blockersOf = (findings: readonly Finding[]): Finding[] =>
  findings.filter(({ severity }) => severity === 'blocker');

/** GO when nothing stops the migration; what stops only `unified` does not. */
export const verdict = (findings: readonly Finding[]): Verdict =>
  blockersOf(findings).length > 0 ? 'NO-GO' : 'GO';

/** A finding in one line, for errors and logs. */
export const describeFinding = ({ code, source, column, count, keys }: Finding): string =>
  `${code} in ${source}${column === undefined ? '' : `, column "${column}"`}: ${count}${keys.length === 0 ? '' : ` (${keys.join(', ')}${count > keys.length ? ', …' : ''})`}`;
