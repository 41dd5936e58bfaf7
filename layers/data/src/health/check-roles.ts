import {
  APPLICATION_ROLE,
  ENGINE_ROLE,
  READONLY_ROLE,
  type Session,
} from '../connection/database.ts';
import { type HealthFinding, orOk } from './finding.ts';

const READ = `
  select (select count(*)::int from pg_roles where rolname = any ($1)) as made,
         current_user as login,
         (select rolsuper or rolcreaterole from pg_roles where rolname = current_user) as "createsRoles",
         has_database_privilege(current_database(), 'create') as "createsSchemas",
         coalesce((select pg_has_role(current_user, oid, 'member') from pg_roles where rolname = $2), false) as engine,
         (select count(*)::int from pg_auth_members m join pg_roles r on r.oid = m.roleid join pg_roles l on l.oid = m.member
           where r.rolname = $3 and l.rolcanlogin) as services`;

/** The three roles, and what the login of the migration may do with them. */
export const checkRoles = async (session: Session): Promise<readonly HealthFinding[]> => {
  const roles = [ENGINE_ROLE, APPLICATION_ROLE, READONLY_ROLE];
  const { rows } = await session.query(READ, [roles, ENGINE_ROLE, APPLICATION_ROLE]);
  const { made, login, createsRoles, createsSchemas, engine, services } = rows[0];
  const missing = made < roles.length;
  const findings: HealthFinding[] = [
    ...(missing && !createsRoles
      ? [
          {
            check: 'roles',
            level: 'fault',
            message: `of the roles ${roles.join(', ')} some are missing, and "${login}" may not create roles`,
            fix: 'run infra/roles.sql once, as a superuser',
          } as const,
        ]
      : []),
    ...(missing && createsRoles
      ? [
          {
            check: 'roles',
            level: 'note',
            message: `of the roles ${roles.join(', ')} some are not there yet: the first analysis makes them`,
          } as const,
        ]
      : []),
    ...(!missing && !engine
      ? [
          {
            check: 'roles',
            level: 'fault',
            message: `"${login}" is no member of ${ENGINE_ROLE}`,
            fix: `GRANT ${ENGINE_ROLE} TO "${login}"`,
          } as const,
        ]
      : []),
    ...(createsSchemas
      ? []
      : [
          {
            check: 'roles',
            level: 'fault',
            message: `"${login}" may not create a schema in this database`,
            fix: `GRANT CREATE ON DATABASE … TO "${login}"`,
          } as const,
        ]),
    ...(!missing && services === 0
      ? [
          {
            check: 'roles',
            level: 'warning',
            message: `no login is a member of ${APPLICATION_ROLE}`,
            fix: `GRANT ${APPLICATION_ROLE} to the login of the API and the jobs: without it they cannot use kits`,
          } as const,
        ]
      : []),
  ];
  return orOk('roles', findings, `"${login}" may do what the migration does`);
};
