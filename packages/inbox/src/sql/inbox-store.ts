import { type SqlErrorKind, type SqlSession, tableNames } from '@txbox/core/spi';
import type { InboxStore, RecordOutcome } from '../inbox-store.ts';

const REFUSALS: Readonly<Partial<Record<SqlErrorKind, RecordOutcome>>> = {
  duplicate: 'duplicate',
  'lock-timeout': 'in-progress',
  deadlock: 'deadlock',
};

/** The inbox of a MySQL, MariaDB or SQLite database. */
export function inboxStore(options: { readonly tablePrefix?: string | undefined } = {}): InboxStore {
  return new SqlInboxStore(tableNames(options.tablePrefix).inbox);
}

class SqlInboxStore implements InboxStore {
  readonly #table: string;

  constructor(table: string) {
    this.#table = table;
  }

  async record(session: SqlSession, group: string, ids: readonly Buffer[]): Promise<RecordOutcome> {
    if (ids.length === 0) return 'recorded';
    const { dialect } = session;
    // Bytes, because SQLite gives a VARBINARY column numeric affinity and would make a number of '42'.
    const consumer = Buffer.from(group);
    // In one order everywhere: two consumers that record the same ids wait for each other instead of deadlocking.
    const values = ids.toSorted(Buffer.compare).flatMap((id) => [consumer, id]);
    const rows = Array(ids.length).fill(`(?, ?, ${dialect.now})`).join(', ');
    try {
      // P-I2: a plain INSERT; IGNORE and ON DUPLICATE KEY UPDATE hide what must be known.
      await session.execute(`INSERT INTO ${this.#table} (consumer, message_id, processed_at) VALUES ${rows}`, values);
      return 'recorded';
    } catch (error) {
      const refusal = REFUSALS[dialect.classify(error)];
      if (refusal === undefined) throw error;
      return refusal;
    }
  }

  async known(session: SqlSession, group: string, ids: readonly Buffer[]): Promise<Buffer[]> {
    if (ids.length === 0) return [];
    const rows = await session.query(
      `SELECT message_id FROM ${this.#table} WHERE consumer = ? AND message_id IN (${Array(ids.length).fill('?').join(', ')})`,
      [Buffer.from(group), ...ids],
    );
    return rows.map(([id]) => id as Buffer);
  }

  async forget(session: SqlSession, group: string, ids: readonly Buffer[]): Promise<void> {
    if (ids.length === 0) return;
    const named = Array(ids.length).fill('?').join(', ');
    await session.execute(`DELETE FROM ${this.#table} WHERE consumer = ? AND message_id IN (${named})`, [Buffer.from(group), ...ids]);
  }
}
