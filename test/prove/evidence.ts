import type { Stage } from '@unified-kits/domain';

/** A row of a store, with what nobody wrote as one text. */
export interface EvidentKit {
  readonly number: string;
  readonly source: string;
  readonly id: string;
  readonly orderId: string | null;
  readonly kitType: string | null;
  readonly place: number;
  /** The times that follow a status or a change, as text. */
  readonly times: string;
  /** What neither clients nor jobs change, as text; the same for as long as the kit lives. */
  readonly rest: string;
}

export interface EvidentEvent {
  readonly id: string;
  readonly kitsId: string;
  readonly source: string;
  readonly legacyId: string;
  readonly type: string;
  readonly place: number;
  readonly previousPlace: number | null;
  readonly changed: readonly string[];
  readonly sent: boolean;
}

/** Both stores and the backlog, seen in one snapshot. */
export interface Compared {
  readonly stage: Stage;
  /** Whether nobody writes and all that was noted has been synchronised. */
  readonly settled: boolean;
  /** Noted keys, as `source id`. */
  readonly noted: readonly string[];
  readonly legacy: readonly EvidentKit[];
  readonly kits: readonly EvidentKit[];
  /** Kits ids by number. */
  readonly kitsIds: Readonly<Record<string, string>>;
  /** Of the product's own comparison in this stage; undefined where there was none. */
  readonly mismatched: number | undefined;
  /** Kits of practitioners whose user is another than theirs. */
  readonly strayOwners: number;
}

/** What is in the database and in the queues when all is over and nobody writes any more. */
export interface Evidence {
  readonly stage: Stage;
  /** Before anything began. */
  readonly original: readonly EvidentKit[];
  /** The authoritative store. */
  readonly stored: readonly EvidentKit[];
  readonly events: readonly EvidentEvent[];
  /** Ids of the events that arrived in their queue, each as often as it did. */
  readonly emitted: readonly string[];
  /** Jobs by what was made of them. */
  readonly handled: Readonly<Record<string, string>>;
  /** Jobs that are in their queue still, and in the dead letters. */
  readonly waiting: readonly string[];
  readonly dead: readonly string[];
  readonly flips: readonly { readonly from: Stage; readonly to: Stage; readonly epoch: number }[];
  /** What a rollback left, by what it is; all must be 0 in stage `legacy`. */
  readonly leftovers: Readonly<Record<string, number>>;
  /** Looks at both stores: those in which something was wrong, and those at the end. */
  readonly compared: readonly Compared[];
}
