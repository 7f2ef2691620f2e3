import {
  type Database,
  gapMarkerHeaders,
  inTransaction,
  lockParkedKey,
  newMessageIdBytes,
  type OwnedSession,
  parkedKeyId,
  parkKey,
  type TableNames,
  unparkIfEmpty,
} from '@txbox/core/spi';
import { type OutboxParker, type ParkingFailure, RELAY_SCOPE, type RowHead } from '../outbox-store.ts';
import { copyPresent, deletePresent, type PresentRow, presentOf } from './named-rows.ts';

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
        const chunk = await presentOf(session, this.#tables.outbox, rows.slice(from, from + CHUNK));
        await this.#move(session, id, chunk);
        await deletePresent(session, this.#tables.outbox, chunk);
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
    const present = await presentOf(session, this.#tables.outbox, [row]);
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
    await deletePresent(session, this.#tables.outbox, present);
    return found?.[0] === null || found?.[0] === undefined ? undefined : Number(found[0]);
  }

  #move(session: OwnedSession, id: Buffer, rows: readonly PresentRow[]): Promise<void> {
    const { outbox, deadLetter } = this.#tables;
    return copyPresent(session, outbox, rows, deadLetter, [
      ['scope', '?', RELAY_SCOPE],
      ['parked_key_id', '?', id],
      ['message_id', 'id'],
      ['original_position', 'position'],
      ['attempts', '0'],
      ['created_at', session.dialect.now],
    ]);
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
