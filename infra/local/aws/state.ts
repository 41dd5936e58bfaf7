import { z } from 'zod';
import { LocalStateError, type StateFile } from './state-file.ts';

const parameterVersion = z.object({
  name: z.string(),
  type: z.string(),
  value: z.string(),
  version: z.number().int(),
  /** Milliseconds since the epoch. */
  modifiedAt: z.number(),
  modifiedBy: z.string(),
  description: z.string().optional(),
  allowedPattern: z.string().optional(),
  tier: z.string(),
  dataType: z.string(),
});

/** One version of a parameter. */
export type ParameterVersion = z.infer<typeof parameterVersion>;

/** What an operator changed of an event source mapping; the rest is as it was declared. */
const changedSettings = z.object({
  enabled: z.boolean().optional(),
  batchSize: z.number().int().optional(),
});

const document = z.object({
  format: z.literal(1),
  parameters: z.record(z.string(), z.array(parameterVersion).min(1)),
  // Not in files from before there were mappings.
  eventSourceMappings: z.record(z.string(), changedSettings).default({}),
});

type ChangedSettings = z.infer<typeof changedSettings>;

type Content = {
  /** The versions of each parameter by its name, oldest first. */
  readonly parameters: ReadonlyMap<string, readonly ParameterVersion[]>;
  /** By the UUIDs of the mappings. */
  readonly eventSourceMappings: ReadonlyMap<string, ChangedSettings>;
};
type Draft = {
  readonly parameters: Map<string, readonly ParameterVersion[]>;
  readonly eventSourceMappings: Map<string, ChangedSettings>;
};

/** What outlives the process. */
export type State = {
  readonly current: Content;
  /**
   * Changes a draft of the content. A change is on disk before it is answered and before anybody can
   * read it, so a flag that was seen set stays set after a kill -9. Nothing is changed when `compute`
   * throws or the file cannot be written.
   */
  change<T>(compute: (draft: Draft) => T): Promise<T>;
};

/**
 * The state, in memory and in its file.
 *
 * @throws LocalStateError when the file holds something else.
 */
export async function openState(file: StateFile): Promise<State> {
  let current: Content = await read(file);
  let last: Promise<unknown> = Promise.resolve();
  return {
    get current() {
      return current;
    },
    change(compute) {
      // One at a time: each is computed from what the one before left on disk.
      const run = last.then(async () => {
        const draft: Draft = {
          parameters: new Map(current.parameters),
          eventSourceMappings: new Map(current.eventSourceMappings),
        };
        const result = compute(draft);
        await file.save({
          format: 1,
          parameters: Object.fromEntries(draft.parameters),
          eventSourceMappings: Object.fromEntries(draft.eventSourceMappings),
        });
        current = draft;
        return result;
      });
      last = run.catch(() => undefined);
      return run;
    },
  };
}

async function read(file: StateFile): Promise<Content> {
  const found = await file.load();
  const empty: z.input<typeof document> = { format: 1, parameters: {} };
  const parsed = document.safeParse(found ?? empty);
  if (!parsed.success) {
    throw new LocalStateError(
      `The state file does not hold local flags: ${z.prettifyError(parsed.error)}. ` +
        'Mend it, or remove it to start without any.',
    );
  }
  const { parameters, eventSourceMappings } = parsed.data;
  return {
    parameters: new Map(Object.entries(parameters)),
    eventSourceMappings: new Map(Object.entries(eventSourceMappings)),
  };
}
