import type { Connection } from 'mysql2/promise';

/** The tables of a service whose usual transaction locks an account, charges it, and inserts an order with one line. */
const TABLES = [
  'CREATE TABLE account (id INT PRIMARY KEY, balance INT NOT NULL, changed_at DATETIME(3) NOT NULL)',
  'CREATE TABLE purchase (id BIGINT PRIMARY KEY AUTO_INCREMENT, account_id INT NOT NULL, amount INT NOT NULL, note VARCHAR(100) NOT NULL, KEY (account_id))',
  'CREATE TABLE purchase_line (id BIGINT PRIMARY KEY AUTO_INCREMENT, purchase_id BIGINT NOT NULL, sku VARCHAR(32) NOT NULL, quantity INT NOT NULL, KEY (purchase_id))',
  // What services without a framework have.
  'CREATE TABLE own_outbox (id CHAR(36) PRIMARY KEY, topic VARCHAR(249) NOT NULL, message_key VARCHAR(255) NOT NULL, type VARCHAR(255) NOT NULL, headers LONGTEXT NOT NULL, payload LONGTEXT NOT NULL, created_at DATETIME(3) NOT NULL)',
] as const;

const ACCOUNTS = 1_000;

/** What one purchase is about. */
export interface Purchase {
  readonly account: number;
  readonly amount: number;
  readonly note: string;
  readonly sku: string;
  readonly quantity: number;
}

export async function createTables(connection: Connection): Promise<void> {
  for (const table of TABLES) await connection.query(table);
  const accounts = Array.from({ length: ACCOUNTS }, (_, id) => [id, 1_000_000, new Date()]);
  await connection.query('INSERT INTO account VALUES ?', [accounts]);
}

export function purchaseOf(n: number): Purchase {
  return { account: n % ACCOUNTS, amount: 1 + (n % 90), note: 'leave it at the door', sku: `sku-${n % 5_000}`, quantity: 1 + (n % 3) };
}

/** The statements by hand: locking SELECT, UPDATE, two INSERTs. */
export async function purchaseByHand(
  connection: Pick<Connection, 'query'>,
  { account, amount, note, sku, quantity }: Purchase,
): Promise<void> {
  const [rows] = await connection.query('SELECT id, balance, changed_at FROM account WHERE id = ? FOR UPDATE', [account]);
  const [{ balance }] = rows as [{ balance: number }];
  await connection.query('UPDATE account SET balance = ?, changed_at = ? WHERE id = ?', [balance - amount, new Date(), account]);
  const [{ insertId }] = (await connection.query('INSERT INTO purchase (account_id, amount, note) VALUES (?, ?, ?)', [
    account,
    amount,
    note,
  ])) as unknown as [{ insertId: number }];
  await connection.query('INSERT INTO purchase_line (purchase_id, sku, quantity) VALUES (?, ?, ?)', [insertId, sku, quantity]);
}
