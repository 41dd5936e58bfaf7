import type { AslMachine, AslState } from './asl-walk.ts';
import { readMachine } from './asl-walk.ts';

/**
 * The same machine with its fixed pauses multiplied: `Seconds` of Wait states, and the intervals of
 * retriers. Timeouts stay, for the work takes as long as ever; so do `SecondsPath` and `Timestamp`,
 * which come from the input, where the caller can shorten them.
 *
 * The interpreter's own overrides would replace a growing retry pause by a constant one.
 */
export function scalePauses(definition: AslMachine, scale: number): AslMachine {
  if (scale === 1) return definition;
  const States = Object.fromEntries(
    Object.entries(definition.States).map(([name, state]) => [name, scaleState(state, scale)]),
  );
  return { ...definition, States };
}

function scaleState(state: AslState, scale: number): AslState {
  const scaled: AslState = { ...state };
  if (state.Type === 'Wait' && typeof state.Seconds === 'number') {
    scaled.Seconds = state.Seconds * scale;
  }
  if (Array.isArray(state.Retry)) {
    scaled.Retry = state.Retry.map((retrier) => scaleRetrier(retrier, scale));
  }
  for (const field of ['ItemProcessor', 'Iterator']) {
    if (state[field] !== undefined) scaled[field] = scalePauses(readMachine(state[field]), scale);
  }
  if (Array.isArray(state.Branches)) {
    scaled.Branches = state.Branches.map((branch) => scalePauses(readMachine(branch), scale));
  }
  return scaled;
}

function scaleRetrier(retrier: unknown, scale: number): unknown {
  if (typeof retrier !== 'object' || retrier === null) return retrier;
  const { IntervalSeconds, MaxDelaySeconds } = retrier as Record<string, unknown>;
  return {
    ...retrier,
    // One second is what an absent interval means.
    IntervalSeconds: (typeof IntervalSeconds === 'number' ? IntervalSeconds : 1) * scale,
    ...(typeof MaxDelaySeconds === 'number' ? { MaxDelaySeconds: MaxDelaySeconds * scale } : {}),
  };
}
