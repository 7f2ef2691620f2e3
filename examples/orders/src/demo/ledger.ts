import Database from 'better-sqlite3';
import { createConnection } from 'mysql2/promise';
import type { Settings } from '../settings.ts';

/** One order as the order service committed it, or one effect as the billing service did. */
export interface Entry {
  readonly orderId: string;
  readonly customerId: string;
  readonly version: number;
}

/**
 * Independent eyes on the two databases: read-only connections of their own, plain SQL, nothing of the framework.
 * Counts serve progress and the timing of kills, the lists serve the audit.
 */
export interface Ledger {
  committed(): Promise<Entry[]>;
  /** In the order in which the effects were committed. */
  applied(): Promise<Entry[]>;
  counts(): Promise<{ committed: number; pending: number; applied: number }>;
  close(): Promise<void>;
}

type Query = (sql: string) => Promise<Record<string, unknown>[]>;

const COMMITTED = 'SELECT id AS orderId, customerId, customerVersion AS version FROM orders';
const APPLIED = 'SELECT orderId, customerId, customerVersion AS version FROM invoices ORDER BY seq';

/** Opens the ledger of a stack. */
export async function openLedger(settings: Settings): Promise<Ledger> {
  const orders = await open(settings.ordersDatabase);
  const billing = await open(settings.billingDatabase);
  const count = async (query: Query, table: string): Promise<number> =>
    Number((await query(`SELECT COUNT(*) AS n FROM ${table}`))[0]?.['n']);
  return {
    committed: async () => (await orders.query(COMMITTED)) as unknown as Entry[],
    applied: async () => (await billing.query(APPLIED)) as unknown as Entry[],
    counts: async () => ({
      committed: await count(orders.query, 'orders'),
      pending: await count(orders.query, 'txbox_outbox'),
      applied: await count(billing.query, 'invoices'),
    }),
    close: async () => {
      await orders.close();
      await billing.close();
    },
  };
}

async function open(url: string): Promise<{ query: Query; close: () => Promise<void> }> {
  if (url.startsWith('sqlite:')) {
    const database = new Database(url.slice('sqlite:'.length), { readonly: true, timeout: 5_000 });
    return {
      query: async (sql) => database.prepare(sql).all() as Record<string, unknown>[],
      close: async () => {
        database.close();
      },
    };
  }
  const connection = await createConnection(url.replace(/^mariadb:/, 'mysql:'));
  return {
    query: async (sql) => (await connection.query(sql))[0] as Record<string, unknown>[],
    close: () => connection.end(),
  };
}
