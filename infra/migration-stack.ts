import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { FLAG_PARAMETERS } from '@unified-kits/domain';
import { Duration, RemovalPolicy, Stack, type StackProps } from 'aws-cdk-lib';
import { Architecture, type Function as LambdaFunction, Runtime } from 'aws-cdk-lib/aws-lambda';
import { NodejsFunction, OutputFormat } from 'aws-cdk-lib/aws-lambda-nodejs';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import { StringParameter } from 'aws-cdk-lib/aws-ssm';
import {
  DefinitionBody,
  LogLevel,
  StateMachine,
  StateMachineType,
} from 'aws-cdk-lib/aws-stepfunctions';
import type { Construct } from 'constructs';

interface MigrationStackProps extends StackProps {
  /** The part of `/unified-kits/<environment>/` that the flags stand under. */
  readonly environment: string;
}

const FUNCTIONS = join(import.meta.dirname, '..', 'functions');
const WORKFLOWS = join(import.meta.dirname, 'workflows');

/** `phase0-analysis` → `Phase0Analysis`: the name that the ASL files' substitutions use. */
const pascalCase = (folder: string): string =>
  folder.replace(/(^|-)([a-z])/g, (_match, _dash, letter: string) => letter.toUpperCase());

const functionFolders = (): string[] =>
  readdirSync(FUNCTIONS, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith(`handler.ts`))
    .map((path) => path.replace(/[/\\]handler\.ts$/, ''))
    .filter((folder) => !folder.includes('/'))
    .sort();

/** The phase functions, the flags and the two workflows. What connects them to a database comes with its stack. */
export class MigrationStack extends Stack {
  constructor(scope: Construct, id: string, { environment, ...props }: MigrationStackProps) {
    super(scope, id, props);
    const prefix = `/unified-kits/${environment}`;

    for (const { parameter, allowedPattern, initial } of Object.values(FLAG_PARAMETERS)) {
      const flag = new StringParameter(this, `Flag-${parameter}`, {
        parameterName: `${prefix}/${parameter}`,
        stringValue: initial,
        allowedPattern,
      });
      flag.applyRemovalPolicy(RemovalPolicy.RETAIN);
    }

    const functions = new Map(
      functionFolders().map((folder) => [folder, this.phaseFunction(folder, environment)]),
    );
    for (const name of ['cutover', 'rollback']) this.workflow(name, functions);
  }

  private phaseFunction(folder: string, environment: string): LambdaFunction {
    return new NodejsFunction(this, `${pascalCase(folder)}Function`, {
      entry: join(FUNCTIONS, folder, 'handler.ts'),
      handler: 'handler',
      runtime: Runtime.NODEJS_24_X,
      architecture: Architecture.ARM_64,
      memorySize: 512,
      timeout: Duration.minutes(15),
      environment: { KITS_ENVIRONMENT: environment, NODE_OPTIONS: '--enable-source-maps' },
      bundling: {
        format: OutputFormat.ESM,
        target: 'node24',
        sourceMap: true,
        externalModules: ['@aws-sdk/*', 'pg-native'],
        // node-postgres is CommonJS and asks for node's own modules by `require`.
        banner: `import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);`,
      },
    });
  }

  private workflow(name: string, functions: ReadonlyMap<string, LambdaFunction>): void {
    const machine = new StateMachine(this, `${pascalCase(name)}Workflow`, {
      stateMachineName: `unified-kits-${name}`,
      stateMachineType: StateMachineType.STANDARD,
      definitionBody: DefinitionBody.fromFile(join(WORKFLOWS, `${name}.asl.json`)),
      definitionSubstitutions: Object.fromEntries(
        [...functions].map(([folder, { functionArn }]) => [
          `${pascalCase(folder)}FunctionArn`,
          functionArn,
        ]),
      ),
      tracingEnabled: true,
      logs: {
        destination: new LogGroup(this, `${pascalCase(name)}WorkflowLog`, {
          retention: RetentionDays.ONE_YEAR,
          removalPolicy: RemovalPolicy.RETAIN,
        }),
        level: LogLevel.ALL,
        // Ids and counters only, but a year of them is nobody's business.
        includeExecutionData: false,
      },
    });
    for (const lambda of functions.values()) lambda.grantInvoke(machine);
  }
}
