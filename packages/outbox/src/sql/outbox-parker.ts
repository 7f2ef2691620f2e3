import {
  type Database,
  gapMarkerHeaders,
  inTransaction,
  lockParkedKey,
  newMessageIdBytes,
  type OwnedSession,
  parkedKeyId,
  parkKey,
  type SqlValue,
  type TableNames,
  unparkIfEmpty,
} from '@txbox/core/spi';
import { type OutboxParker, type ParkingFailure, RELAY_SCOPE, type RowHead } from '../outbox-store.ts';
import { deleteEach, lockEach, shardOfAll } from './named-rows.ts';

/** Rows of one statement when followers are moved: bounds its locks and its undo. */
const CHUNK = 500;

/** Setting messages of the outbox aside as dead letters (P-R9, P-R11). */
export class SqlOutboxParker implements OutboxParker {
  readonly #database: Database;
  readonly #tables: TableNames;

  constructor(database: Database, tables: TableNames) {
    this.#database = database;
    this.#tables = tables;
  }

  park(row: RowHead, failure: ParkingFailure): Promise<void> {
    return this.#transaction(async (session) => {
      const id = parkedKeyId(row.topic, row.key, row.id);
      await this.#parkRow(session, id, row.key, row, failure);
    });
  }

  skip(row: RowHead, failure: ParkingFailure): Promise<void> {
    return this.#transaction(async (session) => {
      const sequence = await this.#parkRow(session, row.id, null, row, failure);
      if (sequence !== undefined) await this.#leaveMarker(session, row, sequence);
    });
  }

  moveFollowers(rows: readonly RowHead[]): Promise<boolean> {
    const [first] = rows;
    if (!first) return Promise.resolve(true);
    return this.#transaction(async (session) => {
      const id = parkedKeyId(first.topic, first.key, first.id);
      if (!(await lockParkedKey(session, this.#tables, RELAY_SCOPE, id))) return false;
      for (let from = 0; from < rows.length; from += CHUNK) {
        const chunk = await this.#present(session, rows.slice(from, from + CHUNK));
        await this.#move(session, id, chunk);
        await this.#delete(session, chunk);
      }
      return true;
    });
  }

  /** Moves one row behind the dead letters of a parked key; its number, if it had one and was there. */
  async #parkRow(
    session: OwnedSession,
    id: Buffer,
    key: Buffer | null,
    row: RowHead,
    failure: ParkingFailure,
  ): Promise<number | undefined> {
    const { reason, attempts, partition, mayBePublished } = failure;
    await parkKey(session, this.#tables, RELAY_SCOPE, { id, topic: row.topic, key, attempts, reason });
    const present = await this.#present(session, [row]);
    if (present.length === 0) {
      // A key that has no dead letter was not parked before, and is not now.
      await unparkIfEmpty(session, this.#tables, RELAY_SCOPE, id);
      return undefined;
    }
    await this.#move(session, id, present);
    const { now } = session.dialect;
    await session.execute(
      `UPDATE ${this.#tables.deadLetter} SET attempts = ?, reason = ?, original_partition = ?, original_published_at = ${mayBePublished ? now : 'NULL'}
       WHERE scope = ? AND message_id = ?`,
      [attempts, reason, partition, RELAY_SCOPE, row.id],
    );
    const [found] = await session.query(`SELECT sequence FROM ${this.#tables.outbox} WHERE shard = ? AND position = ?`, [
      row.shard,
      row.position,
    ]);
    await this.#delete(session, present);
    return found?.[0] === null || found?.[0] === undefined ? undefined : Number(found[0]);
  }

  /** Those that are still there, locked: whoever else removes one has done so by now, or does so after this transaction. */
  async #present(session: OwnedSession, rows: readonly RowHead[]): Promise<RowHead[]> {
    const [sql, values] = lockEach(session.dialect, this.#tables.outbox, rows);
    const found = await session.query(sql, values);
    const ids = new Map(found.map(([position, id]) => [Number(position), id as Buffer]));
    // By id too: a number may have been issued again (P-T3).
    return rows.filter((row) => ids.get(row.position)?.equals(row.id) === true);
  }

  async #move(session: OwnedSession, id: Buffer, rows: readonly RowHead[]): Promise<void> {
    if (rows.length === 0) return;
    const { outbox, deadLetter } = this.#tables;
    const values: SqlValue[] = [RELAY_SCOPE, id, shardOfAll(rows), ...rows.map((row) => row.position)];
    await session.execute(
      `INSERT INTO ${deadLetter} (scope, parked_key_id, message_id, topic, message_key, type, aggregate_type, aggregate_id, sequence,
         headers, payload, bytes, original_position, attempts, created_at)
       SELECT ?, ?, id, topic, message_key, type, aggregate_type, aggregate_id, sequence, headers, payload, bytes, position, 0, ${session.dialect.now}
       FROM ${outbox} WHERE shard = ? AND position IN (${marks(rows)}) ORDER BY position`,
      values,
    );
  }

  async #delete(session: OwnedSession, rows: readonly RowHead[]): Promise<void> {
    if (rows.length === 0) return;
    const [sql, values] = deleteEach(session.dialect, this.#tables.outbox, rows);
    await session.execute(sql, values);
  }

  /** At the same position, so that it is read in the message's turn. */
  async #leaveMarker(session: OwnedSession, row: RowHead, sequence: number): Promise<void> {
    const headers = gapMarkerHeaders(sequence);
    const { now } = session.dialect;
    await session.execute(
      `INSERT INTO ${this.#tables.outbox} (shard, position, id, topic, message_key, type, headers, payload, bytes, created_at)
       VALUES (?, ?, ?, ?, ?, '', ?, ?, ?, ${now})`,
      [
        ...[row.shard, row.position, newMessageIdBytes(), row.topic, row.key],
        ...[headers, Buffer.alloc(0), headers.length + (row.key?.length ?? 0)],
      ],
    );
  }

  async #transaction<T>(work: (session: OwnedSession) => Promise<T>): Promise<T> {
    const session = await this.#database.session();
    try {
      return await inTransaction(session, () => work(session));
    } finally {
      await session.release();
    }
  }
}

function marks(rows: readonly RowHead[]): string {
  return rows.map(() => '?').join(', ');
}
