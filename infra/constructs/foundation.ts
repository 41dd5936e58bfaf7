import type { IKey } from 'aws-cdk-lib/aws-kms';
import type { ITopic } from 'aws-cdk-lib/aws-sns';
import type { Settings } from '../settings.ts';
import type { DatabaseAccess } from './database-access.ts';

/** What every stack above the database's stands on. */
export interface Foundation {
  readonly settings: Settings;
  readonly key: IKey;
  readonly database: DatabaseAccess;
  /** Hears of every alarm. */
  readonly alarms: ITopic;
}

/** `unified-kits-<environment>-<what>`. */
export const nameOf = ({ environment }: Settings, what: string): string =>
  `unified-kits-${environment}-${what}`;
