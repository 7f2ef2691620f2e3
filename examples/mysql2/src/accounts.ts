import type { Mysql2Outbox } from '@txbox/outbox/mysql2';
import type { Pool, ResultSetHeader, RowDataPacket } from 'mysql2/promise';
import { Booked } from './events.ts';

/** The request makes no sense as things stand; all of its transaction is taken back. */
export class Refused extends Error {}

const LIMIT_CENTS = 10_000_00;

/** Accounts in a table, without an ORM. */
export class Accounts {
  constructor(
    private readonly pool: Pool,
    private readonly outbox: Mysql2Outbox,
  ) {}

  async createTable(): Promise<void> {
    await this.pool.query('CREATE TABLE IF NOT EXISTS accounts (id VARCHAR(64) PRIMARY KEY, cents BIGINT NOT NULL)');
  }

  /** In a transaction of the outbox: plain queries of the pool join it. A deadlock is tried again. */
  async transfer(from: string, to: string, cents: number): Promise<void> {
    await this.outbox.transaction({ retry: { maxAttempts: 3 } }, async (tx) => {
      await this.book(from, -cents);
      tx.add(Booked, { account: from, cents: -cents });
      await this.book(to, cents);
      tx.add(Booked, { account: to, cents });
    });
  }

  /** In a transaction by hand, as code that was there before the outbox has it: the event joins by `addTo`. */
  async deposit(account: string, cents: number): Promise<void> {
    const connection = await this.pool.getConnection();
    try {
      await connection.beginTransaction();
      await connection.execute('INSERT INTO accounts VALUES (?, ?) ON DUPLICATE KEY UPDATE cents = cents + VALUES(cents)', [
        account,
        cents,
      ]);
      await this.outbox.addTo(connection, Booked, { account, cents }); // after the row is locked, so that events keep its order
      const [[row]] = await connection.execute<RowDataPacket[]>('SELECT cents FROM accounts WHERE id = ?', [account]);
      if (row?.['cents'] > LIMIT_CENTS) throw new Refused(`${account} may hold ${LIMIT_CENTS} cents`); // takes back the event too
      await connection.commit();
    } catch (error) {
      await connection.rollback();
      throw error;
    } finally {
      connection.release();
    }
  }

  private async book(account: string, cents: number): Promise<void> {
    const [{ affectedRows }] = await this.pool.execute<ResultSetHeader>(
      'UPDATE accounts SET cents = cents + ? WHERE id = ? AND cents + ? >= 0',
      [cents, account, cents],
    );
    if (affectedRows === 0) throw new Refused(`${account} does not exist or has too little`);
  }
}
