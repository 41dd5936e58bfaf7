import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Mapping, referenceMapping } from '@unified-kits/domain';
import { App, type Stack } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { z } from 'zod';
import { ROOT } from '../../infra/code/layers.ts';
import { type Deployment, deploy } from '../../infra/deploy.ts';
import { readSettings } from '../../infra/settings.ts';

export interface Resource {
  readonly Type: string;
  readonly Properties: Readonly<Record<string, unknown>>;
  readonly DeletionPolicy?: string;
  readonly UpdateReplacePolicy?: string;
  readonly DependsOn?: readonly string[];
}

/** The stacks of the environment `dev`, as CloudFormation would get them, without their code: building it takes seconds. */
export interface Synthesised {
  readonly app: App;
  readonly stacks: Deployment;
  readonly database: Template;
  readonly service: Template;
  readonly migration: Template;
  /** Where the assets lie. */
  readonly directory: string;
}

export interface SynthesisOptions {
  readonly settings?: Readonly<Record<string, unknown>>;
  readonly mapping?: Mapping;
}

/** What cdk.json says, which the CDK's command line would hand on. */
export const CONTEXT: Readonly<Record<string, unknown>> = JSON.parse(
  readFileSync(join(ROOT, 'cdk.json'), 'utf8'),
).context;

export const synthesise = (options: SynthesisOptions = {}): Synthesised => {
  const { settings = {}, mapping = referenceMapping } = options;
  const app = new App({ context: { ...CONTEXT, 'aws:cdk:bundling-stacks': [] } });
  const stacks = deploy(app, readSettings({ dev: settings }), mapping);
  const template = (stack: Stack) => Template.fromStack(stack);
  return {
    app,
    stacks,
    database: template(stacks.database),
    service: template(stacks.service),
    migration: template(stacks.migration),
    directory: app.outdir,
  };
};

/** Each template's resources, read once: the library copies them all whenever it is asked. */
const read = new WeakMap<Template, [string, Resource][]>();

/** Resources of a type, by logical id. */
export const resources = (template: Template, type: string): [string, Resource][] => {
  const known = read.get(template) ?? Object.entries<Resource>(template.toJSON().Resources);
  read.set(template, known);
  return known.filter(([, { Type }]) => Type === type);
};

/** The one resource of a type whose logical id matches. */
export const resource = (template: Template, type: string, id = /.*/): Resource => {
  const found = resources(template, type).filter(([logicalId]) => id.test(logicalId));
  if (found.length !== 1)
    throw new Error(`${found.length} resources of ${type} match ${id}, not one`);
  return (found[0] as [string, Resource])[1];
};

const list = z.union([z.string().transform((one) => [one]), z.array(z.string())]);
const policies = z.object({
  PolicyDocument: z.object({
    Statement: z.array(
      z.object({
        Effect: z.enum(['Allow', 'Deny']),
        Action: list,
        Resource: z.unknown(),
        Condition: z.unknown().optional(),
      }),
    ),
  }),
  Roles: z.array(z.object({ Ref: z.string() })).optional(),
});
const getAtt = z.object({ 'Fn::GetAtt': z.tuple([z.string(), z.string()]) });

/** One thing that a role may do, or may not. */
export interface Permission {
  readonly effect: 'Allow' | 'Deny';
  readonly action: string;
  /** One of the resources, its intrinsic functions as JSON. */
  readonly resource: string;
  readonly condition: unknown;
}

/** What a role's policies in the template say, one action and resource at a time. */
export const permissionsOf = (template: Template, roleId: string): Permission[] =>
  resources(template, 'AWS::IAM::Policy').flatMap(([, { Properties }]) => {
    const { PolicyDocument, Roles = [] } = policies.parse(Properties);
    if (!Roles.some(({ Ref }) => Ref === roleId)) return [];
    return PolicyDocument.Statement.flatMap(({ Effect, Action, Resource, Condition }) =>
      Action.flatMap((action) =>
        (Array.isArray(Resource) ? Resource : [Resource]).map((one) => ({
          effect: Effect,
          action,
          resource: textOf(one),
          condition: Condition,
        })),
      ),
    );
  });

/** The logical id of a resource's role. */
export const roleOf = ({ Properties: { Role, RoleArn } }: Resource): string =>
  getAtt.parse(Role ?? RoleArn)['Fn::GetAtt'][0];

/** What a value is when its intrinsic functions are read as text: good enough to look for names in it. */
export const textOf = (value: unknown): string => JSON.stringify(value);
