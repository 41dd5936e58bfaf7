import { ContractBroken, DatabaseUnwell } from '@unified-kits/domain';
import type { ContractDifference, ContractFindings } from './check-contract.ts';

/** Differences that are told of; a workflow hands on little. */
export const MOST_TOLD = 20;

const told = ({ route, key, differs, statuses }: ContractDifference): string =>
  `${route}${key === null ? '' : ` ${key}`} (${differs.join(', ')}; ${statuses.legacy} and ${statuses.kits})`;

/**
 * @throws {ContractBroken} naming requests, keys and what differs.
 * @throws {DatabaseUnwell} when nothing was compared: nothing found in no time is no proof.
 */
export const judgeContract = (
  { differences, requests }: Pick<ContractFindings, 'differences' | 'requests'>,
  seed: string,
): { readonly identical: true } => {
  if (differences.length > 0)
    throw new ContractBroken(
      `${differences.length} of ${requests} requests are answered differently from the legacy tables and from kits: ${differences.slice(0, MOST_TOLD).map(told).join('; ')}. Clients would notice the switch. Seed "${seed}" asks the same again.`,
    );
  if (requests === 0)
    throw new DatabaseUnwell('the contract check had no time for a single request: try again');
  return { identical: true };
};
