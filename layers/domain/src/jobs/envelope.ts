import { z } from 'zod';
import { JobRejected } from '../errors.ts';

/** Postgres stores no null character, and would take half a surrogate pair for another character. */
const isStorable = (text: string): boolean => text.isWellFormed() && !text.includes('\0');

/** Producers have sent ids of digits as numbers and as text, and null for what they do not know. */
const reference = z
  .union([z.int().transform(String), z.string().min(1).max(255)])
  .refine(isStorable, 'a text of whole characters, none of them null')
  .nullish()
  .transform((id) => id ?? undefined)
  .optional();

const instant = z.iso.datetime({ offset: true });

const envelopeShape = {
  jobId: z
    .string()
    .min(1)
    .max(128)
    .regex(/^[\x21-\x7e]+$/, 'visible ASCII characters'),
  version: z.literal(1),
  /** When it happened, not when it was sent. */
  occurredAt: instant,
  kitsId: z
    .guid()
    .nullish()
    .transform((id) => id?.toLowerCase())
    .optional(),
  kitId: reference,
  practitionerKitId: reference,
  kitNumber: reference,
};

const statusChanged = z.object({
  ...envelopeShape,
  type: z.literal('kit.status-changed'),
  /** In the words of `kits`, or of the kit's own legacy table. */
  data: z.object({ status: z.string().min(1).max(64) }),
});
const resultsReady = z.object({
  ...envelopeShape,
  type: z.literal('kit.results-ready'),
  data: z.object({ resultedAt: instant.optional() }).default({}),
});

/** Unknown fields are left alone: a producer may be newer than this consumer. */
export const jobSchema = z.discriminatedUnion('type', [statusChanged, resultsReady]);
export type Job = z.output<typeof jobSchema>;
export const JOB_TYPES = ['kit.status-changed', 'kit.results-ready'] as const;

/** The references of a job, as the producer gave them; which of them wins is the resolution's to say. */
export type JobReferences = Pick<Job, 'kitsId' | 'kitId' | 'practitionerKitId' | 'kitNumber'>;

/** What can be told apart before the whole is checked. */
const known = z.object({
  type: z.unknown(),
  version: z.unknown(),
});

/** An id may have more digits than a JavaScript number holds: then they are taken as they stand. */
function wholeDigits(
  this: unknown,
  _key: string,
  value: unknown,
  { source = '' }: { readonly source?: string },
): unknown {
  const inexact = typeof value === 'number' && !Number.isSafeInteger(value);
  return inexact && /^-?\d+$/.test(source) ? source : value;
}

const parseJson = (body: string): unknown => {
  try {
    return JSON.parse(body, wholeDigits);
  } catch {
    // The parser's message quotes the body.
    throw new JobRejected('malformed', 'the body is not JSON');
  }
};

/** The most that the clock of a producer may be ahead: a job from the future would make all others stale. */
const MOST_AHEAD_MS = 24 * 3_600_000;

/**
 * Reads the body of a message.
 *
 * @param now in milliseconds since 1970
 * @throws {JobRejected} saying what is wrong, with names of fields and no value.
 */
export const parseJob = (body: string, now: number): Job => {
  const value = parseJson(body);
  const { type, version } = known.safeParse(value).data ?? {};
  if (typeof type === 'string' && !JOB_TYPES.some((one) => one === type))
    throw new JobRejected('unknown-type', 'no job of this type is known');
  if (typeof version === 'number' && version !== 1)
    throw new JobRejected('unknown-version', 'only version 1 of this job is known');
  const parsed = jobSchema.safeParse(value);
  if (!parsed.success)
    throw new JobRejected(
      'malformed',
      parsed.error.issues
        .map(({ path, message }) => `${path.join('.') || 'body'}: ${message}`)
        .join('; '),
    );
  const job = parsed.data;
  const { kitsId, kitId, practitionerKitId, kitNumber } = job;
  if ([kitsId, kitId, practitionerKitId, kitNumber].every((one) => one === undefined))
    throw new JobRejected(
      'malformed',
      'the job names no kit: give kitsId, kitId, practitionerKitId or kitNumber',
    );
  if (Date.parse(job.occurredAt) > now + MOST_AHEAD_MS)
    throw new JobRejected('malformed', 'occurredAt: lies more than a day ahead');
  return job;
};
