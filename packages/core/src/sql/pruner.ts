import type { SqlSession } from './session.ts';

/** What is pruned: a quoted table, the column that names a row, and the one that says how old it is, which leads an index. */
export interface PrunedTable {
  readonly table: string;
  readonly key: string;
  readonly time: string;
}

/**
 * Deletes at most `limit` rows that are older than `ageMs` by the database's clock, oldest first; returns how many it found.
 * As many as `limit`: there may be more. By their keys, so that nobody who inserts one waits.
 */
export async function pruneOlder(session: SqlSession, { table, key, time }: PrunedTable, ageMs: number, limit: number): Promise<number> {
  const isOld = `${time} < ${session.dialect.nowPlusMs}`;
  const old = await session.query(`SELECT ${key} FROM ${table} WHERE ${isOld} ORDER BY ${time} LIMIT ${limit}`, [-ageMs]);
  if (old.length === 0) return 0;
  const which = Array(old.length).fill('?').join(', ');
  // By age too: a key may have been given again meanwhile.
  await session.execute(`DELETE FROM ${table} WHERE ${key} IN (${which}) AND ${isOld}`, [
    ...old.map(([name]) => name as Buffer | number),
    -ageMs,
  ]);
  return old.length;
}
