import { KIT_STATUSES, type Source } from '@unified-kits/domain';
import fc from 'fast-check';

/** A kit as producers know it, in one database. */
export interface KnownKit {
  readonly source: Source;
  readonly legacyId: string;
  readonly kitsId: string;
  readonly kitNumber: string;
}

/** Whose reference a job carries: its own kit's, another's, one that no kit has, or what no id can be. */
type Whose = 'own' | 'unknown' | 'nonsense' | { readonly other: number };

/** The references of a job; `legacyId` stands for `kitId` or `practitionerKitId`, as the kit's source says. */
interface ReferencePlan {
  readonly kitsId?: Whose | undefined;
  readonly legacyId?: Whose | undefined;
  readonly kitNumber?: Whose | undefined;
}

/** A job before it is known which ids its kit has: the same plan gives a message for each database. */
export interface JobPlan {
  readonly kind: 'job';
  /** Few, so that producers repeat some, with the same content or another. */
  readonly id: number;
  /** Which kit, counted round. */
  readonly kit: number;
  readonly references: ReferencePlan;
  /** Numeric ids as numbers, kits ids in capitals. */
  readonly otherSpelling: boolean;
  /** The legacy id under the other source's name. */
  readonly misplaced: boolean;
  /** A status in the words of `kits` or of a legacy table; undefined for results that are ready. */
  readonly status: string | undefined;
  /** Hours from now, so before or after what owners do meanwhile. */
  readonly hours: number;
}
interface GarbagePlan {
  readonly kind: 'garbage';
  readonly id: number;
  readonly fault: 'text' | 'type' | 'version' | 'nameless' | 'future' | 'empty';
}
export type MessagePlan = JobPlan | GarbagePlan;

/** The way of most kits, so that most jobs lead forward. */
const STEPS = ['registered', 'collected', 'received', 'processing'] as const;
/** What practitioners' kits call some of them. */
const LEGACY_WORDS = new Map([
  ['ordered', 'created'],
  ['sampled', 'collected'],
  ['at_lab', 'received'],
  ['reported', 'completed'],
]);
const id = fc.nat({ max: 150 });
const kit = fc.nat({ max: 30 });

const whose = (own: number): fc.Arbitrary<Whose> =>
  fc.oneof(
    { weight: own, arbitrary: fc.constant('own' as const) },
    { weight: 1, arbitrary: fc.constant('unknown' as const) },
    { weight: 1, arbitrary: fc.constant('nonsense' as const) },
    { weight: 1, arbitrary: fc.record({ other: kit }) },
  );

const job: fc.Arbitrary<JobPlan> = fc.record({
  kind: fc.constant('job' as const),
  id,
  kit,
  references: fc.record(
    { kitsId: whose(9), legacyId: whose(9), kitNumber: whose(9) },
    { requiredKeys: [] },
  ),
  otherSpelling: fc.boolean(),
  misplaced: fc.integer({ min: 0, max: 11 }).map((n) => n === 0),
  status: fc.oneof(
    { weight: 5, arbitrary: fc.constantFrom(...STEPS) },
    { weight: 2, arbitrary: fc.constantFrom(...KIT_STATUSES) },
    { weight: 3, arbitrary: fc.constantFrom(...LEGACY_WORDS.keys()) },
    { weight: 1, arbitrary: fc.constant(undefined) },
    { weight: 1, arbitrary: fc.constant('lost') },
  ),
  hours: fc.constantFrom(-2, -1, 1, 1, 1, 1, 2),
});

const garbage: fc.Arbitrary<GarbagePlan> = fc.record({
  kind: fc.constant('garbage' as const),
  id,
  fault: fc.constantFrom('text', 'type', 'version', 'nameless', 'future', 'empty'),
});

export const messagePlan: fc.Arbitrary<MessagePlan> = fc.oneof(
  { weight: 9, arbitrary: job },
  { weight: 1, arbitrary: garbage },
);

/** The kit that a job can be about alone; undefined where its references name others too. */
export const onlyKitOf = (plan: MessagePlan, kits: readonly KnownKit[]): KnownKit | undefined =>
  plan.kind === 'job' && Object.values(plan.references).every((whose) => typeof whose !== 'object')
    ? kits[plan.kit % kits.length]
    : undefined;

