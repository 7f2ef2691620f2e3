import type { Database, SqlValue } from '@txbox/core/spi';
import type { OutboxSettler, RowHead } from '../outbox-store.ts';

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
    const text = this.#database.dialect.name === 'sqlite' ? deleteOnSqlite : form === 'range' ? deleteRange : deleteEach;
    const session = await this.#database.session();
    try {
      let deleted = 0;
      for (let from = 0; from < rows.length; from += CHUNK) {
        const [sql, values] = text(this.#table, rows.slice(from, from + CHUNK));
        deleted += (await session.execute(sql, values)).affectedRows;
      }
      return deleted;
    } finally {
      await session.release();
    }
  }
}

type Statement = readonly [sql: string, values: SqlValue[]];

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

/** Looks up each row by itself, in this order; never waits for a row that is not named. */
function deleteEach(table: string, rows: readonly RowHead[]): Statement {
  const named = rows.map((_, index) => (index === 0 ? 'SELECT ? AS position, ? AS id' : 'SELECT ?, ?')).join(' UNION ALL ');
  return [
    `DELETE o FROM (${named}) v STRAIGHT_JOIN ${table} o ON o.shard = ? AND o.position = v.position AND o.id = v.id`,
    [...rows.flatMap((row) => [row.position, row.id]), shardOfAll(rows)],
  ];
}

/** SQLite has one writer and no row locks: one form is enough. */
function deleteOnSqlite(table: string, rows: readonly RowHead[]): Statement {
  return [
    `DELETE FROM ${table} WHERE shard = ? AND (position, id) IN (VALUES ${rows.map(() => '(?, ?)').join(', ')})`,
    [shardOfAll(rows), ...rows.flatMap((row) => [row.position, row.id])],
  ];
}

function shardOfAll(rows: readonly RowHead[]): number {
  const shard = rows[0]?.shard ?? 0;
  if (rows.some((row) => row.shard !== shard)) throw new RangeError('Rows that are settled together belong to one shard.');
  return shard;
}
