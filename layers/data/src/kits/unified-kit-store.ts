import { type Kit, KitRefused, SHARED_COLUMNS, SOURCES, type Source } from '@unified-kits/domain';
import type { Binding, BoundRule, BoundSource } from '../catalog/bind-mapping.ts';
import { resolveInKits } from '../jobs/resolve-in-kits.ts';
import { attributesExpression, project, ruleForward } from '../projection/projection.ts';
import { isAmbiguous } from '../projection/value-map.ts';
import { quoteIdentifier, quoteLiteral } from '../sql/identifier.ts';
import { brokenCheck, REFUSED_VALUE } from './broken-check.ts';
import { inStep, judged } from './in-step.ts';
import { type KitRow, kitOfRow, unifiedKitColumns } from './kit-columns.ts';
import type { KitStore } from './kit-store.ts';
import { ownerTable } from './owner.ts';
import { type KitReadingRow, oneReading, readingOf } from './readings.ts';
import { type Assignment, assignments, Parameters } from './statement.ts';

/** The legacy row, as far as it is known, from which `kits` is fed: alias `s`. */
const overlay = (assigned: readonly Assignment[]): string =>
  `(select ${assigned.map(({ column, expression }) => `${expression} as ${quoteIdentifier(column.name)}`).join(', ')}) s`;

/** What a column holds in a legacy row that is inserted without naming it. */
const byDefault = ({ column }: BoundRule): Assignment => ({
  column,
  expression:
    column.defaultExpression === null
      ? `null::${column.baseType}`
      : `cast(${column.defaultExpression} as ${column.type})`,
});

const keptOf = (source: BoundSource, assigned: readonly Assignment[]) => {
  const ambiguous = source.rules.filter(isAmbiguous).map(({ column }) => column.name);
  const named = new Set([...source.attributes.map(({ name }) => name), ...ambiguous]);
  return assigned.map(({ column }) => column).filter(({ name }) => named.has(name));
};

/**
 * `kits` as a store. Values arrive as the legacy columns would hold them and go through the same projection
 * as the copy and the mirror, so that `kits` holds exactly what a migrated legacy row would have given.
 */
