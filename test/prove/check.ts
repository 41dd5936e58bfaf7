import { checkEvents } from './check-events.ts';
import { checkMigration } from './check-migration.ts';
import { checkRegisters } from './check-registers.ts';
import type { Evidence } from './evidence.ts';
import type { Entry } from './history.ts';
import type { Violation } from './violation.ts';

/** Everything that a run did wrong, by its history and what it has left. Pure, so that it can be run again. */
export const check = (entries: readonly Entry[], evidence: Evidence): readonly Violation[] => [
  ...checkRegisters(entries, evidence),
  ...checkEvents(entries, evidence),
  ...checkMigration(entries, evidence),
];
