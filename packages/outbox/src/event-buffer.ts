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
  readonly writer: OutboxWriter;
  readonly tablePrefix: string;
  /** Told after COMMIT which shards have something new; never awaited. */
  readonly wake: (shards: readonly number[]) => void;
}

/**
 * Holds the events of each open unit until its end, then inserts them as the last thing before COMMIT (P-W1, P-W2), so
 * that their positions follow the lock of the aggregate that the unit changed.
 */
export class EventBuffer implements EventSink {
  readonly #plan: BufferPlan;
  readonly #buffers = new WeakMap<UnitOfWork, EncodedMessage[]>();
  #schemaChecked = false;

  constructor(plan: BufferPlan) {
    this.#plan = plan;
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
    this.#bufferOf(unit).push(message);
    return messageIdFromBytes(message.id);
  }

  /** Writes one message at once into a transaction that somebody else ends. */
  async write(session: SqlSession, message: EncodedMessage): Promise<void> {
    await this.#insert(session, [message]);
  }

  #bufferOf(unit: UnitOfWork): EncodedMessage[] {
    const known = this.#buffers.get(unit);
    if (known) return known;
    const buffer: EncodedMessage[] = [];
    this.#buffers.set(unit, buffer);
    // P-W8: what was added in a savepoint vanishes with it.
    unit.onSavepoint(() => {
      const { length } = buffer;
      return () => void buffer.splice(length);
    });
    unit.beforeCommit(async () => {
      await this.#insert(unit.session, buffer);
      unit.afterCommit(() => this.#plan.wake([...new Set(buffer.map(shardOf))]));
    });
    return buffer;
  }

  async #insert(session: SqlSession, messages: readonly EncodedMessage[]): Promise<void> {
    if (messages.length === 0) return;
    try {
      await this.#checkSchemaOnce(session);
      await this.#plan.writer.insert(session, messages);
    } catch (error) {
      if (isTxboxError(error) || session.dialect.classify(error) !== 'missing-table') throw error;
      throw new TxboxError(
        'SCHEMA_MISSING',
        'The outbox tables are not installed in this database, so the transaction was rolled back. Run txbox migrate, or outbox.migrate() at the start of the service.',
        { cause: error },
      );
    }
  }

  /** Once a process: whether schema and code support each other. In the unit's own session, so that a pool of one is enough. */
  async #checkSchemaOnce(session: SqlSession): Promise<void> {
    if (this.#schemaChecked) return;
    for (const component of [coreComponent, outboxComponent]) await checkSchema(session, component, this.#plan.tablePrefix);
    this.#schemaChecked = true;
  }
}
