import {
  CreationUnsupported,
  FENCE_SQLSTATE,
  KitNumberTaken,
  KitRefused,
  SOURCES,
  UNMAPPED_VALUE_SQLSTATE,
} from '@unified-kits/domain';
import type pg from 'pg';
import { hasSqlState, isRowFault, SQLSTATE } from '../connection/sqlstate.ts';
import type { ServiceBinding } from './bind-service.ts';
import { REFUSED_VALUE } from './broken-check.ts';

/** The other store is authoritative: the fence, or the stage, said so. */
export class WrongStore extends Error {
  override readonly name = 'WrongStore';
}

/** A table or column that a statement was made for is not there: the schema has changed, or phase 1 has not run. */
const SCHEMA_CHANGED = [
  SQLSTATE.undefinedTable,
  SQLSTATE.undefinedColumn,
  SQLSTATE.invalidSchemaName,
];

export const isSchemaChange = (error: unknown): boolean => hasSqlState(error, ...SCHEMA_CHANGED);

const isNumberFault = (
  { binding, numbers }: ServiceBinding,
  { constraint = '', table, schema }: pg.DatabaseError,
): boolean =>
  constraint === 'kits_kit_number_key' ||
  SOURCES.some((source) => {
    const { catalog } = binding.sources[source];
    return (
      catalog.schema === schema &&
      catalog.table === table &&
      numbers[source].uniqueIndexes.includes(constraint)
    );
  });

/**
 * What a write's failure means to whoever asked for it. The server's message may quote a value and names
 * columns, so nothing of it is passed on.
 *
 * @returns the error to throw: one of the domain's, or the one given where nobody foresaw it
 */
export const writeFault = (service: ServiceBinding, error: unknown): unknown => {
  if (hasSqlState(error, FENCE_SQLSTATE)) return new WrongStore('the fence refused the write');
  if (hasSqlState(error, SQLSTATE.uniqueViolation))
    return isNumberFault(service, error)
      ? new KitNumberTaken('another kit has this number')
      : new KitRefused('', 'a value that must be unique is in use already');
  if (hasSqlState(error, SQLSTATE.foreignKeyViolation))
    return new KitRefused('', 'the kit refers to something that is not there');
  if (hasSqlState(error, SQLSTATE.notNullViolation))
    return new CreationUnsupported(
      `column "${error.column ?? ''}" must have a value and no request can give one`,
    );
  // An organisation's own trigger says no by raising an exception.
  const raised = hasSqlState(error, SQLSTATE.raiseException);
  if (raised || (isRowFault(error) && error.code !== UNMAPPED_VALUE_SQLSTATE))
    return new KitRefused('', REFUSED_VALUE);
  return error;
};
