import type { Dialect, SqlSession, SqlValue } from '@txbox/core/spi';
import type { RowHead } from '../outbox-store.ts';

/** A row that this transaction has locked. */
export interface PresentRow extends RowHead {
  readonly bytes: number;
}

/** What every table that keeps messages has of them. */
export const MESSAGE_COLUMNS = 'topic, message_key, type, aggregate_type, aggregate_id, sequence, headers, payload, bytes';

/** A column of the other table, what of a row or of ours stands there, and the value of its placeholder if it has one. */
export type CopiedColumn = readonly [column: string, expression: string, value?: SqlValue];

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

/** Those that are still there, locked: whoever else removes one has done so by now, or does so after this transaction. */
export async function presentOf(session: SqlSession, table: string, rows: readonly RowHead[]): Promise<PresentRow[]> {
  const [sql, values] = lockEach(session.dialect, table, rows);
  const found = new Map((await session.query(sql, values)).map(([position, id, bytes]) => [Number(position), { id, bytes }]));
  return rows.flatMap(({ shard, position, id, topic, key }) => {
    const present = found.get(position);
    // By id too: a number may have been issued again (P-T3).
    return (present?.id as Buffer | undefined)?.equals(id) ? [{ shard, position, id, topic, key, bytes: Number(present?.bytes) }] : [];
  });
}

/** Copies locked rows into another table, lowest position first. */
export async function copyPresent(
  session: SqlSession,
  table: string,
  rows: readonly PresentRow[],
  into: string,
  more: readonly CopiedColumn[],
): Promise<void> {
  if (rows.length === 0) return;
  await session.execute(
    `INSERT INTO ${into} (${more.map(([column]) => column).join(', ')}, ${MESSAGE_COLUMNS})
     SELECT ${more.map(([, expression]) => expression).join(', ')}, ${MESSAGE_COLUMNS}
     FROM ${table} WHERE shard = ? AND position IN (${rows.map(() => '?').join(', ')}) ORDER BY position`,
    [...more.flatMap(([, , value]) => (value === undefined ? [] : [value])), shardOfAll(rows), ...rows.map((row) => row.position)],
  );
}

export async function deletePresent(session: SqlSession, table: string, rows: readonly PresentRow[]): Promise<void> {
  if (rows.length > 0) await session.execute(...deleteEach(session.dialect, table, rows));
}

/** Locks those that are there until the transaction ends, in the same way. */
function lockEach(dialect: Dialect, table: string, rows: readonly RowHead[]): Statement {
  if (dialect.name === 'sqlite') {
    return [
      `SELECT position, id, bytes FROM ${table} WHERE shard = ? AND position IN (${rows.map(() => '?').join(', ')})`,
      [shardOfAll(rows), ...rows.map((row) => row.position)],
    ];
  }
  return [
    `SELECT o.position, o.id, o.bytes FROM ${named(rows)} STRAIGHT_JOIN ${table} o ON o.shard = ? AND o.position = v.position AND o.id = v.id FOR UPDATE`,
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
