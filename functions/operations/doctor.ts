import {
  type Binding,
  bindInstalled,
  bindMapping,
  checkDisk,
  checkLegacyTables,
  checkReplication,
  checkRoles,
  checkServer,
  checkSessions,
  checkTriggers,
  type HealthFinding,
  readStanding,
  type Session,
} from '@unified-kits/data';
import { mappingOf } from '../runtime/bound.ts';
import { publicError } from '../runtime/faults.ts';
import type { Call } from '../runtime/phase-handler.ts';
import { checkBacklog, checkFlags } from './check-flags.ts';

/** A check that cannot be made is a finding, too: the others still tell. */
const attempt = async (
  check: string,
  look: () => Promise<readonly HealthFinding[]>,
): Promise<readonly HealthFinding[]> => {
  try {
    return await look();
  } catch (error) {
    const told = publicError(error);
    const message = told instanceof Error ? `${told.name}: ${told.message}` : String(told);
    return [
      { check, level: 'fault', message, fix: 'RUNBOOK.md has a section of that name: see there' },
    ];
  }
};

/** In a transaction of its own: a statement that fails would end those of the others. */
const reading = (
  { db }: Call,
  look: (session: Session) => Promise<readonly HealthFinding[]>,
): Promise<readonly HealthFinding[]> =>
  db.transaction({ readOnly: true, statementTimeoutMs: 10_000 }, look);

const bindIfFits = async (call: Call): Promise<Binding> => {
  const mapping = await mappingOf(call);
  return call.db.transaction({ readOnly: true }, (session) => bindMapping(session, mapping));
};

/** Those checks that need the mapping to fit. */
const checkBound = async (call: Call, binding: Binding): Promise<readonly HealthFinding[]> =>
  (
    await Promise.all([
      attempt('legacy tables', () =>
        reading(call, (session) => checkLegacyTables(session, binding)),
      ),
      attempt('disk', () => reading(call, (session) => checkDisk(session, binding))),
    ])
  ).flat();

const checkMapping = (call: Call): Promise<readonly HealthFinding[]> =>
  attempt('mapping', async () => {
    const binding = await bindIfFits(call);
    return [
      {
        check: 'mapping',
        level: 'ok',
        message: `"${binding.mapping.name}" fits the legacy tables`,
      },
      ...(await checkBound(call, binding)),
    ];
  });

const checkInstalled = (call: Call): Promise<readonly HealthFinding[]> =>
  attempt('schema', async () => {
    const mapping = await mappingOf(call);
    const binding = await call.db.transaction({ readOnly: true }, (session) =>
      bindInstalled(session, mapping),
    );
    const triggers = await call.db.transaction({ asEngine: true, readOnly: true }, (session) =>
      checkTriggers(session, binding),
    );
    return [
      { check: 'schema', level: 'ok', message: 'kits was made of this mapping' },
      ...triggers,
    ];
  });

const checkStanding = (call: Call): Promise<readonly HealthFinding[]> =>
  attempt('flags', async () => {
    const standing = await readStanding(call.db, 0);
    const flags = checkFlags(await call.flags.read(), standing);
    if (standing === undefined)
      return [
        ...flags,
        { check: 'schema', level: 'note', message: 'no analysis has been made yet' },
      ];
    return [
      ...flags,
      ...checkBacklog(standing),
      ...(standing.schema
        ? await checkInstalled(call)
        : [{ check: 'schema', level: 'note', message: 'phase 1 has not made kits yet' } as const]),
    ];
  });

/** Looks at all that the migration rests on: the server, its sessions, roles, tables, triggers, and the flags. */
export const doctor = async (call: Call): Promise<{ readonly findings: HealthFinding[] }> => {
  const checks = [
    attempt('server', () => reading(call, checkServer)),
    attempt('transactions', () => reading(call, (session) => checkSessions(session))),
    attempt('replication', () => reading(call, checkReplication)),
    attempt('roles', () => reading(call, checkRoles)),
    checkMapping(call),
    checkStanding(call),
  ];
  return { findings: (await Promise.all(checks)).flat() };
};
