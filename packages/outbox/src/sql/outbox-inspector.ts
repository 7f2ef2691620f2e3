import type { Database, SqlRow, SqlValue } from '@txbox/core/spi';
import type { OutboxBacklog, OutboxInspector } from '../outbox-store.ts';

/** What is waiting, by a scan of the table: for status and metrics, not for every page. */
export class SqlOutboxInspector implements OutboxInspector {
  readonly #database: Database;
  readonly #table: string;

  constructor(database: Database, table: string) {
    this.#database = database;
    this.#table = table;
  }

  async backlog(): Promise<OutboxBacklog> {
    const { dialect } = this.#database;
    const [row] = await this.#query(
      `SELECT COUNT(*), COALESCE(SUM(bytes), 0), COALESCE(${dialect.msSince('MIN(created_at)')}, 0) FROM ${this.#table}`,
    );
    return { rows: Number(row?.[0]), bytes: Number(row?.[1]), oldestAgeMs: Math.max(0, Math.round(Number(row?.[2]))) };
  }

  async isSettledUpTo(position: number): Promise<boolean> {
    return (await this.#query(`SELECT 1 FROM ${this.#table} WHERE position <= ? LIMIT 1`, [position])).length === 0;
  }

  async #query(sql: string, values: readonly SqlValue[] = []): Promise<SqlRow[]> {
    const session = await this.#database.session();
    try {
      return await session.query(sql, values);
    } finally {
      await session.release();
    }
  }
}
