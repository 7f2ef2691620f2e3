import { randomBytes } from 'node:crypto';
import { createOutbox, type Mysql2Outbox } from '@txbox/outbox/mysql2';
import { createConnection, createPool, type Pool, type RowDataPacket } from 'mysql2/promise';
import { onTestFinished } from 'vitest';
import { backendUrl } from '../conformance/backend-url.ts';

/** A server: name, variable of the URL, name of the service. */
type Server = readonly [name: string, variable: string, service: string];

/** Servers of these tests; the full run has all. */
export const SERVERS: readonly [Server, ...Server[]] = [
  ['MariaDB 10.11', 'TXBOX_TEST_MARIADB_URL', 'mariadb'],
  ['MySQL 9', 'TXBOX_TEST_MYSQL9_URL', 'mysql9'],
  ...(process.env['TXBOX_TEST_FULL'] === '1'
    ? ([
        ['MySQL 8.0', 'TXBOX_TEST_MYSQL80_URL', 'mysql80'],
        ['MariaDB 11.8', 'TXBOX_TEST_MARIADB11_URL', 'mariadb11'],
        ['MySQL 5.7', 'TXBOX_TEST_MYSQL57_URL', 'mysql57'],
      ] as const)
    : []),
];

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
