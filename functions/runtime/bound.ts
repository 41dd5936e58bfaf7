import { type Binding, bindInstalled, loadMapping } from '@unified-kits/data';
import type { Mapping, Store } from '@unified-kits/domain';
import type { Call } from './phase-handler.ts';

/** The environment's mapping. */
export const mappingOf = ({ environment }: Call): Promise<Mapping> =>
  loadMapping(environment.mappingPath);

/**
 * The mapping bound to the live schema.
 *
 * @throws {SchemaVersionMismatch} when phase 1 has not run, or ran with another mapping or schema.
 */
export const bound = async (call: Call): Promise<Binding> => {
  const mapping = await mappingOf(call);
  return call.db.transaction({}, (session) => bindInstalled(session, mapping));
};

/**
 * The same for a step back in a stage whose authoritative store is given. While that is legacy nothing is
 * synchronised any more, so a column that was added to a legacy table since does not stand in the way.
 */
export const boundForTheWayBack = async (call: Call, writes: Store): Promise<Binding> => {
  const mapping = await mappingOf(call);
  const columns = writes === 'legacy' ? 'may-differ' : 'unchanged';
  return call.db.transaction({}, (session) => bindInstalled(session, mapping, columns));
};
