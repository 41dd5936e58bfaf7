import { z } from 'zod';
import { ServiceError } from './service-error.ts';
import { LocalStateError, type StateFile } from './state-file.ts';

const version = z.object({
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
export type ParameterVersion = z.infer<typeof version>;

const document = z.object({
  format: z.literal(1),
  parameters: z.record(z.string(), z.array(version).min(1)),
});

type Put = {
  readonly name: string;
  readonly value: string;
  readonly overwrite: boolean;
  readonly type?: string | undefined;
  readonly description?: string | undefined;
  readonly allowedPattern?: string | undefined;
  readonly tier?: string | undefined;
  readonly dataType?: string | undefined;
  readonly modifiedBy: string;
};

export type Parameters = {
  put(request: Put): Promise<{ readonly stored: ParameterVersion; readonly created: boolean }>;
  remove(name: string): Promise<ParameterVersion>;
  /** The newest version, or the one asked for; undefined when the parameter does not exist. */
  get(name: string, number?: number): ParameterVersion | undefined;
  versions(name: string): readonly ParameterVersion[];
  /** The newest version of every parameter, by name. */
  all(): readonly ParameterVersion[];
};

/** As many as AWS keeps. */
const KEPT_VERSIONS = 100;

/**
 * The parameters, in memory and in the state file. A change is on disk before it is answered and before
 * anybody can read it, so a flag that was seen set stays set after a kill -9.
 *
 * @throws LocalStateError when the state file holds something else.
 */
export async function openParameters(file: StateFile): Promise<Parameters> {
  let current = await read(file);
  let last: Promise<unknown> = Promise.resolve();

  /** One change at a time: each is computed from what the one before left on disk. */
  const change = <T>(compute: (next: Map<string, ParameterVersion[]>) => T): Promise<T> => {
    const run = last.then(async () => {
      const next = new Map(current);
      const result = compute(next);
      await file.save({ format: 1, parameters: Object.fromEntries(next) });
      current = next;
      return result;
    });
    last = run.catch(() => undefined);
    return run;
  };

  return {
    put: (request) =>
      change((next) => {
        const versions = next.get(request.name) ?? [];
        const stored = nextVersion(request, versions.at(-1));
        next.set(request.name, [...versions, stored].slice(-KEPT_VERSIONS));
        return { stored, created: versions.length === 0 };
      }),
    remove: (name) =>
      change((next) => {
        const newest = next.get(name)?.at(-1);
        if (!newest) throw notFound(name);
        next.delete(name);
        return newest;
      }),
    get(name, number) {
      const versions = current.get(name);
      return number === undefined
        ? versions?.at(-1)
        : versions?.find((candidate) => candidate.version === number);
    },
    versions: (name) => current.get(name) ?? [],
    all: () =>
      [...current.values()]
        .flatMap((versions) => versions.slice(-1))
        .sort((a, b) => (a.name < b.name ? -1 : 1)),
  };
}

/** What AWS answers for a name that does not exist. */
export function notFound(name: string): ServiceError {
  return new ServiceError('ParameterNotFound', `Parameter ${name} not found.`);
}

function nextVersion(request: Put, previous: ParameterVersion | undefined): ParameterVersion {
  if (previous && !request.overwrite) {
    throw new ServiceError(
      'ParameterAlreadyExists',
      'The parameter already exists. To overwrite this value, set the overwrite option in the request to true.',
    );
  }
  const type = request.type ?? previous?.type;
  if (!type) {
    throw new ServiceError(
      'ValidationException',
      'A parameter type is required when you create a parameter.',
    );
  }
  // Whether AWS keeps the pattern when an overwrite does not repeat it is documented nowhere. Keeping
  // it is the stricter reading: what passes here passes there.
  const allowedPattern = request.allowedPattern ?? previous?.allowedPattern;
  requirePattern(request, allowedPattern);
  const description = request.description ?? previous?.description;
  return {
    name: request.name,
    type,
    value: request.value,
    version: (previous?.version ?? 0) + 1,
    modifiedAt: Date.now(),
    modifiedBy: request.modifiedBy,
    ...(description === undefined ? {} : { description }),
    ...(allowedPattern === undefined ? {} : { allowedPattern }),
    tier: request.tier ?? previous?.tier ?? 'Standard',
    dataType: request.dataType ?? previous?.dataType ?? 'text',
  };
}

function requirePattern(request: Put, pattern: string | undefined): void {
  if (pattern === undefined) return;
  let expression: RegExp;
  try {
    expression = new RegExp(pattern);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new ServiceError('InvalidAllowedPatternException', `Invalid pattern: ${pattern}`);
  }
  if (expression.test(request.value)) return;
  throw new ServiceError(
    'ParameterPatternMismatchException',
    `Parameter value, cannot be validated against allowedPattern: ${pattern}`,
  );
}

async function read(file: StateFile): Promise<Map<string, ParameterVersion[]>> {
  const found = await file.load();
  if (found === undefined) return new Map();
  const parsed = document.safeParse(found);
  if (parsed.success) return new Map(Object.entries(parsed.data.parameters));
  throw new LocalStateError(
    `The state file does not hold local flags: ${z.prettifyError(parsed.error)}. ` +
      'Mend it, or remove it to start without any.',
  );
}
