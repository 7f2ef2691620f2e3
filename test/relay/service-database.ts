import { randomBytes } from 'node:crypto';
import { createOutbox, type Mysql2Outbox } from '@txbox/outbox/mysql2';
import { createConnection, createPool, type Pool, type RowDataPacket } from 'mysql2/promise';
import { onTestFinished } from 'vitest';
import { backendUrl } from '../conformance/backend-url.ts';

/** Servers of these tests: name, variable of the URL, name of the service. */
export const SERVERS = [
  ['MariaDB 10.11', 'TXBOX_TEST_MARIADB_URL', 'mariadb'],
  ['MySQL 9', 'TXBOX_TEST_MYSQL9_URL', 'mysql9'],
] as const;

/** A service's own database with its outbox. */
export interface ServiceDatabase {
  readonly url: string;
  readonly pool: Pool;
  readonly outbox: Mysql2Outbox;
  rows(sql: string, values?: readonly (string | number | Buffer)[]): Promise<RowDataPacket[]>;
  /** Events that wait to be published or settled. */
  pending(): Promise<number>;
}

/** A new database on the server that `variable` names; dropped after the test. */
export async function serviceDatabase(
  variable: string,
  service: string,
  { migrated = true }: { readonly migrated?: boolean } = {},
): Promise<ServiceDatabase> {
  const url = new URL(backendUrl(variable, service).replace(/^mariadb:/, 'mysql:'));
  const name = `txbox_relay_${randomBytes(6).toString('hex')}`;
  const admin = await createConnection(url.href);
  await admin.query(`CREATE DATABASE ${name}`);
  url.pathname = `/${name}`;
  const pool = createPool({ uri: url.href, connectionLimit: 10 });
  const outbox = createOutbox({ pool });
  onTestFinished(async () => {
    await outbox.close();
    await pool.end();
    await admin.query(`DROP DATABASE ${name}`);
    await admin.end();
  });
  if (migrated) await outbox.migrate();
  const rows = async (sql: string, values: readonly (string | number | Buffer)[] = []): Promise<RowDataPacket[]> => {
    const [found] = await pool.query<RowDataPacket[]>(sql, [...values]);
    return found;
  };
  return {
    url: url.href,
    pool,
    outbox,
    rows,
    pending: async () => Number((await rows('SELECT COUNT(*) AS n FROM txbox_outbox'))[0]?.['n']),
  };
}
