import type { Dialect, SqlValue } from '@txbox/core/spi';
import type { RowHead } from '../outbox-store.ts';

/** A statement and the values of its placeholders. */
export type Statement = readonly [sql: string, values: SqlValue[]];

/**
 * Looks up each row by itself, in this order, and deletes it: never waits for a row that is not named. `IN` would scan a small
 * table, and wait for rows that are not committed. SQLite has one writer and no row locks.
 */
export function deleteEach(dialect: Dialect, table: string, rows: readonly RowHead[]): Statement {
  if (dialect.name === 'sqlite') {
    return [
      `DELETE FROM ${table} WHERE shard = ? AND (position, id) IN (VALUES ${rows.map(() => '(?, ?)').join(', ')})`,
      [shardOfAll(rows), ...rows.flatMap((row) => [row.position, row.id])],
    ];
  }
  return [
    `DELETE o FROM ${named(rows)} STRAIGHT_JOIN ${table} o ON o.shard = ? AND o.position = v.position AND o.id = v.id`,
    [...rows.flatMap((row) => [row.position, row.id]), shardOfAll(rows)],
  ];
}

/** Locks those that are there until the transaction ends, in the same way: their positions and ids. */
export function lockEach(dialect: Dialect, table: string, rows: readonly RowHead[]): Statement {
  if (dialect.name === 'sqlite') {
    return [
      `SELECT position, id FROM ${table} WHERE shard = ? AND position IN (${rows.map(() => '?').join(', ')})`,
      [shardOfAll(rows), ...rows.map((row) => row.position)],
    ];
  }
  return [
    `SELECT o.position, o.id FROM ${named(rows)} STRAIGHT_JOIN ${table} o ON o.shard = ? AND o.position = v.position AND o.id = v.id FOR UPDATE`,
    [...rows.flatMap((row) => [row.position, row.id]), shardOfAll(rows)],
  ];
}

/** The shard of rows that are named together. Throws `RangeError` when there are several. */
export function shardOfAll(rows: readonly RowHead[]): number {
  const shard = rows[0]?.shard ?? 0;
  if (rows.some((row) => row.shard !== shard)) throw new RangeError('Rows that are named together belong to one shard.');
  return shard;
}

function named(rows: readonly RowHead[]): string {
  return `(${rows.map((_, index) => (index === 0 ? 'SELECT ? AS position, ? AS id' : 'SELECT ?, ?')).join(' UNION ALL ')}) v`;
}
