import type { Duty, Stage } from '@unified-kits/domain';
import { STAGE_DEFINITIONS } from '@unified-kits/domain';
import type { Binding } from '../catalog/bind-mapping.ts';
import { ENGINE_ROLE } from '../connection/database.ts';
import { qualifiedName, quoteIdentifier, quoteLiteral } from '../sql/identifier.ts';

/** A table whose triggers make a stage. */
export interface StagedTable {
  readonly relation: string;
  readonly role: 'legacy' | 'owners' | 'kits';
  readonly triggers: readonly StageTrigger[];
}

export interface StageTrigger {
  readonly name: string;
  readonly duty: Duty | 'birth';
  readonly create: string;
}

const statementTriggers = (
  relation: string,
  duty: 'capture' | 'mirror',
  routine: string,
  moved: string,
): StageTrigger[] => {
  const transitions = {
    insert: 'referencing new table as new_rows',
    update: 'referencing new table as new_rows',
    delete: 'referencing old table as old_rows',
  };
  return [
    ...Object.entries(transitions).map(([event, referencing]) => ({
      name: `uk_${duty}_${event}`,
      duty,
      create: `create trigger uk_${duty}_${event} after ${event} on ${relation} ${referencing} for each statement execute function migration.${quoteIdentifier(duty === 'capture' && event === 'delete' ? `${routine}_gone` : routine)}()`,
    })),
    {
      name: `uk_${duty}_moved`,
      duty,
      create: `create trigger uk_${duty}_moved after update on ${relation} for each row when (${moved}) execute function migration.${quoteIdentifier(`${routine}_moved`)}()`,
    },
    {
      name: `uk_${duty}_truncate`,
      duty,
      create: `create trigger uk_${duty}_truncate before truncate on ${relation} for each statement execute function migration.refuse_truncate()`,
    },
  ];
};

const KITS_MOVED = '(old.source, old.legacy_id) is distinct from (new.source, new.legacy_id)';

/**
 * Statements from outside, and rows from wherever they come: a statement inside another trigger is let
 * pass as long as it changes no row, so without the second an application could write from a trigger on
 * a temporary table of its own.
 */
const fence = (relation: string, authoritative: string): StageTrigger[] => {
  const outside = `when (current_user <> ${quoteLiteral(ENGINE_ROLE)})`;
  const refuse = `execute function migration.refuse_write(${quoteLiteral(authoritative)})`;
  return [
    {
      name: 'uk_refuse_statement',
      duty: 'refuse',
      create: `create trigger uk_refuse_statement before insert or update or delete or truncate on ${relation} for each statement ${outside} ${refuse}`,
    },
    {
      name: 'uk_refuse_row',
      duty: 'refuse',
      create: `create trigger uk_refuse_row before insert or update or delete on ${relation} for each row ${outside} ${refuse}`,
    },
  ];
};

/** The tables of a binding with every trigger they may carry. */
export const stagedTables = (binding: Binding): readonly StagedTable[] => {
  const legacy = (source: 'kit' | 'practitioner_kits'): StagedTable => {
    const { relation, id } = binding.sources[source];
    const moved = `old.${quoteIdentifier(id.name)} is distinct from new.${quoteIdentifier(id.name)}`;
    return {
      relation,
      role: 'legacy',
      triggers: [
        ...fence(relation, 'kits'),
        ...statementTriggers(relation, 'capture', `capture_${source}`, moved),
        ...statementTriggers(relation, 'mirror', `mirror_${source}`, moved),
      ],
    };
  };
  const { practitioners } = binding.mapping.sources.practitioner_kits.owner;
  const lookup = qualifiedName(practitioners.schema, practitioners.table);
  const userId = quoteIdentifier(practitioners.userId);
  // Not `update of`: that is blind to a user whom a trigger of the organisation changes.
  const ownerTrigger = (duty: 'capture' | 'mirror'): StageTrigger => ({
    name: `uk_${duty}_owner`,
    duty,
    create: `create trigger uk_${duty}_owner after update on ${lookup} for each row when (old.${userId} is distinct from new.${userId}) execute function migration.${duty}_owner()`,
  });
  return [
    legacy('kit'),
    legacy('practitioner_kits'),
    {
      relation: lookup,
      role: 'owners',
      triggers: [ownerTrigger('capture'), ownerTrigger('mirror')],
    },
    {
      relation: binding.kits,
      role: 'kits',
      triggers: [
        ...fence(binding.kits, 'the legacy table'),
        ...statementTriggers(binding.kits, 'capture', 'capture_kits', KITS_MOVED),
        ...statementTriggers(binding.kits, 'mirror', 'mirror_kits', KITS_MOVED),
        {
          name: 'uk_birth',
          duty: 'birth',
          create: `create trigger uk_birth before insert on ${binding.kits} for each row when (new.legacy_id is null) execute function migration.birth()`,
        },
      ],
    },
  ];
};

/** Which triggers of a table are on in a stage. */
export const isOn = (table: StagedTable, trigger: StageTrigger, stage: Stage): boolean => {
  const { legacyTables, kits, writes } = STAGE_DEFINITIONS[stage];
  switch (table.role) {
    case 'legacy':
      return trigger.duty === legacyTables;
    case 'owners':
      return (
        trigger.duty === (stage === 'legacy' ? 'none' : stage === 'copying' ? 'capture' : 'mirror')
      );
    case 'kits':
      return trigger.duty === 'birth' ? writes === 'kits' : trigger.duty === kits;
  }
};

/**
 * The statements that turn one stage's triggers into another's. Triggers are made once and then
 * switched: DROP TRIGGER takes ACCESS EXCLUSIVE, which would wait for every reader and hold new ones,
 * while CREATE, ENABLE and DISABLE need the SHARE ROW EXCLUSIVE lock that the flip holds anyway. A
 * switched-off trigger costs a write nothing. ALWAYS: sessions in replica role are captured and fenced too.
 *
 * @param existing trigger names by relation, as the catalog has them now
 */
export const switchStatements = (
  tables: readonly StagedTable[],
  existing: ReadonlyMap<string, ReadonlyMap<string, string>>,
  stage: Stage,
): readonly string[] =>
  tables.flatMap((table) => {
    const present = existing.get(table.relation) ?? new Map<string, string>();
    return table.triggers.flatMap((trigger) => {
      const state = present.get(trigger.name);
      if (isOn(table, trigger, stage)) {
        const enable = `alter table ${table.relation} enable always trigger ${trigger.name}`;
        if (state === undefined) return [trigger.create, enable];
        return state === 'A' ? [] : [enable];
      }
      return state === undefined || state === 'D'
        ? []
        : [`alter table ${table.relation} disable trigger ${trigger.name}`];
    });
  });
