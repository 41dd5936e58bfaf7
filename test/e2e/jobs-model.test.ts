import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type JobsRig, jobsRig } from '../support/job-side.ts';
import { command, JobsModel } from '../support/jobs-model.ts';

let rig: JobsRig;
beforeAll(async () => {
  rig = await jobsRig();
});
afterAll(() => rig.close());

// A failure prints its seed; MODEL_SEED repeats it, MODEL_SHRINK looks for the shortest way there.
const { MODEL_RUNS = '8', MODEL_SEED, MODEL_SHRINK } = process.env;

it('applies the same jobs and tells the same events as a database that never migrated', async () => {
  const seen = new Map<string, number>();
  await fc.assert(
    fc.asyncProperty(
      fc.array(command, { minLength: 20, maxLength: 60, size: 'max' }),
      async (commands) => {
        const model = await JobsModel.start(rig);
        try {
          for (const next of commands) await model.take(next);
          await model.finish();
          for (const [what, n] of model.seen) seen.set(what, (seen.get(what) ?? 0) + n);
        } finally {
          await model.close();
        }
      },
    ),
    {
      numRuns: Number(MODEL_RUNS),
      endOnFailure: MODEL_SHRINK === undefined,
      ...(MODEL_SEED === undefined ? {} : { seed: Number(MODEL_SEED) }),
    },
  );
  if (process.env.MODEL_SEEN) console.log(JSON.stringify([...seen]));
  // Of jobs that all lead nowhere the same would be true.
  for (const what of ['applied', 'stale', 'put back', 'malformed', 'unknown-status', 'dual-write'])
    expect(seen.get(what) ?? 0, what).toBeGreaterThan(0);
}, 3_600_000);
