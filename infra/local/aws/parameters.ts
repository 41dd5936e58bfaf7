import { ServiceError } from './service-error.ts';
import type { ParameterVersion, State } from './state.ts';

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

/** The parameters of the state. */
export function stateParameters(state: State): Parameters {
  return {
    put: (request) =>
      state.change(({ parameters }) => {
        const versions = parameters.get(request.name) ?? [];
        const stored = nextVersion(request, versions.at(-1));
        parameters.set(request.name, [...versions, stored].slice(-KEPT_VERSIONS));
        return { stored, created: versions.length === 0 };
      }),
    remove: (name) =>
      state.change(({ parameters }) => {
        const newest = parameters.get(name)?.at(-1);
        if (!newest) throw notFound(name);
        parameters.delete(name);
        return newest;
      }),
    get(name, number) {
      const versions = state.current.parameters.get(name);
      return number === undefined
        ? versions?.at(-1)
        : versions?.find((candidate) => candidate.version === number);
    },
    versions: (name) => state.current.parameters.get(name) ?? [],
    all: () =>
      [...state.current.parameters.values()]
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