const NO_UUID = '00000000-0000-8000-a000-0000000000ff';
const HOUR_MS = 3_600_000;

const timeAt = (now: number, hours: number): string =>
  new Date(now + hours * HOUR_MS).toISOString();

const unknownId = (source: Source) => (source === 'kit' ? '987654321' : NO_UUID);

/** The value of one reference; undefined where the plan has none. */
const referenceTo = (
  plan: Whose | undefined,
  own: KnownKit,
  kits: readonly KnownKit[],
  of: { read(kit: KnownKit): string; readonly unknown: string; readonly nonsense: string },
): { readonly value: string; readonly kit: KnownKit } | undefined => {
  if (plan === undefined) return undefined;
  if (plan === 'unknown') return { value: of.unknown, kit: own };
  if (plan === 'nonsense') return { value: of.nonsense, kit: own };
  const meant = plan === 'own' ? own : (kits[plan.other % kits.length] ?? own);
  return { value: of.read(meant), kit: meant };
};

const referencesOf = (
  plan: JobPlan,
  own: KnownKit,
  kits: readonly KnownKit[],
): Record<string, unknown> => {
  const { references, otherSpelling, misplaced } = plan;
  const kitsId = referenceTo(references.kitsId, own, kits, {
    read: (one) => one.kitsId,
    unknown: NO_UUID,
    nonsense: 'ffffffff-ffff-ffff-ffff-ffffffffffff',
  });
  const legacyId = referenceTo(references.legacyId, own, kits, {
    read: (one) => one.legacyId,
    unknown: unknownId(own.source),
    nonsense: "1e3'--",
  });
  const kitNumber = referenceTo(references.kitNumber, own, kits, {
    read: (one) => one.kitNumber,
    unknown: 'nobody has it',
    nonsense: "'; --",
  });
  const name = (source: Source) =>
    (source === 'kit') === misplaced ? 'practitionerKitId' : 'kitId';
  const spelt = (text: string) => (otherSpelling && /^\d{1,15}$/.test(text) ? Number(text) : text);
  return {
    ...(kitsId && { kitsId: otherSpelling ? kitsId.value.toUpperCase() : kitsId.value }),
    ...(legacyId && { [name(legacyId.kit.source)]: spelt(legacyId.value) }),
    ...(kitNumber && { kitNumber: kitNumber.value }),
  };
};

const garbageBody = ({ id: number, fault }: GarbagePlan, now: number): string => {
  const whole = {
    jobId: `garbage-${number}`,
    type: 'kit.status-changed',
    version: 1,
    occurredAt: timeAt(now, -1),
    kitNumber: 'K1',
    data: { status: 'received' },
  };
  switch (fault) {
    case 'text':
      return '{"jobId":';
    case 'empty':
      return 'null';
    case 'type':
      return JSON.stringify({ ...whole, type: 'kit.lost' });
    case 'version':
      return JSON.stringify({ ...whole, version: 2 });
    case 'nameless':
      return JSON.stringify({ ...whole, kitNumber: undefined });
    case 'future':
      return JSON.stringify({ ...whole, occurredAt: timeAt(now, 48) });
  }
};

const jobBody = (plan: JobPlan, kits: readonly KnownKit[], now: number): string => {
  const own = kits[plan.kit % kits.length];
  if (own === undefined) throw new TypeError('a run has kits');
  const { id: number, hours, status } = plan;
  const word = own.source === 'kit' ? (LEGACY_WORDS.get(status ?? '') ?? status) : status;
  return JSON.stringify({
    jobId: `job-${number}`,
    type: word === undefined ? 'kit.results-ready' : 'kit.status-changed',
    version: 1,
    occurredAt: timeAt(now, hours),
    ...referencesOf(plan, own, kits),
    ...(word === undefined ? {} : { data: { status: word } }),
  });
};

/**
 * The body of a message for a database whose kits have these ids.
 *
 * @param now the same for both databases, in milliseconds since 1970
 */
export const bodyOf = (plan: MessagePlan, kits: readonly KnownKit[], now: number): string =>
  plan.kind === 'garbage' ? garbageBody(plan, now) : jobBody(plan, kits, now);
