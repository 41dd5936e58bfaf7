import type { Source, Store } from '@unified-kits/domain';
import { NOTED_PRACTITIONER } from '../backlog/changed-owners.ts';
import { quoteLiteral } from '../sql/identifier.ts';

/**
 * Whether a store may answer a read, as SQL over `st`, the row of `migration.stage`. Read in the same
 * statement as the kit, so in the same snapshot: flags may be stale, and a flip may come between two
 * statements, but the answer cannot be older than the stage it was judged by. Where a mirror keeps the
 * store in step, a key that it failed on is in the backlog. In `case`, because the backlog may be long in
 * the stages where it is not asked.
 *
 * @param key SQL of the legacy id as text, or undefined where any key noted matters
 */
export const inStep = (store: Store, sources: readonly Source[], key?: string): string => {
  const noted = sources.map(
    (source) =>
      `p.source = ${quoteLiteral(source)}${key === undefined ? '' : ` and p.legacy_id = ${key}`}`,
  );
  // A practitioner's new user reaches `kits` by the mirror too; the legacy tables look it up.
  if (store === 'kits' && sources.includes('practitioner_kits'))
    noted.push(`p.source = ${quoteLiteral(NOTED_PRACTITIONER)}`);
  const mirrored = `not exists (select from migration.pending_sync p where ${noted.map((one) => `(${one})`).join(' or ')})`;
  return store === 'kits'
    ? `case st.stage when 'mirrored' then ${mirrored} when 'legacy' then false when 'copying' then false else true end`
    : `case st.stage when 'dual-write' then ${mirrored} when 'unified' then false when 'closed' then false else true end`;
};

/** A statement that reads kits and judges by the stage in one snapshot; `select` may name `st`. */
export const judged = (step: string, select: string, order = ''): string =>
  `select st.stage, ${step} as "inStep", k.* from migration.stage st left join lateral (${select}) k on true${order}`;
