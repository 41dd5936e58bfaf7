import {
  type Caller,
  type Contract,
  type Mapping,
  type Source,
  statusWords,
} from '@unified-kits/domain';
import type { ApiAnswer } from './api-client.ts';
import type { Content } from './ledger.ts';

type Body = ApiAnswer['body'];

/** A kit that one writer writes, and nobody else. */
export interface OwnKit {
  readonly source: Source;
  readonly caller: Caller;
  /** The legacy id. */
  readonly key: string;
  /** Undefined until the kit has been seen. */
  kitsId: string | undefined;
  /** What it holds as far as the writer knows, by field, in the words of `kits`. */
  content: Content;
  /** How each contract has shown it since it was last written. */
  readonly seen: Map<Contract, ApiAnswer>;
}

/** Where a contract has the kits of an owner. */
export const kitsPath = (
  { source, caller: { practitionerId = '' } }: Pick<OwnKit, 'source' | 'caller'>,
  contract: Contract,
): string => {
  if (contract === 'v2') return '/v2/kits';
  return source === 'kit' ? '/kits' : `/practitioners/${encodeURIComponent(practitionerId)}/kits`;
};

/** Where a contract has a kit: the unified one only once its kits id is known. */
export const kitPath = (kit: OwnKit, contract: Contract): string =>
  `${kitsPath(kit, contract)}/${encodeURIComponent(contract === 'v2' ? (kit.kitsId ?? '') : kit.key)}`;

/** A status in a contract's words; undefined where kits of this source have none for it. */
export const wordOf = (
  mapping: Mapping,
  source: Source,
  contract: Contract,
  status: string,
): string | undefined =>
  [...statusWords(mapping, source, contract)].find(([, meaning]) => meaning === status)?.[0];

const attributesOf = ({ attributes }: Body): Body =>
  typeof attributes === 'object' && attributes !== null ? { ...attributes } : {};

/** What a body shows of a kit, by field, in the words of `kits`. */
export const shownContent = (
  mapping: Mapping,
  source: Source,
  contract: Contract,
  body: Body,
): Content => {
  const status = statusWords(mapping, source, contract).get(String(body.status));
  const shown: Body = { ...body, ...attributesOf(body), status };
  return Object.fromEntries(
    Object.entries(shown).flatMap(([name, value]) =>
      typeof value === 'string' ? [[name, value]] : [],
    ),
  );
};

/** Whether all that a writer knows of a kit is shown. */
export const agrees = (known: Content, shown: Content): boolean =>
  Object.entries(known).every(([name, value]) => shown[name] === value);

/** Fields as a contract takes them: the unified one has what no rule names under `attributes`. */
const shaped = (
  mapping: Mapping,
  source: Source,
  contract: Contract,
  fields: Readonly<Record<string, unknown>>,
): Body => {
  if (contract === 'legacy') return fields;
  const isAttribute = (name: string) => Object.hasOwn(mapping.sources[source].api.attributes, name);
  const part = (attributes: boolean) =>
    Object.fromEntries(Object.entries(fields).filter(([name]) => isAttribute(name) === attributes));
  const attributes = part(true);
  return { ...part(false), ...(Object.keys(attributes).length > 0 ? { attributes } : {}) };
};

/** The body of a PATCH that leaves `content`. */
export const changeText = (
  mapping: Mapping,
  source: Source,
  contract: Contract,
  { status, ...content }: Content,
): string =>
  JSON.stringify(
    shaped(mapping, source, contract, {
      ...content,
      ...(status === undefined ? {} : { status: wordOf(mapping, source, contract, status) }),
    }),
  );

/** The body of a POST that leaves `content`, with some fields as another kit of the owner has them. */
export const creationText = (
  mapping: Mapping,
  source: Source,
  contract: Contract,
  { status: _atBirth, ...content }: Content,
  copied: readonly string[],
  template: Body,
): string => {
  const known = { ...template, ...attributesOf(template) };
  const fields = copied.flatMap((name) => (known[name] == null ? [] : [[name, known[name]]]));
  return JSON.stringify({
    ...(contract === 'v2' ? { ownerType: mapping.sources[source].owner.type } : {}),
    ...shaped(mapping, source, contract, { ...Object.fromEntries(fields), ...content }),
  });
};
