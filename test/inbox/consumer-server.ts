import { randomBytes } from 'node:crypto';
import { createConnection, createPool, type Pool, type RowDataPacket } from 'mysql2/promise';
import { backendUrl } from '../conformance/backend-url.ts';

/** Servers of these tests: name, variable of the URL, name of the service. */
export const SERVERS = [
  ['MariaDB 10.11', 'TXBOX_TEST_MARIADB_URL', 'mariadb'],
  ['MySQL 9', 'TXBOX_TEST_MYSQL9_URL', 'mysql9'],
] as const;

/** A consumer's own database with a table of effects. */
export interface ConsumerServer {
  readonly url: URL;
  readonly pool: Pool;
  /** Another pool on it, as another process has; locks are waited for at most `lockWaitS` seconds. Ended by `drop`. */
  otherPool(lockWaitS?: number): Pool;
  /** Values of the effects in the order in which they were applied. */
  effects(): Promise<string[]>;
  count(table: string): Promise<number>;
  drop(): Promise<void>;
}

export async function consumerServer(variable: string, service: string): Promise<ConsumerServer> {
  const url = new URL(backendUrl(variable, service).replace(/^mariadb:/, 'mysql:'));
  const name = `txbox_inbox_${randomBytes(6).toString('hex')}`;
  const admin = await createConnection(url.href);
  await admin.query(`CREATE DATABASE ${name}`);
  url.pathname = `/${name}`;
  const pools: Pool[] = [];
  const openPool = (lockWaitS = 5): Pool => {
    const pool = createPool({ uri: url.href, connectionLimit: 8 });
    pool.pool.on('connection', (connection) => void connection.query(`SET SESSION innodb_lock_wait_timeout = ${lockWaitS}`));
    pools.push(pool);
    return pool;
  };
  const pool = openPool();
  await pool.query(
    'CREATE TABLE effects (seq INT AUTO_INCREMENT PRIMARY KEY, value VARCHAR(64) NOT NULL, once VARCHAR(64) NULL UNIQUE) ENGINE=InnoDB',
  );
  return {
    url,
    pool,
    otherPool: openPool,
    effects: async () => {
      const [rows] = await pool.query<RowDataPacket[]>('SELECT value FROM effects ORDER BY seq');
      return rows.map((row) => row['value'] as string);
    },
    count: async (table) => {
      const [rows] = await pool.query<RowDataPacket[]>(`SELECT count(*) AS n FROM ${table}`);
      return Number(rows[0]?.['n']);
    },
    drop: async () => {
      await Promise.all(pools.map((one) => one.end()));
      await admin.query(`DROP DATABASE ${name}`);
      await admin.end();
    },
  };
}
