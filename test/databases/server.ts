import { randomBytes } from 'node:crypto';
import type { Database } from '@txbox/core/spi';
import { openDatabase } from '@txbox/core/spi';
import { createConnection } from 'mysql2/promise';
import { backendUrl } from '../conformance/backend-url.ts';

/** Every SQL server that is supported: name, variable of its URL, name of the service. */
export const SERVERS = [
  ['MariaDB 10.11', 'TXBOX_TEST_MARIADB_URL', 'mariadb'],
  ['MariaDB 11', 'TXBOX_TEST_MARIADB11_URL', 'mariadb11'],
  ['MySQL 5.7', 'TXBOX_TEST_MYSQL57_URL', 'mysql57'],
  ['MySQL 8.0', 'TXBOX_TEST_MYSQL80_URL', 'mysql80'],
  ['MySQL 9', 'TXBOX_TEST_MYSQL9_URL', 'mysql9'],
] as const;

/** An empty database of a test file. */
export interface EmptyDatabase {
  readonly url: string;
  /** A `Database` on it; closed by `drop`. */
  open(options?: { queryTimeoutMs?: number; lockWaitTimeoutMs?: number }): Promise<Database>;
  drop(): Promise<void>;
}

/** Creates a database whose own defaults are as unlike ours as they come. */
export async function emptyDatabase(variable: string, service: string): Promise<EmptyDatabase> {
  const url = new URL(backendUrl(variable, service).replace(/^mariadb:/, 'mysql:'));
  const name = `txbox_databases_${randomBytes(6).toString('hex')}`;
  const admin = await createConnection(url.href);
  await admin.query(`CREATE DATABASE ${name} CHARACTER SET latin1 COLLATE latin1_swedish_ci`);
  url.pathname = `/${name}`;
  const opened: Database[] = [];
  return {
    url: url.href,
    open: async (options = {}) => {
      const database = await openDatabase({ url: url.href, ...options });
      opened.push(database);
      return database;
    },
    drop: async () => {
      for (const database of opened) await database.close();
      await admin.query(`DROP DATABASE ${name}`);
      await admin.end();
    },
  };
}
