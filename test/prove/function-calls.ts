import type { VariantName } from './broken.ts';

/** Every function, by its folder. */
export const FUNCTION_NAMES = [
  'flag-changed',
  'phase0-analysis',
  'phase1-schema',
  'phase2-migration',
  'phase3-services',
  'phase4-api',
  'phase4-contract-check',
  'phase5-jobs',
  'phase5-queues',
  'phase5-relay',
  'phase6-validation',
  'phase7-cleanup',
  'rollback',
] as const;
export type FunctionName = (typeof FUNCTION_NAMES)[number];

/** What a process of functions is told. */
export type ToChild =
  | {
      readonly do: 'call';
      readonly id: number;
      readonly name: FunctionName;
      /** JSON. */
      readonly event: string;
      readonly seconds: number;
      readonly variables: Readonly<Record<string, string>>;
      /** The file for the log lines. */
      readonly log: string;
    }
  | { readonly do: 'clock'; readonly offsetMs: number }
  | { readonly do: 'break'; readonly variant: VariantName | undefined }
  | { readonly do: 'close'; readonly urls: readonly string[] };

/** What it answers to a call; once it is ready, to call 0. */
export interface ToParent {
  readonly id: number;
  /** JSON. */
  readonly result?: string;
  /** As a `FunctionError` has them. */
  readonly error?: { readonly name: string; readonly message: string };
  /** How many statements a broken variant has changed meanwhile. */
  readonly rewritten: number;
}
