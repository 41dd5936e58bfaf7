import { ServiceError } from '../aws/service-error.ts';
import type { Poller } from './poller.ts';

export type MappingState =
  | 'Creating'
  | 'Enabling'
  | 'Enabled'
  | 'Disabling'
  | 'Disabled'
  | 'Updating';

/** What an operator may change of a mapping. */
export type MappingSettings = { readonly enabled: boolean; readonly batchSize: number };

/** One event source mapping: a queue, the function it feeds, and whether it does. */
export type EventSourceMapping = {
  readonly state: MappingState;
  readonly settings: MappingSettings;
  /** When its settings or its state changed last; milliseconds since the epoch. */
  readonly changedAt: number;
  /**
   * Keeps the change and begins with it; the state then tells when it has taken effect. `Disabling` lasts
   * until the poll and the invocations under way have ended.
   *
   * @throws ServiceError `ResourceInUseException` while an earlier change is under way.
   */
  update(change: Partial<MappingSettings>): Promise<void>;
  /** Ends polling as `Disabling` does, and leaves the settings as they are. */
  stop(): Promise<void>;
};

/** A mapping that begins in `Creating` and becomes what its settings say. */
export function eventSourceMapping(options: {
  readonly settings: MappingSettings;
  readonly startPoller: (batchSize: () => number) => Poller;
  /** Keeps a change for good; a change that cannot be kept is not made. */
  readonly save: (change: Partial<MappingSettings>) => Promise<void>;
}): EventSourceMapping {
  let { settings } = options;
  let state: MappingState = 'Creating';
  let changedAt = Date.now();
  let poller: Poller | undefined;
  let stopped = false;

  const move = (next: MappingState) => {
    state = next;
    changedAt = Date.now();
  };

  const takeEffect = async () => {
    // The answer to the call that asked for it shows the state in between, as on AWS.
    await new Promise(setImmediate);
    if (!settings.enabled) {
      await poller?.stop();
      poller = undefined;
    } else if (!stopped) {
      poller ??= options.startPoller(() => settings.batchSize);
    }
    move(settings.enabled ? 'Enabled' : 'Disabled');
  };

  let transition = takeEffect();
  return {
    get state() {
      return state;
    },
    get settings() {
      return settings;
    },
    get changedAt() {
      return changedAt;
    },
    async update(change) {
      if (state !== 'Enabled' && state !== 'Disabled') {
        throw new ServiceError(
          'ResourceInUseException',
          'Cannot update the event source mapping because it is in use.',
        );
      }
      const before = state;
      const wanted = { ...settings, ...change };
      if (wanted.enabled === settings.enabled) move('Updating');
      else move(wanted.enabled ? 'Enabling' : 'Disabling');
      try {
        await options.save(change);
      } catch (error) {
        move(before);
        throw error;
      }
      settings = wanted;
      transition = takeEffect();
    },
    async stop() {
      stopped = true;
      await transition;
      await poller?.stop();
    },
  };
}
