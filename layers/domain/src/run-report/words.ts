import type { Stage } from '../stages.ts';
import { html, type Markup } from './html.ts';
import type { RunReport } from './run-report.ts';

const NUMBER = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const FINE = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });

export const number = (value: number): string => NUMBER.format(value);

export const plural = (value: number, one: string, many = `${one}s`): string =>
  `${number(value)} ${value === 1 ? one : many}`;

/** A length of time in the two units that matter. */
export const duration = (seconds: number): string => {
  if (seconds < 1) return `${number(seconds * 1000)} ms`;
  if (seconds < 59.95) return `${FINE.format(seconds)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  const minutes = Math.round(whole / 60);
  if (minutes < 1440) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  const hours = Math.round(minutes / 60);
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
};

export const milliseconds = (value: number): string =>
  value < 1000 ? `${FINE.format(value)} ms` : duration(value / 1000);

export const bytes = (value: number): string => {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  const power = value < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(value) / 3));
  return `${FINE.format(value / 1000 ** power)} ${units[power]}`;
};

const dayOf = (instant: string): string => instant.slice(0, 10);
export const clock = (instant: string): string => instant.slice(11, 19);

/** A moment, for people and for machines. */
export const moment = (instant: string): Markup =>
  html`<time datetime="${instant}">${dayOf(instant)} ${clock(instant)}</time>`;

export const secondsBetween = (from: string, until: string): number =>
  Math.max(0, (Date.parse(until) - Date.parse(from)) / 1000);

/** Sources as those call them who never saw the database. */
export const SOURCE_WORDS = {
  kit: "clients' kits (kit)",
  practitioner_kits: "practitioners' kits (practitioner_kits)",
} as const;

/** What a stage means for those who are served. */
export const STAGE_WORDS: Readonly<Record<Stage, string>> = {
  legacy: 'the old tables alone',
  copying: 'the old tables; what changes is noted',
  mirrored: 'the old tables; every change goes to the new table at once',
  'dual-write': 'the new table; every change goes back to the old tables at once',
  unified: 'the new table; what changes is noted, so that the way back stays open',
  closed: 'the new table; the old tables are read-only',
};

const PHASE_WORDS: Readonly<Record<string, string>> = {
  'phase0-analysis': '0 Analysis',
  'phase1-schema': '1 Schema',
  'phase2-migration': '2 Migration',
  'phase3-services': '3 Services',
  'phase4-contract-check': '4 Contract check',
  'phase5-queues': '5 Queues',
  'phase6-validation': '6 Validation',
  'phase7-cleanup': '7 Monitoring, close',
  rollback: 'Rollback',
};
export const phaseWords = (name: string): string => PHASE_WORDS[name] ?? name;

export const STATE_WORDS: Readonly<Record<RunReport['state'], string>> = {
  'no-go': 'NO-GO',
  'awaiting-approval': 'GO, awaiting approval',
  approved: 'GO, approved',
  'under-way': 'Under way',
  stopped: 'Stopped',
  served: 'Served from the new table',
  closed: 'Complete',
  'rolling-back': 'Going back',
  'rolled-back': 'Rolled back',
};
