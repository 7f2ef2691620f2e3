import { bucketOf, type Dialect, type EncodedMessage, type SqlSession, type SqlValue, TxboxError, tableNames } from '@txbox/core/spi';
import { type OutboxWriter, SHARDS } from '../outbox-store.ts';

/**
 * Bounds of one statement. They keep an INSERT short from its first position to its last row, which is what the low
 * mark assumes (P-R2), and under `max_allowed_packet`, whose default is 4 MiB on MySQL 5.7.
 */
const MAX_ROWS = 5_000;
const DEFAULT_STATEMENT_BYTES = 4 * 1024 * 1024;
const MAX_STATEMENT_BYTES = 16 * 1024 * 1024;
/** The text before the first row, at most. */
const STATEMENT_HEAD = 400;
/** Placeholders of a row. */
const COLUMNS = 11;

/** The shard of a message: of its key, or of its id when it has none (P-T1). */
export function shardOf(message: { readonly key: Buffer | null; readonly id: Buffer }): number {
  return bucketOf(message.key ?? message.id, SHARDS);
}

/** The writing side for the tables behind a prefix. */
export function outboxWriter(tablePrefix?: string): OutboxWriter {
  return new SqlOutboxWriter(tableNames(tablePrefix).outbox);
}

class SqlOutboxWriter implements OutboxWriter {
  readonly #table: string;

  constructor(table: string) {
    this.#table = table;
  }

  async insert(session: SqlSession, messages: readonly EncodedMessage[], maxStatementBytes = 0): Promise<void> {
    for (const [sql, values] of this.#statements(session.dialect, messages, maxStatementBytes)) await session.execute(sql, values);
  }

  insertNow(session: SqlSession, message: EncodedMessage): void {
    for (const [sql, values] of this.#statements(session.dialect, [message])) session.executeNow?.(sql, values);
  }

  *#statements(
    dialect: Dialect,
    messages: readonly EncodedMessage[],
    maxStatementBytes = 0,
  ): Generator<readonly [sql: string, values: SqlValue[]]> {
    const packet = maxStatementBytes || dialect.maxStatementBytes;
    const maxBytes = Math.min(packet || DEFAULT_STATEMENT_BYTES, MAX_STATEMENT_BYTES) - STATEMENT_HEAD;
    const maxRows = Math.min(MAX_ROWS, Math.floor(dialect.maxPlaceholders / COLUMNS));
    const row = `(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ${dialect.now})`;
    const insert = `INSERT INTO ${this.#table} (shard, id, topic, message_key, aggregate_type, aggregate_id, type, sequence, headers, payload, bytes, created_at) VALUES `;
    let values: SqlValue[] = [];
    let rows = 0;
    let bytes = 0;
    for (const message of messages) {
      const size = (message.key?.length ?? 0) + message.headers.length + message.payload.length;
      const literal = literalBytes(message, size);
      if (packet > 0 && literal + STATEMENT_HEAD > packet) throw largerThanPacket(message, literal + STATEMENT_HEAD, packet);
      // One message above the bound goes alone.
      if (rows > 0 && (rows >= maxRows || bytes + literal > maxBytes)) {
        yield [insert + Array(rows).fill(row).join(', '), values];
        values = [];
        rows = 0;
        bytes = 0;
      }
      values.push(
        shardOf(message),
        message.id,
        message.topic,
        message.key,
        message.aggregateType,
        message.aggregateId,
        message.type,
        message.sequence,
        message.headers,
        message.payload,
        size,
      );
      rows += 1;
      bytes += literal;
    }
    if (rows > 0) yield [insert + Array(rows).fill(row).join(', '), values];
  }
}

/** Most bytes of a row in a statement's text: binaries, and text that is not plain, as hex literals. */
function literalBytes(message: EncodedMessage, size: number): number {
  const text = message.topic.length + message.type.length + (message.aggregateType?.length ?? 0) + (message.aggregateId?.length ?? 0);
  return 200 + 2 * size + 6 * text;
}

/** The server would close the connection without a word. */
function largerThanPacket({ type, id }: EncodedMessage, bytes: number, packet: number): TxboxError {
  return new TxboxError(
    'MESSAGE_TOO_LARGE',
    `Event ${type} needs a statement of ${bytes} bytes, since bytes are written as hexadecimal digits, and the server takes ${packet} (max_allowed_packet), ` +
      'so the transaction was rolled back. Raise max_allowed_packet to more than twice the largest event, or send a reference instead of the data.',
    { details: { type, id: id.toString('hex'), bytes, maxAllowedPacket: packet } },
  );
}
