import { z } from 'zod';
import type { Execution } from './execution.ts';
import type { HistoryEvent } from './history.ts';
import { page } from './paging.ts';
import type { JsonService } from './service.ts';
import { epochSeconds, parseInput, ServiceError } from './service-error.ts';
import type { StateMachines } from './state-machines.ts';

const arn = z.string().min(1).max(2000);
const paging = {
  // AWS takes 0 for its default of 100.
  maxResults: z
    .number()
    .int()
    .min(0)
    .max(1000)
    .default(100)
    .transform((asked) => asked || 100),
  nextToken: z.string().optional(),
};

const startInput = z.strictObject({
  stateMachineArn: arn,
  name: z.string().optional(),
  input: z.string().optional(),
});
const executionInput = z.strictObject({
  executionArn: arn,
  includedData: z.literal('ALL_DATA').optional(),
});
const machineInput = z.strictObject({
  stateMachineArn: arn,
  includedData: z.literal('ALL_DATA').optional(),
});
const stopInput = z.strictObject({
  executionArn: arn,
  error: z.string().max(256).optional(),
  cause: z.string().max(32_768).optional(),
});
const listInput = z.strictObject({
  stateMachineArn: arn,
  statusFilter: z.enum(['RUNNING', 'SUCCEEDED', 'FAILED', 'TIMED_OUT', 'ABORTED']).optional(),
  ...paging,
});
const historyInput = z.strictObject({
  executionArn: arn,
  reverseOrder: z.boolean().default(false),
  includeExecutionData: z.boolean().default(true),
  ...paging,
});
const machinesInput = z.strictObject(paging);

/** Step Functions, as far as running and watching executions goes. Machines are registered by code. */
export function sfnService(machines: StateMachines): JsonService {
  const operations = {
    StartExecution(input: unknown) {
      const asked = parseInput(startInput, input);
      if (asked.name !== undefined && !/^[^\s<>{}[\]?*"#%\\^|~`$&,;:/]{1,80}$/.test(asked.name)) {
        throw new ServiceError('InvalidName', `Invalid Name: '${asked.name}'`);
      }
      const started = machines.start(asked.stateMachineArn, asked.name, asked.input);
      return { executionArn: started.arn, startDate: epochSeconds(started.startedAt) };
    },

    DescribeExecution(input: unknown) {
      const found = machines.execution(parseInput(executionInput, input).executionArn);
      return {
        ...summary(found),
        input: found.input,
        inputDetails: { included: true },
        output: found.output,
        outputDetails: found.output === undefined ? undefined : { included: true },
        error: found.error,
        cause: found.cause,
        redriveStatus: 'NOT_REDRIVABLE',
        redriveStatusReason: 'Executions are not redriven locally.',
      };
    },

    ListExecutions(input: unknown) {
      const asked = parseInput(listInput, input);
      const all = machines.executions(machines.get(asked.stateMachineArn).arn);
      const places = new Map(all.map((found, index) => [found.arn, all.length - index]));
      const place = (found: Execution) => String(places.get(found.arn));
      const { items, nextToken } = page(
        all.filter((found) => !asked.statusFilter || found.status === asked.statusFilter),
        place,
        (key, last) => Number(key) < Number(last),
        { limit: asked.maxResults, token: asked.nextToken, tokenError: 'InvalidToken' },
      );
      return { executions: items.map(summary), nextToken };
    },

    GetExecutionHistory(input: unknown) {
      const asked = parseInput(historyInput, input);
      const { events } = machines.execution(asked.executionArn).history;
      const { items, nextToken } = page(
        asked.reverseOrder ? events.toReversed() : events,
        (event) => String(event.id),
        (key, last) =>
          asked.reverseOrder ? Number(key) < Number(last) : Number(key) > Number(last),
        { limit: asked.maxResults, token: asked.nextToken, tokenError: 'InvalidToken' },
      );
      return { events: asked.includeExecutionData ? items : items.map(withoutData), nextToken };
    },

    async StopExecution(input: unknown) {
      const asked = parseInput(stopInput, input);
      const found = machines.execution(asked.executionArn);
      await found.stop(asked.error, asked.cause);
      return { stopDate: epochSeconds(found.stoppedAt ?? Date.now()) };
    },

    ListStateMachines(input: unknown) {
      const asked = parseInput(machinesInput, input);
      const { items, nextToken } = page(
        machines.all(),
        (machine) => machine.arn,
        (key, last) => key > last,
        { limit: asked.maxResults, token: asked.nextToken, tokenError: 'InvalidToken' },
      );
      return {
        stateMachines: items.map((machine) => ({
          stateMachineArn: machine.arn,
          name: machine.name,
          type: 'STANDARD',
          creationDate: epochSeconds(machine.createdAt),
        })),
        nextToken,
      };
    },

    DescribeStateMachine(input: unknown) {
      const machine = machines.get(parseInput(machineInput, input).stateMachineArn);
      return {
        stateMachineArn: machine.arn,
        name: machine.name,
        status: 'ACTIVE',
        definition: JSON.stringify(machine.definition),
        roleArn: machine.roleArn,
        type: 'STANDARD',
        creationDate: epochSeconds(machine.createdAt),
        loggingConfiguration: { level: 'OFF', includeExecutionData: false },
      };
    },
  };
  return { target: 'AWSStepFunctions', jsonVersion: '1.0', operations };
}

function summary(found: Execution): object {
  return {
    executionArn: found.arn,
    stateMachineArn: found.stateMachineArn,
    name: found.name,
    status: found.status,
    startDate: epochSeconds(found.startedAt),
    stopDate: found.stoppedAt === undefined ? undefined : epochSeconds(found.stoppedAt),
    redriveCount: 0,
  };
}

function withoutData(event: HistoryEvent): object {
  return Object.fromEntries(
    Object.entries(event).map(([field, value]) => {
      if (typeof value !== 'object' || value === null) return [field, value];
      const { input: _input, output: _output, ...rest } = value as Record<string, unknown>;
      return [field, rest];
    }),
  );
}
