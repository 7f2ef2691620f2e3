import { createOutbox, type SqliteOutbox } from '@txbox/outbox/sqlite';
import Database from 'better-sqlite3';

/** A database in memory with orders and an outbox. */
export class Shop {
  readonly database: Database.Database = new Database(':memory:').exec('CREATE TABLE orders (id TEXT)');
  readonly outbox: SqliteOutbox;

  private constructor(name?: string) {
    this.outbox = createOutbox({ database: this.database, ...(name !== undefined && { name }) });
  }

  static async open(name?: string): Promise<Shop> {
    const shop = new Shop(name);
    await shop.outbox.migrate();
    return shop;
  }

  readonly insert = (id: string): unknown => this.database.prepare('INSERT INTO orders VALUES (?)').run(id);

  orders(): unknown[] {
    return this.database.prepare('SELECT id FROM orders').pluck().all();
  }

  /** Keys of the events. */
  events(): unknown[] {
    return this.database.prepare('SELECT CAST(message_key AS TEXT) FROM txbox_outbox ORDER BY position').pluck().all();
  }

  clear(): void {
    this.database.exec('DELETE FROM orders; DELETE FROM txbox_outbox');
  }

  async close(): Promise<void> {
    await this.outbox.close();
    this.database.close();
  }
}
