import { setTimeout as sleep } from 'node:timers/promises';
import { type Database, notedAmong, readStage } from '@unified-kits/data';
import { DatabaseUnwell, type Stage, type Store, StoresNotInStep } from '@unified-kits/domain';
import type { Answer, createApi } from '../phase4-api/api.ts';
import { apiEvent, type CallerKind, type ContractRequest } from './contract-request.ts';
import { type DifferingParts, differingParts } from './differing-parts.ts';

/** A request that the two stores do not answer alike, by names and keys and never by a value. */
export interface ContractDifference {
  /** Method and route. */
  readonly route: string;
  readonly caller: CallerKind;
  /** Source and legacy id of the kit that was asked for. */
  readonly key: string | null;
  readonly differs: readonly string[];
  readonly statuses: Readonly<Record<Store, number>>;
}

export interface ContractFindings {
  /** Requests that were compared. */
  readonly requests: number;
  /** Kits that were asked for one by one. */
  readonly kits: number;
  /** Keys that were passed over, for they wait to be re-synchronised. */
  readonly skipped: readonly string[];
  readonly differences: readonly ContractDifference[];
  /** False when the time was over, or enough had been found, before all requests were made. */
  readonly complete: boolean;
}

export interface CheckOptions {
  readonly db: Database;
  /** The same API over each store. */
  readonly apis: Readonly<Record<Store, ReturnType<typeof createApi>>>;
  readonly requests: Generator<ContractRequest>;
  /** Keys that are known to wait already. */
  readonly skipped: ReadonlySet<string>;
  /** Milliseconds of `Date.now()`. */
  readonly deadline: number;
}

/** The stages in which a mirror keeps both stores in step. */
const IN_STEP: readonly Stage[] = ['mirrored', 'dual-write'];

/** @throws {StoresNotInStep} */
export const assertInStep = (stage: Stage): void => {
  if (!IN_STEP.includes(stage))
    throw new StoresNotInStep(
      `in stage "${stage}" one of the stores is not kept up to date: check the contract in ${IN_STEP.map((one) => `"${one}"`).join(' or ')}`,
    );
};

/** A kit that changes between the two answers is asked for again. */
const MOST_TRIES = 5;
/** What is broken everywhere need not be shown a thousand times. */
const ENOUGH_DIFFERENCES = 50;
/** Each asks both stores at once. */
const LANES = 3;

/** Problems name it, and it must not tell two answers apart. */
const REQUEST_ID = 'contract-check';

const isFailure = ({ response: { statusCode = 200 } }: Answer): boolean => statusCode >= 500;

export const keyText = ({ source, legacyId }: { source: string; legacyId: string }): string =>
  `${source} ${legacyId}`;

/**
 * Asks both stores the same and compares what they answer.
 *
 * @throws {StoresNotInStep} when the stage changed meanwhile.
 * @throws {DatabaseUnwell} when an answer could not be had at all.
 */
export const checkContract = async (options: CheckOptions): Promise<ContractFindings> => {
  const { db, apis, requests, deadline } = options;
  const skipped = new Set(options.skipped);
  const differences: ContractDifference[] = [];
  const asked = new Set<string>();
  let compared = 0;
  let complete = true;

  const count = ({ about }: ContractRequest) => {
    compared += 1;
    if (about !== undefined) asked.add(keyText(about));
  };

  const ask = (store: Store, request: ContractRequest) =>
    apis[store](apiEvent(request, REQUEST_ID), { awsRequestId: REQUEST_ID });

  /** Whether a difference is one that the drain will make good; it says which keys. */
  const isNoted = async ({ about }: ContractRequest, { kits }: DifferingParts) => {
    const noted = await db.transaction({ asEngine: true, readOnly: true }, async (session) => {
      assertInStep((await readStage(session)).stage);
      return notedAmong(session, [...(about === undefined ? [] : [about]), ...kits]);
    });
    for (const kit of noted) skipped.add(keyText(kit));
    return noted.length > 0;
  };

  /** The answer that both gave, or undefined where the comparison ends here. */
  const compare = async (request: ContractRequest): Promise<Answer | undefined> => {
    for (let tries = 1; ; tries += 1) {
      const [legacy, kits] = await Promise.all([ask('legacy', request), ask('kits', request)]);
      const parts = differingParts(legacy.response, kits.response);
      const failed = isFailure(legacy) || isFailure(kits);
      if (parts.names.length === 0 && !failed) {
        count(request);
        return legacy;
      }
      if (await isNoted(request, parts)) return undefined;
      if (tries < MOST_TRIES) {
        await sleep(Math.random() * 10 * 2 ** tries);
        continue;
      }
      const { statusCode: ofLegacy = 200 } = legacy.response;
      const { statusCode: ofKits = 200 } = kits.response;
      if (ofLegacy === 503 || ofKits === 503)
        throw new DatabaseUnwell('the contract check could not have an answer: try again');
      count(request);
      differences.push({
        route: `${request.method} ${legacy.route}`,
        caller: request.caller,
        key: request.about === undefined ? null : keyText(request.about),
        // The same failure from both proves nothing.
        differs: parts.names.length === 0 ? ['failed'] : parts.names,
        statuses: { legacy: ofLegacy, kits: ofKits },
      });
      return undefined;
    }
  };

  const isOver = () => Date.now() >= deadline || differences.length >= ENOUGH_DIFFERENCES;

  const lane = async (): Promise<void> => {
    // Leaving the loop, by an error too, ends the generator that the other lanes take their requests from.
    for (const first of requests)
      for (let request: ContractRequest | undefined = first; request !== undefined; ) {
        if (isOver()) {
          complete = false;
          return;
        }
        const answer: Answer | undefined = await compare(request);
        request = answer === undefined ? undefined : request.next?.(answer.response);
      }
  };

  const lanes = await Promise.allSettled(Array.from({ length: LANES }, lane));
  for (const ended of lanes) if (ended.status === 'rejected') throw ended.reason;
  return {
    requests: compared,
    kits: asked.size,
    skipped: [...skipped],
    differences,
    complete,
  };
};
