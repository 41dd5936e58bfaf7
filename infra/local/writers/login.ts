import { randomBytes } from 'node:crypto';
import {
  APPLICATION_ROLE,
  type Binding,
  type Database,
  qualifiedName,
  quoteIdentifier,
  quoteLiteral,
  type Session,
} from '@unified-kits/data';
import { SOURCES } from '@unified-kits/domain';

/**
 * The login of the service that the writers write through: a member of the application's role, never of the
 * engine's. Logins are the whole server's, so each database has one of its own.
 */
const loginOf = async (session: Session): Promise<string> =>
  (await session.query(`select 'kits_demo_writer_' || left(md5(current_database()), 8) as name`))
    .rows[0].name;

/**
 * Makes the service's login and gives the application's role what a service needs on the legacy tables:
 * an organisation's own services have that already. A new password each time, which is kept nowhere.
 *
 * @returns the connection string of the service.
 * @throws pg.DatabaseError when the operator may not make roles or pass on these rights.
 */
export const writerLogin = async (
  db: Database,
  binding: Binding,
  databaseUrl: string,
): Promise<string> => {
  const password = randomBytes(18).toString('hex');
  const { mapping } = binding;
  const { practitioners } = mapping.sources.practitioner_kits.owner;
  const owners = [
    qualifiedName(mapping.users.schema, mapping.users.table),
    qualifiedName(practitioners.schema, practitioners.table),
  ];
  const schemas = new Set([
    ...SOURCES.map((source) => mapping.sources[source].schema),
    mapping.users.schema,
    practitioners.schema,
  ]);
  let login = '';
  await db.transaction({ lockTimeoutMs: 5_000 }, async (session) => {
    await session.query(
      `select pg_advisory_xact_lock(hashtextextended('unified-kits demo login', 0))`,
    );
    login = await loginOf(session);
    const { rowCount } = await session.query('select from pg_roles where rolname = $1', [login]);
    // Role statements take no parameters; the password is hexadecimal.
    await session.query(
      `${rowCount === 0 ? 'create' : 'alter'} role ${login} login password ${quoteLiteral(password)}`,
    );
    await session.query(`grant ${APPLICATION_ROLE} to ${login}`);
    for (const schema of schemas)
      await session.query(
        `grant usage on schema ${quoteIdentifier(schema)} to ${APPLICATION_ROLE}`,
      );
    for (const source of SOURCES) {
      const { relation, id } = binding.sources[source];
      await session.query(
        `grant select, insert, update, delete on ${relation} to ${APPLICATION_ROLE}`,
      );
      const { rows } = await session.query(
        `select pg_get_serial_sequence($1, $2) as name where pg_get_serial_sequence($1, $2) is not null`,
        [relation, id.name],
      );
      for (const { name } of rows)
        await session.query(`grant usage on sequence ${name} to ${APPLICATION_ROLE}`);
    }
    for (const owner of owners)
      await session.query(`grant select on ${owner} to ${APPLICATION_ROLE}`);
  });
  const url = new URL(databaseUrl);
  url.username = login;
  url.password = password;
  return url.href;
};

/** Removes the service's login; what the application's role may do stays. */
export const dropWriterLogin = (db: Database): Promise<void> =>
  db.transaction({ lockTimeoutMs: 5_000 }, async (session) => {
    await session.query(`drop role if exists ${await loginOf(session)}`);
  });
