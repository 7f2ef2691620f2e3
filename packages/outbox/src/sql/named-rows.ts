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
 * Looks up each row by itself, in this order, and deletes it: never waits for a row that is not named. Rows may be of several
 * shards. `IN` would scan a small table, so would a join without the hint, and wait for rows that are not committed. SQLite has one writer and no row locks.
 */
export function deleteEach(dialect: Dialect, table: string, rows: readonly RowHead[]): Statement {
  if (dialect.name === 'sqlite') {
    return [`DELETE FROM ${table} WHERE ${isNamed(rows)}`, namesOf(rows)];
  }
  return [`DELETE o FROM ${named(rows)} STRAIGHT_JOIN ${table} o FORCE INDEX (PRIMARY) ON ${IS_NAMED}`, namesOf(rows)];
}

/** Those that are still there, locked: whoever else removes one has done so by now, or does so after this transaction. */
export async function presentOf(session: SqlSession, table: string, rows: readonly RowHead[]): Promise<PresentRow[]> {
  const [sql, values] = lockEach(session.dialect, table, rows);
  // By id: a number may have been issued again (P-T3).
  const bytesOf = new Map((await session.query(sql, values)).map(([id, bytes]) => [(id as Buffer).toString('latin1'), Number(bytes)]));
  return rows.flatMap(({ shard, position, id, topic, key }) => {
    const bytes = bytesOf.get(id.toString('latin1'));
    return bytes === undefined ? [] : [{ shard, position, id, topic, key, bytes }];
  });
}

/** Copies locked rows into another table, of each shard lowest position first. */
export async function copyPresent(
  session: SqlSession,
  table: string,
  rows: readonly PresentRow[],
  into: string,
  more: readonly CopiedColumn[],
): Promise<void> {
  for (const shard of new Set(rows.map((row) => row.shard))) {
    const positions = rows.flatMap((row) => (row.shard === shard ? [row.position] : []));
    await session.execute(
      `INSERT INTO ${into} (${more.map(([column]) => column).join(', ')}, ${MESSAGE_COLUMNS})
       SELECT ${more.map(([, expression]) => expression).join(', ')}, ${MESSAGE_COLUMNS}
       FROM ${table} WHERE shard = ? AND position IN (${positions.map(() => '?').join(', ')}) ORDER BY position`,
      [...more.flatMap(([, , value]) => (value === undefined ? [] : [value])), shard, ...positions],
    );
  }
}

export async function deletePresent(session: SqlSession, table: string, rows: readonly PresentRow[]): Promise<void> {
  if (rows.length > 0) await session.execute(...deleteEach(session.dialect, table, rows));
}

/** Locks those that are there until the transaction ends, in the same way. */
function lockEach(dialect: Dialect, table: string, rows: readonly RowHead[]): Statement {
  if (dialect.name === 'sqlite') return [`SELECT id, bytes FROM ${table} WHERE ${isNamed(rows)}`, namesOf(rows)];
  return [
    `SELECT o.id, o.bytes FROM ${named(rows)} STRAIGHT_JOIN ${table} o FORCE INDEX (PRIMARY) ON ${IS_NAMED} FOR UPDATE`,
    namesOf(rows),
  ];
}

const IS_NAMED = 'o.shard = v.shard AND o.position = v.position AND o.id = v.id';

function named(rows: readonly RowHead[]): string {
  return `(${rows.map((_, index) => (index === 0 ? 'SELECT ? AS shard, ? AS position, ? AS id' : 'SELECT ?, ?, ?')).join(' UNION ALL ')}) v`;
}

/** The same where a join cannot delete. */
function isNamed(rows: readonly RowHead[]): string {
  return `(shard, position, id) IN (VALUES ${rows.map(() => '(?, ?, ?)').join(', ')})`;
}

function namesOf(rows: readonly RowHead[]): SqlValue[] {
  return rows.flatMap(({ shard, position, id }) => [shard, position, id]);
}
