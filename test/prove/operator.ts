import { setTimeout as sleep } from 'node:timers/promises';
import {
  DescribeExecutionCommand,
  StartExecutionCommand,
  StopExecutionCommand,
} from '@aws-sdk/client-sfn';
import { approveReport, readStage } from '@unified-kits/data';
import type { Stage } from '@unified-kits/domain';
import type { Workflow } from '../../infra/workflows/load-workflow.ts';
import type { History } from './history.ts';
import type { ProveSystem } from './prove-system.ts';

/** Errors that nobody foresaw; all others tell an operator what to do. */
const UNFORESEEN = [
  'DatabaseFault',
  'States.Runtime',
  'TypeError',
  'ReferenceError',
  'RangeError',
  'Error',
];
const ACTOR = 'prove';
const POLL_MS = 40;

interface Ended {
  readonly status: string;
  readonly error: string | undefined;
  readonly output: unknown;
}

export type Until = 'mirrored' | 'dual-write' | 'unified' | 'closed';
const FORWARD: readonly Stage[] = [
  'legacy',
  'copying',
  'mirrored',
  'dual-write',
  'unified',
  'closed',
];

/** The system did not come to where it was sent. */
export class NeverCame extends Error {
  override readonly name = 'NeverCame';
}

/** Who starts executions, and starts them again when they fail. */
export class Operator {
  readonly #system: ProveSystem;
  readonly #history: History;
  readonly #longestMs: number;
  readonly #running = new Map<string, Promise<Ended>>();
  #reportId = '';

  /** @param longestMs an execution that takes longer is taken for one that hangs */
  constructor(system: ProveSystem, history: History, longestMs: number) {
    this.#system = system;
    this.#history = history;
    this.#longestMs = longestMs;
  }

  async stage(): Promise<Stage> {
    return (await this.#system.admin.transaction({ readOnly: true }, readStage)).stage;
  }

  async #ended(workflow: Workflow, executionArn: string): Promise<Ended> {
    const until = Date.now() + this.#longestMs;
    for (;;) {
      const { status, error, cause, output } = await this.#system.sfn.send(
        new DescribeExecutionCommand({ executionArn }),
      );
      if (status !== undefined && status !== 'RUNNING') {
        const unforeseen = error !== undefined && UNFORESEEN.includes(error);
        this.#history.note(`${workflow} ${status}`, { error, cause }, unforeseen);
        return { status, error, output: output === undefined ? undefined : JSON.parse(output) };
      }
      if (Date.now() > until) {
        this.#history.note(`${workflow} was given up`);
        await this.#system.sfn.send(new StopExecutionCommand({ executionArn }));
      }
      await sleep(POLL_MS);
    }
  }

  async #start(workflow: Workflow, input: object): Promise<Ended> {
    const { sfn, stateMachineArns } = this.#system;
    const { executionArn = '' } = await sfn.send(
      new StartExecutionCommand({
        stateMachineArn: stateMachineArns[workflow],
        input: JSON.stringify({ actor: ACTOR, ...input }),
      }),
    );
    this.#history.note(`${workflow} started`, input);
    const ended = this.#ended(workflow, executionArn).finally(() =>
      this.#running.delete(executionArn),
    );
    this.#running.set(executionArn, ended);
    return ended;
  }

  /** Analyses and signs off. */
  async analyse(): Promise<void> {
    const { status, output, error } = await this.#start('cutover', { mode: 'analyse' });
    if (status !== 'SUCCEEDED') throw new NeverCame(`the analysis ${status}: ${error}`);
    const { analysisId, digest } = output as { analysisId: string; digest: string };
    await approveReport(this.#system.admin, { reportId: analysisId, digest, actor: ACTOR });
    this.#reportId = analysisId;
  }

  cutover(until: Until, dualWrite: boolean): Promise<Ended> {
    return this.#start('cutover', {
      reportId: this.#reportId,
      until,
      dualWrite: dualWrite || until === 'dual-write',
      monitor: { seconds: 1, checks: 1 },
      rehearsalRows: 3,
      contractKits: 3,
    });
  }

  rollback(): Promise<Ended> {
    return this.#start('rollback', {});
  }

  /** Aborts whatever runs. */
  async abort(): Promise<void> {
    for (const executionArn of this.#running.keys())
      await this.#system.sfn.send(new StopExecutionCommand({ executionArn }));
  }

  /** Waits until nothing runs that was started. */
  async over(): Promise<void> {
    while (this.#running.size > 0) await Promise.allSettled(this.#running.values());
    await this.#system.idle();
  }

  /**
   * Starts cutovers until one succeeds, as long as there is patience; a rollback that was begun is ended first, as
   * the refusal says. @returns whether one did.
   */
  async goForward(until: Until, dualWrite: boolean, patienceMs: number): Promise<boolean> {
    const end = Date.now() + patienceMs;
    do {
      const { status, error } = await this.cutover(until, dualWrite);
      if (error === 'BatchActive' && this.#running.size === 0) await this.rollback();
      if (
        status === 'SUCCEEDED' &&
        FORWARD.indexOf(await this.stage().catch(() => 'legacy' as const)) > 1
      )
        return true;
      await sleep(50);
    } while (Date.now() < end);
    return false;
  }

  async #isBack(): Promise<boolean> {
    const [found] = await this.#system.admin.query<{ back: boolean }>(
      `select stage = 'legacy' and not exists (select from migration.batch where ended_at is null) as back from migration.stage`,
    );
    return found?.back === true;
  }

  /** Starts rollbacks until all is as it was, as long as there is patience. @returns whether it is. */
  async goBack(patienceMs: number): Promise<boolean> {
    const end = Date.now() + patienceMs;
    do {
      const { status, error } = await this.rollback();
      const done = status === 'SUCCEEDED' || error === 'BatchNotFound';
      if (done && (await this.#isBack().catch(() => false))) return true;
      await sleep(50);
    } while (Date.now() < end);
    return false;
  }
}
