// What an organisation has before it deploys: a network, the database's security group, and two secrets.
import { App, CfnOutput, Stack } from 'aws-cdk-lib';
import { type IVpc, SecurityGroup, SubnetType, Vpc } from 'aws-cdk-lib/aws-ec2';
import { CfnSecret } from 'aws-cdk-lib/aws-secretsmanager';

export const FIXTURE_STACK = 'unified-kits-emulator-fixture';

const stack = new Stack(new App(), FIXTURE_STACK);
const vpc = new Vpc(stack, 'Vpc', {
  maxAzs: 1,
  natGateways: 0,
  restrictDefaultSecurityGroup: false,
  subnetConfiguration: [{ name: 'data', subnetType: SubnetType.PRIVATE_ISOLATED }],
}) as IVpc; // Its optional property is one that may be undefined, which this compiler tells apart.
const group = new SecurityGroup(stack, 'Database', { vpc });
const secret = (id: string) =>
  new CfnSecret(stack, id, {
    secretString: JSON.stringify({ username: 'kits', password: 'for an emulator only' }),
  }).ref;
const outputs = {
  vpcId: vpc.vpcId,
  subnetId: vpc.isolatedSubnets[0]?.subnetId ?? '',
  securityGroupId: group.securityGroupId,
  migrationSecretArn: secret('MigrationLogin'),
  serviceSecretArn: secret('ServiceLogin'),
};
for (const [name, value] of Object.entries(outputs)) new CfnOutput(stack, name, { value });
