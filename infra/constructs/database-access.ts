import type { ISecurityGroup, IVpc, SubnetSelection } from 'aws-cdk-lib/aws-ec2';
import type { ISecret } from 'aws-cdk-lib/aws-secretsmanager';

/** Who a function logs in as. */
export type LoginName = 'migration' | 'service';

/** Where to connect, and with which secret. */
export interface DatabaseLogin {
  /** `postgres://host:port/database`, without a user. */
  readonly url: string;
  readonly secret: ISecret;
}

/** What a function needs to reach the database, whoever made it. */
export interface DatabaseAccess {
  readonly vpc: IVpc;
  readonly subnets: SubnetSelection;
  /** The security group that the database and the endpoints let in. */
  readonly clients: ISecurityGroup;
  /** Certificate authorities to trust beside RDS', as PEM. */
  readonly authorities?: string;
  readonly logins: Readonly<Record<LoginName, DatabaseLogin>>;
}

export const databaseUrl = (host: string, port: number | string, database: string): string =>
  `postgres://${host}:${port}/${database}`;