export const unifiedKitStore = (binding: Binding): KitStore => {
  const { kits } = binding;
  const { practitionerIdType, userIdType } = binding.mapping.target;
  const projections = {
    kit: project(binding, binding.sources.kit),
    practitioner_kits: project(binding, binding.sources.practitioner_kits),
  };
  const keys: Readonly<Record<Source, string>> = {
    kit: projections.kit.kitsKey,
    practitioner_kits: projections.practitioner_kits.kitsKey,
  };
  /** The select list of a kit that was written, and whether its legacy table would refuse it. */
  const writtenColumns = (source: Source) =>
    `${unifiedKitColumns(binding, source)}, ${brokenCheck(projections[source])} as refused`;
  const written = (row: KitRow & { readonly refused: boolean }): Kit => {
    // As the legacy table's own refusal is told.
    if (row.refused) throw new KitRefused('', REFUSED_VALUE);
    return kitOfRow(binding, row);
  };
  const keyIs = (source: Source, key: string) =>
    `k.source = ${quoteLiteral(source)} and ${keys[source]} = ${key}`;
  const ofOwner = (source: Source, ownerId: string) =>
    source === 'kit'
      ? `k.owner_type = 'client' and k.user_id = cast(${ownerId} as ${userIdType})`
      : `k.owner_type = 'practitioner' and k.practitioner_id = cast(${ownerId} as ${practitionerIdType})`;
  const sourceOf = (ownerType: 'client' | 'practitioner') =>
    ownerType === 'client' ? 'kit' : 'practitioner_kits';

  return {
    store: 'kits',
    async find(session, reference, { userId, practitionerId }, lock) {
      const locking = lock === undefined ? '' : ' for no key update of k';
      if (!('legacyId' in reference))
        return oneReading(
          binding,
          await session.query<KitReadingRow>(
            judged(
              inStep('kits', SOURCES),
              `select ${unifiedKitColumns(binding)} from ${kits} k where k.id = cast($1 as uuid) and (${ofOwner('kit', '$2')} or ${ofOwner('practitioner_kits', '$3')})${locking}`,
            ),
            [reference.kitsId, userId, practitionerId],
          ),
        );
      const { source, legacyId } = reference;
      const key = `cast($1 as ${binding.sources[source].idType})`;
      return oneReading(
        binding,
        await session.query<KitReadingRow>(
          judged(
            inStep('kits', [source], `(${key})::text`),
            `select ${unifiedKitColumns(binding, source)} from ${kits} k where ${keyIs(source, key)} and ${ofOwner(source, '$2')}${locking}`,
          ),
          [legacyId, source === 'kit' ? userId : practitionerId],
        ),
      );
    },
    async hold(session, { source, legacyId }) {
      const key = `cast($1 as ${binding.sources[source].idType})`;
      const held = judged(
        inStep('kits', [source], `(${key})::text`),
        `select ${unifiedKitColumns(binding, source)} from ${kits} k where ${keyIs(source, key)} for no key update of k`,
      );
      return oneReading(binding, await session.query<KitReadingRow>(held, [legacyId]));
    },
    async list(session, owner, { after, limit }) {
      const source = sourceOf(owner.ownerType);
      const parameters = new Parameters();
      const mine = ofOwner(source, parameters.add(owner.id));
      const later =
        after === undefined
          ? ''
          : ` and ${keys[source]} > cast(${parameters.add(after)} as ${binding.sources[source].idType})`;
      const { rows } = await session.query<KitReadingRow>(
        judged(
          inStep('kits', [source]),
          `select ${keys[source]} as sort, ${unifiedKitColumns(binding, source)} from ${kits} k where ${mine}${later} order by 1 limit ${parameters.add(limit)}`,
          ' order by k.sort',
        ),
        parameters.values,
      );
      return readingOf(binding, rows);
    },
    async listAll(session, caller, { after, limit }) {
      const parameters = new Parameters();
      const later = after === undefined ? '' : ` and k.id > cast(${parameters.add(after)} as uuid)`;
      const most = parameters.add(limit);
      // Each part stops at the page's size: an `or` over two indexes would sort all that a caller has.
      const part = (source: Source, ownerId: string) =>
        `(select k.id as sort, ${unifiedKitColumns(binding, source)} from ${kits} k where ${ofOwner(source, parameters.add(ownerId))}${later} order by k.id limit ${most})`;
      const parts = [
        part('kit', caller.userId),
        ...(caller.practitionerId === undefined
          ? []
          : [part('practitioner_kits', caller.practitionerId)]),
      ];
      const { rows } = await session.query<KitReadingRow>(
        judged(
          inStep('kits', SOURCES),
          `select * from (${parts.join(' union all ')}) u order by u.sort limit ${most}`,
          ' order by k.sort',
        ),
        parameters.values,
      );
      return readingOf(binding, rows);
    },
    async findMany(session, source, legacyIds) {
      const { rows } = await session.query(
        `select ${unifiedKitColumns(binding, source)} from ${kits} k where k.source = ${quoteLiteral(source)} and ${keys[source]} = any (cast($1 as ${binding.sources[source].idType}[]))`,
        [legacyIds],
      );
      return rows.map((row) => kitOfRow(binding, row));
    },
    resolve: (session, references) => resolveInKits(session, binding, references),
    async checkBirth(session, owner, _kitNumber) {
      // Its unique index knows whether the number is taken, and says so when the kit is inserted.
      const { rows } = await session.query(
        `select st.stage, exists (${ownerTable(binding, owner.ownerType, '$1')}) as "ownerKnown", false as "numberTaken" from migration.stage st`,
        [owner.id],
      );
      return rows[0];
    },
    async insert(session, owner, values) {
      const source = binding.sources[sourceOf(owner.ownerType)];
      const parameters = new Parameters();
      const assigned = assignments(source, values, parameters);
      const named = new Set(assigned.map(({ column }) => column.name));
      const defaults = source.rules.filter(({ column }) => !named.has(column.name)).map(byDefault);
      const ownerColumn = owner.ownerType === 'client' ? 'user_id' : 'practitioner_id';
      const ownerIdType = owner.ownerType === 'client' ? userIdType : practitionerIdType;
      const fed = [
        ['owner_type', quoteLiteral(owner.ownerType)],
        [ownerColumn, `cast(${parameters.add(owner.id)} as ${ownerIdType})`],
        ...source.rules.map((rule) => [
          SHARED_COLUMNS[rule.field].column,
          ruleForward(rule, source),
        ]),
        // The legacy table's defaults of all others are filled in at birth.
        ['legacy_attributes', attributesExpression(keptOf(source, assigned))],
      ];
      const { rows } = await session.query(
        `insert into ${kits} as k (${fed.map(([column]) => column).join(', ')}) select ${fed.map(([, expression]) => expression).join(', ')} from ${overlay([...assigned, ...defaults])} returning ${writtenColumns(source.source)}`,
        parameters.values,
      );
      return written(rows[0]);
    },
    async update(session, kit, values) {
      const source = binding.sources[kit.source];
      const parameters = new Parameters();
      const id = `cast(${parameters.add(kit.kitsId)} as uuid)`;
      const assigned = assignments(source, values, parameters);
      const changed = new Set(assigned.map(({ column }) => column.name));
      const kept = keptOf(source, assigned);
      const set = [
        ...source.rules
          .filter(({ column }) => changed.has(column.name))
          .map((rule) => `${SHARED_COLUMNS[rule.field].column} = ${ruleForward(rule, source)}`),
        ...(kept.length === 0
          ? []
          : [
              `legacy_attributes = (k.legacy_attributes - array[${kept.map(({ name }) => quoteLiteral(name)).join(', ')}]) || ${attributesExpression(kept)}`,
            ]),
      ];
      const { rows } = await session.query(
        `update ${kits} k set ${set.join(', ')} from ${overlay(assigned)} where k.id = ${id} returning ${writtenColumns(kit.source)}`,
        parameters.values,
      );
      return rows[0] === undefined ? undefined : written(rows[0]);
    },
  };
};
