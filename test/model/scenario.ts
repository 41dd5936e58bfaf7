import type { Stage } from '@unified-kits/domain';
import type { Defect } from './protocol.ts';
import type { Key, State } from './state.ts';

export type Role =
  | 'writer'
  | 'copier'
  | 'drainer'
  | 'cutover'
  | 'rollback'
  | 'parity'
  | 'compaction';

/** One statement of a client. */
export interface Statement {
  readonly does: 'insert' | 'update' | 'delete';
  readonly keys: readonly Key[];
}

/** What a client's transaction does, statement by statement; no two of them touch the same key. */
export type Program = readonly Statement[];

/** Who takes part, and from where. */
export interface Scenario {
  readonly roles: readonly Role[];
  /** The programs that writers choose from, by number. */
  readonly programs: readonly Program[];
  /** The chunks of the copy, as sets of keys. */
  readonly chunks: readonly number[];
  /** The stages that the cutover flips to, one after the other. */
  readonly path: readonly Stage[];
  readonly starts: readonly State[];
  readonly defect: Defect | undefined;
}
