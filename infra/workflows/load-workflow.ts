import { readFileSync } from 'node:fs';

/** The workflows, by the name of their file and their state machine. */
export const WORKFLOWS = ['cutover', 'rollback'] as const;
export type Workflow = (typeof WORKFLOWS)[number];

/** Where the ARN of each workflow's state machine stands among the outputs of the migration's stack. */
export const WORKFLOW_OUTPUTS = {
  cutover: 'CutoverArn',
  rollback: 'RollbackArn',
} as const satisfies Readonly<Record<Workflow, string>>;

/** Each function's folder and the placeholder that stands for its ARN in a definition. */
export const FUNCTION_PLACEHOLDERS = {
  'phase0-analysis': 'Phase0AnalysisFunctionArn',
  'phase1-schema': 'Phase1SchemaFunctionArn',
  'phase2-migration': 'Phase2MigrationFunctionArn',
  'phase3-services': 'Phase3ServicesFunctionArn',
  'phase4-contract-check': 'Phase4ContractCheckFunctionArn',
  'phase5-queues': 'Phase5QueuesFunctionArn',
  'phase6-validation': 'Phase6ValidationFunctionArn',
  'phase7-cleanup': 'Phase7CleanupFunctionArn',
  rollback: 'RollbackFunctionArn',
  reports: 'ReportsFunctionArn',
} as const;
export type WorkflowFunction = keyof typeof FUNCTION_PLACEHOLDERS;

/** Where a workflow's definition is, for a deployment to read it from. */
export const workflowFile = (workflow: Workflow): URL =>
  new URL(`./${workflow}.asl.json`, import.meta.url);

/** A workflow's definition as it is written, placeholders and all. */
export const readWorkflow = (workflow: Workflow): string =>
  readFileSync(workflowFile(workflow), 'utf8');

/** A placeholder without a value, which a deployment would pass on as text. */
export class PlaceholderUnknown extends Error {
  override readonly name = 'PlaceholderUnknown';
}

/**
 * A workflow's definition with the functions' ARNs in place, as `DefinitionSubstitutions` puts them there.
 *
 * @throws {PlaceholderUnknown} naming a placeholder that no function stands for.
 */
export const loadWorkflow = (
  workflow: Workflow,
  arnOf: (name: WorkflowFunction) => string,
): unknown => {
  const arns = new Map(
    Object.entries(FUNCTION_PLACEHOLDERS).map(([name, placeholder]) => [
      placeholder as string,
      arnOf(name as WorkflowFunction),
    ]),
  );
  const text = readWorkflow(workflow).replaceAll(/\$\{(\w+)\}/g, (_, placeholder: string) => {
    const arn = arns.get(placeholder);
    if (arn === undefined)
      throw new PlaceholderUnknown(`${workflow}.asl.json: no function for "${placeholder}"`);
    return arn;
  });
  return JSON.parse(text);
};
