import type { AwsClientOptions } from '../../../functions/runtime/aws-client.ts';
import type { Workflow } from '../../workflows/load-workflow.ts';

/** Where a system is, and how its API is called. */
export interface Place {
  readonly kind: 'local' | 'aws';
  readonly environment: string;
  /** For an operator who is about to change something there. */
  readonly description: string;
  /** Endpoint and keys of a local one; for AWS what the SDK finds by itself. */
  readonly client: AwsClientOptions;
  readonly stateMachineArns: Readonly<Record<Workflow, string>>;
}

/** What the operator says about it. */
export interface PlaceOptions {
  readonly environment: string | undefined;
  /** Undefined: a local system when one is up, else AWS. */
  readonly kind: 'local' | 'aws' | undefined;
  /** Where a local system keeps its state; undefined for the default. */
  readonly dataDirectory: string | undefined;
}
