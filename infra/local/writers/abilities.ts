import type { Binding } from '@unified-kits/data';
import { type KitStatus, mayFollow } from '@unified-kits/domain';
import type { ApiAnswer } from './api-client.ts';
import { type OwnKit, wordOf } from './api-kit.ts';
import type { WriterSession } from './session.ts';
import { tokenFields } from './written-fields.ts';

/** What a writer may do with the kits of one source. */
export interface Abilities {
  /** The field that a change writes; undefined where nothing can be changed. */
  readonly token: string | undefined;
  /** Of a new kit: the field that holds its token, and those it has from another of its owner. */
  readonly creation:
    | { readonly token: string | undefined; readonly copied: readonly string[] }
    | undefined;
  /** Statuses that may be set. */
  readonly statuses: readonly KitStatus[];
  /** Why something cannot be done, for the operator: statuses and kinds of problem, never a value. */
  readonly refusals: readonly string[];
}

/** Of a try anything may come; what comes says what can be done. */
const ANY_REFUSAL = [400, 403, 404, 409, 422, 501];
/** Steps that an owner may take from a kit's birth on; each line needs a kit of its own. */
const LIVES: readonly (readonly KitStatus[])[] = [['registered', 'collected'], ['cancelled']];

const why = (what: string, answer: ApiAnswer | undefined): string =>
  `${what}: ${answer === undefined ? 'no answer' : `${answer.status} ${String(answer.body.type ?? '')}`.trim()}`;

const isKit = (made: OwnKit | ApiAnswer | undefined): made is OwnKit =>
  made !== undefined && 'key' in made;

/** The statuses that new kits can be given. */
const trySteps = async (
  session: WriterSession,
  binding: Binding,
  token: string,
  make: () => Promise<OwnKit | ApiAnswer | undefined>,
): Promise<KitStatus[]> => {
  const able: KitStatus[] = [];
  for (const life of LIVES) {
    const kit = await make();
    if (!isKit(kit)) return able;
    for (const status of life) {
      if (wordOf(binding.mapping, kit.source, 'legacy', status) === undefined) break;
      const answer = await session.change(
        kit,
        { token, status },
        { contract: 'legacy', ifMatch: false, meant: ANY_REFUSAL },
      );
      if (answer === undefined || answer.status >= 300) break;
      able.push(status);
    }
  }
  return able;
};

/**
 * Finds out by trying, on one kit and on new ones of its owner, what the API lets an owner do: a check, a
 * unique key or a trigger of the organisation's decides that, and no mapping tells of it. What succeeds is a
 * write like any other, and in the ledger.
 */
export const findAbilities = async (
  session: WriterSession,
  binding: Binding,
  kit: OwnKit,
): Promise<Abilities> => {
  const refusals: string[] = [];
  const bound = binding.sources[kit.source];
  const fields = tokenFields(bound);
  let token: string | undefined;
  for (const name of fields) {
    const answer = await session.change(
      kit,
      { token: name },
      { contract: 'legacy', ifMatch: false, meant: ANY_REFUSAL },
    );
    if (answer !== undefined && answer.status < 300) {
      token = name;
      break;
    }
    refusals.push(why(`"${name}" cannot be changed`, answer));
  }
  if (fields.length === 0) refusals.push('no field that the API shows takes a text');

  const known = ['kitType', 'orderId', ...Object.keys(bound.mapping.api.attributes)];
  const templates = [[], ['kitType'], known.filter((name) => name !== token)];
  let creation: Abilities['creation'];
  let refusal: ApiAnswer | undefined;
  const made: OwnKit[] = [];
  for (const copied of templates) {
    const born = await session.create(
      kit,
      { token, copied },
      { contract: 'legacy', meant: ANY_REFUSAL },
    );
    if (isKit(born)) {
      creation = { token, copied };
      made.push(born);
      break;
    }
    refusal = born;
  }
  if (creation === undefined) refusals.push(why('no kit can be made', refusal));
  const fieldsOfNew = creation;
  const statuses =
    token === undefined || fieldsOfNew === undefined
      ? []
      : await trySteps(
          session,
          binding,
          token,
          async () =>
            made.pop() ??
            session.create(kit, fieldsOfNew, { contract: 'legacy', meant: ANY_REFUSAL }),
        );
  return { token, creation, statuses, refusals };
};

/** A status that may follow the one that a kit has, at random; undefined where there is none. */
export const nextStatus = (
  { statuses }: Abilities,
  { content }: OwnKit,
  random: () => number,
): KitStatus | undefined => {
  const open = statuses.filter((status) => mayFollow(content.status ?? null, status));
  return open[Math.floor(random() * open.length)];
};
