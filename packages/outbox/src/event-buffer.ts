import {
  type AddOptions,
  checkSchema,
  coreComponent,
  type EncodedMessage,
  type EventDefinition,
  type EventSink,
  encodeMessage,
  isTxboxError,
  type MessageId,
  messageIdFromBytes,
  type SqlSession,
  TxboxError,
  type UnitOfWork,
} from '@txbox/core/spi';
import { outboxComponent } from './migrations/outbox-component.ts';
import type { OutboxWriter } from './outbox-store.ts';
import { shardOf } from './sql/outbox-writer.ts';

/** What the buffer works with. */
export interface BufferPlan {
  /** Of the outbox. */
  readonly name: string;
  readonly writer: OutboxWriter;
  readonly tablePrefix: string;
  /** Told after COMMIT which shards have something new; never awaited. */
  readonly wake: (shards: readonly number[]) => void;
}

/** The events of one unit. */
interface Buffer {
  readonly messages: EncodedMessage[];
  /** How many of them are in the table already, from the first on. */
  written: number;
}

/**
 * Holds the events of each open unit until its end, then inserts them as the last thing before COMMIT (P-W1, P-W2), so
 * that their positions follow the lock of the aggregate that the unit changed. On SQLite, where the unit has had the only
 * write lock since its beginning, they are inserted as they are added: whatever is undone there takes its events along,
 * for nobody can watch what users do with their database object (P-W9).
 */
export class EventBuffer implements EventSink {
  readonly name: string;
  readonly tablePrefix: string;
  readonly #plan: BufferPlan;
  readonly #buffers = new WeakMap<UnitOfWork, Buffer>();
  #schemaChecked = false;
  #maxStatementBytes = 0;

  constructor(plan: BufferPlan) {
    this.#plan = plan;
    this.name = plan.name;
    this.tablePrefix = plan.tablePrefix;
  }

  add(unit: UnitOfWork, event: EventDefinition, payload: unknown, options?: AddOptions): MessageId {
    if (!unit.accepts) {
      throw new TxboxError(
        'UNIT_CLOSED',
        `Event ${event.name} was added to a transaction that is ${unit.state}. Add it before the transaction's function returns, and await everything inside.`,
        { details: { event: event.name, state: unit.state } },
      );
    }
    const message = encodeMessage(event, payload, options);
    const buffer = this.#bufferOf(unit);
    buffer.messages.push(message);
    if (unit.session.executeNow) this.#writeNow(unit, buffer);
    return messageIdFromBytes(message.id);
  }

  /** Writes one message at once into a transaction that somebody else ends. */
  async write(session: SqlSession, message: EncodedMessage): Promise<void> {
    await this.#insert(session, [message]);
  }

  #bufferOf(unit: UnitOfWork): Buffer {
    const known = this.#buffers.get(unit);
    if (known) return known;
    const buffer: Buffer = { messages: [], written: 0 };
    this.#buffers.set(unit, buffer);
    const { messages } = buffer;
    // P-W8: what was added in a savepoint vanishes with it.
    unit.onSavepoint(() => {
      const { length } = messages;
      return () => {
        messages.splice(length);
        buffer.written = Math.min(buffer.written, length);
      };
    });
    unit.beforeCommit(async () => {
      if (messages.length === 0) return;
      await this.#insert(unit.session, messages.slice(buffer.written));
      unit.afterCommit(() => this.#plan.wake([...new Set(messages.map(shardOf))]));
    });
    return buffer;
  }

  /** What cannot be written now, in the midst of an iteration for example, is written with the next event or at the end. */
  #writeNow({ session }: UnitOfWork, buffer: Buffer): void {
    try {
      for (const message of buffer.messages.slice(buffer.written)) {
        this.#plan.writer.insertNow?.(session, message);
        buffer.written += 1;
      }
    } catch {
      // It fails again at the end if it must.
    }
  }

  async #insert(session: SqlSession, messages: readonly EncodedMessage[]): Promise<void> {
    try {
      await this.#checkSchemaOnce(session);
      if (messages.length > 0) await this.#plan.writer.insert(session, messages, this.#maxStatementBytes);
    } catch (error) {
      if (isTxboxError(error) || session.dialect.classify(error) !== 'missing-table') throw error;
      throw new TxboxError(
        'SCHEMA_MISSING',
        'The outbox tables are not installed in this database, so the transaction was rolled back. Run txbox migrate, or outbox.migrate() at the start of the service.',
        { cause: error },
      );
    }
  }

  /** Once a process: whether schema and code support each other, and how long a statement may be. In the unit's own session, so that a pool of one is enough. */
  async #checkSchemaOnce(session: SqlSession): Promise<void> {
    if (this.#schemaChecked) return;
    for (const component of [coreComponent, outboxComponent]) await checkSchema(session, component, this.#plan.tablePrefix);
    if (session.dialect.name === 'mysql') {
      const [row] = await session.query('SELECT @@max_allowed_packet');
      this.#maxStatementBytes = Number(row?.[0]);
    }
    this.#schemaChecked = true;
  }
}
