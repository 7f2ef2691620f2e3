import type { OwnedSession, SqlSession } from '../sql/session.ts';
import type { TableNames } from '../sql/table-names.ts';

/** A key that is parked, as its row is made. */
export interface ParkedKey {
  /** See `parkedKeyId`. */
  readonly id: Buffer;
  readonly topic: string;
  /** `null` for what stands alone: no message waits behind it. */
  readonly key: Buffer | null;
  readonly attempts: number;
  readonly reason: string;
}

/**
 * Makes the row of a parked key, or finds it, and locks it until the transaction ends: parking, moving followers and
 * un-parking exclude each other by it (P-R11).
 */
export async function parkKey(session: SqlSession, tables: TableNames, scope: string, parked: ParkedKey): Promise<void> {
  const { dialect } = session;
  const { id, topic, key, attempts, reason } = parked;
  do {
    await session.execute(
      `${dialect.insertIgnore} INTO ${tables.parkedKey} (scope, id, topic, message_key, state, attempts, reason, since, epoch)
       VALUES (?, ?, ?, ?, 'dead', ?, ?, ${dialect.now}, 0)`,
      [scope, id, topic, key, attempts, reason],
    );
    // Somebody may have un-parked the row that was there.
  } while (!(await lockParkedKey(session, tables, scope, id)));
}

/** Locks the row of a parked key until the transaction ends; false when the key is not parked. */
export async function lockParkedKey(session: SqlSession, tables: TableNames, scope: string, id: Buffer): Promise<boolean> {
  const sql = `SELECT 1 FROM ${tables.parkedKey} WHERE scope = ? AND id = ?${session.dialect.forUpdate}`;
  return (await session.query(sql, [scope, id])).length > 0;
}

/** Un-parks the key, whose row this transaction has locked, unless a dead letter of it is left. */
export async function unparkIfEmpty(session: SqlSession, tables: TableNames, scope: string, id: Buffer): Promise<void> {
  const [left] = await session.query(`SELECT 1 FROM ${tables.deadLetter} WHERE scope = ? AND parked_key_id = ? LIMIT 1`, [scope, id]);
  if (!left) await session.execute(`DELETE FROM ${tables.parkedKey} WHERE scope = ? AND id = ?`, [scope, id]);
}

/** Runs `work` in a transaction; rolls back what it throws. */
export async function inTransaction<T>(session: OwnedSession, work: () => Promise<T>): Promise<T> {
  await session.begin();
  try {
    const result = await work();
    await session.commit();
    return result;
  } catch (error) {
    // Nothing is lost by a rollback that fails: the connection ends, and with it the transaction.
    await session.rollback().catch(() => session.destroy());
    throw error;
  }
}
