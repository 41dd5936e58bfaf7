import { z } from 'zod';

const response = z
  .object({
    batchItemFailures: z.array(z.object({ itemIdentifier: z.string().min(1) })).nullish(),
  })
  .nullable();

/**
 * The messages that a function with `ReportBatchItemFailures` says it failed on, by their ids. Nothing at
 * all, `null` or no list means that it failed on none, as on AWS.
 *
 * @param answer what the function returned, as JSON.
 * @returns undefined for an answer that Lambda takes for a failure of the whole batch: not an object, an
 * identifier that is missing, empty, or not of this batch.
 */
export function reportedFailures(
  answer: string,
  batch: ReadonlySet<string>,
): ReadonlySet<string> | undefined {
  const { success, data } = response.safeParse(JSON.parse(answer));
  if (!success) return undefined;
  const failed = (data?.batchItemFailures ?? []).map((one) => one.itemIdentifier);
  return failed.every((id) => batch.has(id)) ? new Set(failed) : undefined;
}
