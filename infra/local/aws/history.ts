import type { StateMachine } from 'aws-local-stepfunctions';
import type { AslMachine } from './asl-walk.ts';
import { type Lineage, lineages } from './lineage.ts';
import { epochSeconds } from './service-error.ts';

/** An event of the interpreter. */
type InterpreterEvent =
  ReturnType<StateMachine['run']>['eventLogs'] extends AsyncGenerator<infer E> ? E : never;

/** An event as GetExecutionHistory answers it. */
export type HistoryEvent = {
  readonly id: number;
  readonly previousEventId: number;
  readonly timestamp: number;
  readonly type: string;
  readonly [details: string]: unknown;
};

export type History = {
  readonly events: readonly HistoryEvent[];
  /** Adds an event to a thread; the execution's own by default. */
  add(type: string, details?: object, lineage?: Lineage): void;
  /** Adds what Step Functions would have recorded for an event of the interpreter. */
  record(event: InterpreterEvent): void;
  /** The next invocation of a Task state, in the order in which the interpreter entered it. */
  beginCall(stateName: string): Call;
};

/** One invocation of a function by a Task state. */
type Call = {
  add(type: string, details: object): void;
  /** False once the state timed out: what the function does then is nobody's business any more. */
  isOpen(): boolean;
};

/** Step Functions ends an execution that has so many. */
export const MAX_HISTORY_EVENTS = 25_000;

/** What an execution did, in Step Functions' words. */
export function executionHistory(definition: AslMachine): History {
  const events: HistoryEvent[] = [];
  const threads = lineages(definition);
  const lastOf = new Map<Lineage, number>();
  const entered = new Map<string, Lineage[]>();
  const open = new Map<string, { open: boolean }>();
  const caught = new Set<string>();

  const add = (type: string, details: object = {}, lineage: Lineage = '') => {
    const previousEventId = [lineage, ...threads.above(lineage)]
      .map((thread) => lastOf.get(thread))
      .find((id) => id !== undefined);
    const id = events.length + 1;
    events.push({
      id,
      previousEventId: previousEventId ?? 0,
      timestamp: epochSeconds(Date.now()),
      type,
      ...details,
    });
    lastOf.set(lineage, id);
  };

  const enterTask = (name: string, lineage: Lineage) => {
    const waiting = entered.get(name) ?? [];
    waiting.push(lineage);
    entered.set(name, waiting);
  };

  const recordState = (event: Extract<InterpreterEvent, { state: unknown }>) => {
    const { name, type } = event.state;
    const lineage = threads.of(name, event.index);
    switch (event.type) {
      case 'StateEntered':
        add(
          `${type}StateEntered`,
          { stateEnteredEventDetails: { name, ...data('input', event.state.input) } },
          lineage,
        );
        if (type === 'Task') enterTask(name, lineage);
        if (type === 'Parallel') add('ParallelStateStarted', {}, lineage);
        // Its length is that of the items, which the interpreter does not tell.
        if (type === 'Map') add('MapStateStarted', { mapStateStartedEventDetails: {} }, lineage);
        break;
      case 'StateExited':
        if ((type === 'Map' || type === 'Parallel') && !caught.delete(`${lineage} ${name}`)) {
          add(`${type}StateSucceeded`, {}, lineage);
        }
        add(
          `${type}StateExited`,
          { stateExitedEventDetails: { name, ...data('output', event.state.output) } },
          lineage,
        );
        break;
      case 'StateRetried':
        if (type === 'Task') enterTask(name, lineage);
        if (type === 'Map' || type === 'Parallel') add(`${type}StateStarted`, {}, lineage);
        break;
      case 'StateFailed': {
        if (type === 'Map' || type === 'Parallel') add(`${type}StateFailed`, {}, lineage);
        const call = open.get(`${lineage} ${name}`);
        if (type === 'Task' && 'Error' in event && event.Error === 'States.Timeout' && call?.open) {
          call.open = false;
          const details = { error: 'States.Timeout' };
          add('LambdaFunctionTimedOut', { lambdaFunctionTimedOutEventDetails: details }, lineage);
        }
        break;
      }
      case 'StateCaught':
        // Step Functions has no event for it: the exit that follows carries the error.
        if (type === 'Map' || type === 'Parallel') caught.add(`${lineage} ${name}`);
        break;
    }
  };

  const recordIteration = (
    type: 'MapIterationStarted' | 'MapIterationSucceeded' | 'MapIterationFailed',
    name: string,
    index: number,
  ) => {
    const detailsName = `m${type.slice(1)}EventDetails`;
    add(type, { [detailsName]: { name, index } }, threads.ofIteration(name, index));
  };

  return {
    events,
    add,
    record(event) {
      if ('state' in event) recordState(event);
      else if ('index' in event) recordIteration(event.type, event.parentState.name, event.index);
      // The rest is the beginning and the end, which the execution adds itself.
    },
    beginCall(stateName) {
      const lineage = entered.get(stateName)?.shift() ?? threads.of(stateName, undefined);
      const state = { open: true };
      open.set(`${lineage} ${stateName}`, state);
      return { add: (type, details) => add(type, details, lineage), isOpen: () => state.open };
    },
  };
}

/** A JSON value as the history carries it: a text, and whether that text is whole. */
export function data(field: 'input' | 'output', value: unknown): object {
  return { [field]: JSON.stringify(value ?? null), [`${field}Details`]: { truncated: false } };
}
