import { type KitReference, SOURCES, type Source } from '@unified-kits/domain';
import type { Binding } from '../catalog/bind-mapping.ts';
import { resolveInLegacy } from '../jobs/resolve-in-legacy.ts';
import { newLegacyId } from '../schema/trigger-functions.ts';
import { quoteIdentifier } from '../sql/identifier.ts';
import { inStep, judged } from './in-step.ts';
import {
  bornThen,
  kitOfRow,
  legacyKitColumns,
  legacyKitsId,
  millisecondsOf,
} from './kit-columns.ts';
import type { KitStore } from './kit-store.ts';
import { numberMatch } from './number-match.ts';
import { ownerLock, ownerTable } from './owner.ts';
import { type KitReadingRow, oneReading, readingOf } from './readings.ts';
import { assignments, Parameters } from './statement.ts';

/**
 * The legacy tables as a store of kits. A kit number is looked for where an index finds it: nobody scans a
 * table for a request.
 */
export const legacyKitStore = (
  binding: Binding,
  numbers: Readonly<Record<Source, { readonly searchable: boolean }>>,
): KitStore => {
  const of = (source: Source) => binding.sources[source];
  const id = (source: Source) => `s.${quoteIdentifier(of(source).id.name)}`;
  const owner = (source: Source) => `s.${quoteIdentifier(of(source).ownerColumn.name)}`;
  const from = (source: Source) => `from ${of(source).relation} s`;
  const { practitionerIdType, userIdType } = binding.mapping.target;
  const ownerType = (source: Source) => (source === 'kit' ? userIdType : practitionerIdType);

  const byLegacyId = (source: Source, lock: string) => {
    const key = `cast($1 as ${of(source).idType})`;
    return judged(
      inStep('legacy', [source], `(${key})::text`),
      `select ${legacyKitColumns(of(source))} ${from(source)} where ${id(source)} = ${key} and ${owner(source)} = cast($2 as ${ownerType(source)})${lock}`,
    );
  };
  // A kits id cannot be turned back into a legacy id; it is looked for among the caller's own, by its time first.
  const byKitsId = (source: Source, lock: string) =>
    judged(
      inStep('legacy', SOURCES),
      `select ${legacyKitColumns(of(source))} ${from(source)} where ${owner(source)} = cast($2 as ${ownerType(source)}) and ${bornThen(of(source), '$3')} and ${legacyKitsId(of(source))} = cast($1 as uuid)${lock}`,
    );

  const find: KitStore['find'] = async (session, reference: KitReference, caller, lock) => {
    const locking = lock === undefined ? '' : ' for no key update of s';
    if ('legacyId' in reference)
      return oneReading(
        binding,
        await session.query<KitReadingRow>(byLegacyId(reference.source, locking), [
          reference.legacyId,
          reference.source === 'kit' ? caller.userId : caller.practitionerId,
        ]),
      );
    const born = millisecondsOf(reference.kitsId);
    const asClient = oneReading(
      binding,
      await session.query<KitReadingRow>(byKitsId('kit', locking), [
        reference.kitsId,
        caller.userId,
        born,
      ]),
    );
    if (asClient.value !== undefined || caller.practitionerId === undefined) return asClient;
    return oneReading(
      binding,
      await session.query<KitReadingRow>(byKitsId('practitioner_kits', locking), [
        reference.kitsId,
        caller.practitionerId,
        born,
      ]),
    );
  };

  return {
    store: 'legacy',
    find,
    async hold(session, { source, legacyId }) {
      const key = `cast($1 as ${of(source).idType})`;
      const held = judged(
        inStep('legacy', [source], `(${key})::text`),
        `select ${legacyKitColumns(of(source))} ${from(source)} where ${id(source)} = ${key} for no key update of s`,
      );
      return oneReading(binding, await session.query<KitReadingRow>(held, [legacyId]));
    },
    async list(session, { ownerType: type, id: ownerId }, { after, limit }) {
      const source = type === 'client' ? 'kit' : 'practitioner_kits';
      const parameters = new Parameters();
      const mine = `${owner(source)} = cast(${parameters.add(ownerId)} as ${ownerType(source)})`;
      const later =
        after === undefined
          ? ''
          : ` and ${id(source)} > cast(${parameters.add(after)} as ${of(source).idType})`;
      const { rows } = await session.query<KitReadingRow>(
        judged(
          inStep('legacy', [source]),
          // `offset 0`: a page may cost what its owner has, never a walk through everybody's ids for the first few.
          `select ${id(source)} as sort, ${legacyKitColumns(of(source))} from (select s.* ${from(source)} where ${mine}${later} offset 0) s order by ${id(source)} limit ${parameters.add(limit)}`,
          ' order by k.sort',
        ),
        parameters.values,
      );
      return readingOf(binding, rows);
    },
    async listAll(session, caller, { after, limit }) {
      const parameters = new Parameters();
      const position = after === undefined ? undefined : parameters.add(after);
      const most = parameters.add(limit);
      // Each part is cut to the page's size before a kit is made of its rows.
      const part = (source: Source, ownerId: string) => {
        const sort = legacyKitsId(of(source));
        const later = position === undefined ? '' : ` and ${sort} > cast(${position} as uuid)`;
        return `(select ${sort} as sort, ${legacyKitColumns(of(source))} ${from(source)} where ${owner(source)} = cast(${parameters.add(ownerId)} as ${ownerType(source)})${later} order by sort limit ${most})`;
      };
      const parts = [
        part('kit', caller.userId),
        ...(caller.practitionerId === undefined
          ? []
          : [part('practitioner_kits', caller.practitionerId)]),
      ];
      const { rows } = await session.query<KitReadingRow>(
        judged(
          inStep('legacy', SOURCES),
          `select * from (${parts.join(' union all ')}) u order by u.sort limit ${most}`,
          ' order by k.sort',
        ),
        parameters.values,
      );
      return readingOf(binding, rows);
    },
    async findMany(session, source, legacyIds) {
      const { rows } = await session.query(
        `select ${legacyKitColumns(of(source))} ${from(source)} where ${id(source)} = any (cast($1 as ${of(source).idType}[]))`,
        [legacyIds],
      );
      return rows.map((row) => kitOfRow(binding, row));
    },
    resolve: (session, references) => resolveInLegacy(session, binding, references),
    async checkBirth(session, forOwner, kitNumber) {
      await ownerLock(session, kitNumber);
      const parameters = new Parameters();
      const known = ownerTable(binding, forOwner.ownerType, parameters.add(forOwner.id));
      const taken = SOURCES.filter((source) => numbers[source].searchable).flatMap((source) => {
        const rule = of(source).rules.find(({ field }) => field === 'kitNumber');
        const match = rule && numberMatch(rule.column, kitNumber, 'cast($2 as text)');
        return match === undefined ? [] : [`exists (select ${from(source)} where ${match})`];
      });
      if (taken.length > 0) parameters.add(kitNumber);
      const { rows } = await session.query(
        `select st.stage, exists (${known}) as "ownerKnown", ${taken.length === 0 ? 'false' : taken.join(' or ')} as "numberTaken" from migration.stage st`,
        parameters.values,
      );
      return rows[0];
    },
    async insert(session, { ownerType: type, id: ownerId }, values) {
      const source = of(type === 'client' ? 'kit' : 'practitioner_kits');
      const parameters = new Parameters();
      const ownerValue = `cast(${parameters.add(ownerId)} as ${source.ownerColumn.type})`;
      const generated =
        source.id.identity === '' && source.id.defaultExpression === null
          ? newLegacyId(source, undefined)
          : undefined;
      const assigned = [
        ...(generated === undefined ? [] : [{ column: source.id, expression: generated }]),
        { column: source.ownerColumn, expression: ownerValue },
        ...assignments(source, values, parameters),
      ];
      const { rows } = await session.query(
        `insert into ${source.relation} as s (${assigned.map(({ column }) => quoteIdentifier(column.name)).join(', ')}) values (${assigned.map(({ expression }) => expression).join(', ')}) returning ${legacyKitColumns(source)}`,
        parameters.values,
      );
      return kitOfRow(binding, rows[0]);
    },
    async update(session, kit, values) {
      const source = of(kit.source);
      const parameters = new Parameters();
      const key = `cast(${parameters.add(kit.legacyId)} as ${source.idType})`;
      const set = assignments(source, values, parameters).map(
        ({ column, expression }) => `${quoteIdentifier(column.name)} = ${expression}`,
      );
      const { rows } = await session.query(
        `update ${source.relation} s set ${set.join(', ')} where ${id(kit.source)} = ${key} returning ${legacyKitColumns(source)}`,
        parameters.values,
      );
      return rows[0] === undefined ? undefined : kitOfRow(binding, rows[0]);
    },
  };
};
