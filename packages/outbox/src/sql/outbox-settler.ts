import type { Database } from '@txbox/core/spi';
import type { OutboxSettler, RowHead } from '../outbox-store.ts';
import { deleteEach, type Statement, shardOfAll } from './named-rows.ts';

/** Rows of one statement: bounds its locks and its undo. */
const CHUNK = 1_000;

/** Removing acknowledged rows by identity (P-R7). */
export class SqlOutboxSettler implements OutboxSettler {
  readonly #database: Database;
  readonly #table: string;

  constructor(database: Database, table: string) {
    this.#database = database;
    this.#table = table;
  }

  async settle(rows: readonly RowHead[], form: 'range' | 'each'): Promise<number> {
    if (rows.length === 0) return 0;
    const { dialect } = this.#database;
    const range = form === 'range' && dialect.name !== 'sqlite';
    const session = await this.#database.session();
    try {
      let deleted = 0;
      for (let from = 0; from < rows.length; from += CHUNK) {
        const chunk = rows.slice(from, from + CHUNK);
        const [sql, values] = range ? deleteRange(this.#table, chunk) : deleteEach(dialect, this.#table, chunk);
        deleted += (await session.execute(sql, values)).affectedRows;
      }
      return deleted;
    } finally {
      await session.release();
    }
  }
}

/** Fast; may wait for an uncommitted row inside the span. The span alone would delete rows that committed late and were never read. */
function deleteRange(table: string, rows: readonly RowHead[]): Statement {
  const positions = rows.map((row) => row.position);
  const low = Math.min(...positions);
  const high = Math.max(...positions);
  return [
    `DELETE FROM ${table} WHERE shard = ? AND position BETWEEN ? AND ? AND id IN (${rows.map(() => '?').join(', ')})`,
    [shardOfAll(rows), low, high, ...rows.map((row) => row.id)],
  ];
}
