import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { defineEvent } from '@txbox/core';
import { createOutbox, type TypeormOutbox, type TypeormOutboxOptions } from '@txbox/outbox/typeorm';
import { type Connection, createConnection, type RowDataPacket } from 'mysql2/promise';
import * as typeorm1 from 'typeorm';
import * as typeorm03 from 'typeorm03';
import { backendUrl } from '../conformance/backend-url.ts';

/** Servers of these tests: name, variable of the URL, name of the service. */
export const SERVERS: readonly (readonly [name: string, variable: string, service: string])[] = [
  ['MariaDB', 'TXBOX_TEST_MARIADB_URL', 'mariadb'],
  ['MySQL 9', 'TXBOX_TEST_MYSQL9_URL', 'mysql9'],
  // The others in the full product.
  ...(process.env['TXBOX_TEST_FULL'] === '1'
    ? ([
        ['MariaDB 11', 'TXBOX_TEST_MARIADB11_URL', 'mariadb11'],
        ['MySQL 5.7', 'TXBOX_TEST_MYSQL57_URL', 'mysql57'],
        ['MySQL 8.0', 'TXBOX_TEST_MYSQL80_URL', 'mysql80'],
      ] as const)
    : []),
];

type Typeorm = typeof typeorm1;
const TYPEORMS: readonly (readonly [string, Typeorm])[] = [
  ['TypeORM 1', typeorm1],
  ['TypeORM 0.3', typeorm03 as unknown as Typeorm],
];

/** Every server with every line of TypeORM: name, server, TypeORM. */
export const LANES: readonly (readonly [string, (typeof SERVERS)[number], Typeorm])[] = SERVERS.flatMap((server) =>
  TYPEORMS.map(([name, typeorm]) => [`${name} on ${server[0]}`, server, typeorm] as const),
);

/** Each server and each line of TypeORM once, for tests that are long; in the full product every pair. */
export const FEW_LANES: typeof LANES =
  process.env['TXBOX_TEST_FULL'] === '1' ? LANES : LANES.filter((_, n) => n === 0 || n === LANES.length - 1);

/** A row of the service. */
export interface Order {
  id: string;
  amount: number;
}

export const Placed = defineEvent('order.placed', { topic: 'orders', key: (payload: { id: string }) => payload.id });

/** A database of one test file, with an `orders` table, looked at from outside. */
export class ServiceDatabase implements AsyncDisposable {
  readonly url: string;
  readonly admin: Connection;
  readonly #name: string;

  private constructor(url: string, admin: Connection, name: string) {
    this.url = url;
    this.admin = admin;
    this.#name = name;
  }

  static async create([, variable, service]: (typeof SERVERS)[number]): Promise<ServiceDatabase> {
    const url = new URL(backendUrl(variable, service).replace(/^mariadb:/, 'mysql:'));
    const name = `txbox_outbox_${randomBytes(6).toString('hex')}`;
    const admin = await createConnection({ uri: url.href, multipleStatements: true });
    await admin.query(`CREATE DATABASE ${name}; USE ${name}; CREATE TABLE orders (id VARCHAR(64) PRIMARY KEY, amount INT NOT NULL)`);
    url.pathname = `/${name}`;
    return new ServiceDatabase(url.href, admin, name);
  }

  /** A connection of somebody else. */
  connect(): Promise<Connection> {
    return createConnection(this.url);
  }

  /** Ids of the committed orders, sorted. */
  async orders(): Promise<string[]> {
    const [rows] = await this.admin.query<RowDataPacket[]>('SELECT id FROM orders ORDER BY id');
    return rows.map(({ id }) => id as string);
  }

  async amountOf(id: string): Promise<number> {
    const [rows] = await this.admin.query<RowDataPacket[]>('SELECT amount FROM orders WHERE id = ?', [id]);
    return rows[0]?.amount as number;
  }

  /** Keys of the committed events, by position. */
  async events(): Promise<string[]> {
    const [rows] = await this.admin.query<RowDataPacket[]>('SELECT CAST(message_key AS CHAR) AS k FROM txbox_outbox ORDER BY position');
    return rows.map(({ k }) => k as string);
  }

  async clear(): Promise<void> {
    await this.admin.query('DELETE FROM orders; DELETE FROM txbox_outbox');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.admin.query(`DROP DATABASE ${this.#name}`);
    await this.admin.end();
  }
}

/** A service on one lane. */
export interface Service {
  readonly typeorm: Typeorm;
  readonly database: ServiceDatabase;
  readonly dataSource: typeorm1.DataSource;
  readonly orders: typeorm1.Repository<Order>;
  readonly outbox: TypeormOutbox;
  close(): Promise<void>;
}

/** What may be said of a service. */
interface ServiceOptions {
  readonly outbox?: Partial<TypeormOutboxOptions>;
  readonly dataSource?: object;
  /** What the service connects to instead. */
  readonly url?: (url: string) => Promise<string>;
  /** The URL of a replica. */
  readonly replica?: string;
}

/** A database with its service, the outbox tables installed. */
export async function startService(server: (typeof SERVERS)[number], typeorm: Typeorm, options: ServiceOptions = {}): Promise<Service> {
  const database = await ServiceDatabase.create(server);
  const url = (await options.url?.(database.url)) ?? database.url;
  const replication = options.replica && { url: undefined, replication: { master: { url }, slaves: [{ url: options.replica }] } };
  const dataSource = dataSourceOf(typeorm, url, { ...options.dataSource, ...replication });
  await dataSource.initialize();
  const outbox = createOutbox({ dataSource, ...options.outbox });
  await outbox.migrate();
  return {
    typeorm,
    database,
    dataSource,
    orders: dataSource.getRepository<Order>('Order'),
    outbox,
    close: async () => {
      await outbox.close();
      await dataSource.destroy();
      await database[Symbol.asyncDispose]();
    },
  };
}

export function dataSourceOf(typeorm: Typeorm, url: string, options: object = {}): typeorm1.DataSource {
  const Order = new typeorm.EntitySchema<Order>({
    name: 'Order',
    tableName: 'orders',
    columns: { id: { type: 'varchar', length: 64, primary: true }, amount: { type: 'int' } },
  });
  return new typeorm.DataSource({ type: 'mysql', url, entities: [Order], ...options });
}

/**
 * Resolves when the other session waits for a lock. Reads the monitor's text, because information_schema.innodb_trx is a
 * copy that the server does not renew for those who look at it often.
 */
export async function untilWaiting(admin: Connection, threadId: number | string): Promise<void> {
  for (;;) {
    const [[monitor]] = await admin.query<RowDataPacket[]>('SHOW ENGINE INNODB STATUS');
    const transactions = String(monitor?.['Status']).split('---TRANSACTION');
    if (transactions.some((text) => text.includes('LOCK WAIT') && text.includes(`thread id ${threadId},`))) return;
    await sleep(5);
  }
}
