import {
  type AddOptions,
  checkSchema,
  coreComponent,
  driverErrorOf,
  type EncodedMessage,
  type EventDefinition,
  encodeMessage,
  isTxboxError,
  type MessageId,
  messageIdFromBytes,
  type SqlSession,
  TxboxError,
  type UnitOfWork,
} from '@txbox/core/spi';
import { outboxComponent } from './migrations/outbox-component.ts';
import type { OutboxSequences, OutboxWriter, SequenceRequest } from './outbox-store.ts';
import { shardOf } from './sql/outbox-writer.ts';

/** What the buffer works with. */
export interface BufferPlan {
  readonly writer: OutboxWriter;
  readonly sequences: OutboxSequences;
  readonly tablePrefix: string;
  /** CloudEvents' source, where events are written so. */
  readonly source: string | undefined;
  /** Told after COMMIT which shards have something new; never awaited. */
  readonly wake: (shards: readonly number[]) => void;
}

/** An event on its way to the table. */
interface Added {
  readonly message: EncodedMessage;
  /** It still needs its number (P-W6). */
  readonly strict: boolean;
}

/** The events of one unit. */
interface UnitEvents {
  readonly messages: Added[];
  /** How many of them are in the table already, from the first on. */
  written: number;
}

/**
 * Holds the events of each open unit until its end, then inserts them as the last thing before COMMIT (P-W1, P-W2), so
 * that their positions follow the lock of the aggregate that the unit changed. On SQLite, where the unit has had the only
 * write lock since its beginning, they are inserted as they are added: whatever is undone there takes its events along,
 * for nobody can watch what users do with their database object (P-W9).
 */
export class EventBuffer {
  readonly #plan: BufferPlan;
  readonly #buffers = new WeakMap<UnitOfWork, UnitEvents>();
  #schemaChecked = false;
  #maxStatementBytes = 0;

  constructor(plan: BufferPlan) {
    this.#plan = plan;
  }

  /** See `EventSink.add`. */
  add(unit: UnitOfWork, event: EventDefinition, payload: unknown, options?: AddOptions): MessageId {
    if (!unit.accepts) {
      throw new TxboxError(
        'UNIT_CLOSED',
        `Event ${event.name} was added to a transaction that is ${unit.state}. Add it before the transaction's function returns, and await everything inside.`,
        { details: { event: event.name, state: unit.state } },
      );
    }
    if (unit.readOnly) {
      throw new TxboxError(
        'UNIT_READ_ONLY',
        `Event ${event.name} was added to a transaction that was begun with readOnly: an event is a row, and nothing may be written. Leave readOnly out where the transaction begins.`,
        { details: { event: event.name } },
      );
    }
    const message = this.encode(event, payload, options);
    const buffer = this.#bufferOf(unit);
    buffer.messages.push({ message, strict: event.strictOrder });
    unit.noteWork();
    if (unit.session.executeNow) this.#writeNow(unit, buffer);
    return messageIdFromBytes(message.id);
  }

  /** The final form of an event; throws what is wrong with it. */
  encode(event: EventDefinition, payload: unknown, options?: AddOptions): EncodedMessage {
    return encodeMessage(event, payload, options, this.#plan.source);
  }

  /** Writes one message at once into a transaction that somebody else ends. */
  async write(session: SqlSession, message: EncodedMessage, strict: boolean): Promise<void> {
    await this.#insert(session, [{ message, strict }]);
  }

  /** The ids of what the unit has added so far. */
  idsOf(unit: UnitOfWork): readonly Buffer[] {
    return this.#buffers.get(unit)?.messages.map(({ message }) => message.id) ?? [];
  }

  /** Runs statements on the outbox's tables; rejects with `SCHEMA_MISSING` where there are none, `SCHEMA_NOT_WRITABLE` where they take none. */
  async onTables<T>(session: SqlSession, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      const kind = isTxboxError(error) ? 'other' : session.dialect.classify(error);
      if (kind === 'missing-table') {
        throw new TxboxError(
          'SCHEMA_MISSING',
          'The outbox tables are not installed in this database, so no event was written. Run txbox migrate, or outbox.migrate() at the start of the service.',
          { cause: error },
        );
      }
      if (kind === 'read-only') {
        throw new TxboxError(
          'SCHEMA_NOT_WRITABLE',
          `The outbox tables cannot be used: ${driverErrorOf(error).message}. No event was written. ` +
            "On MySQL and MariaDB the service's user needs SELECT on the table meta, INSERT on outbox, and SELECT, INSERT, UPDATE, DELETE on sequence and idempotency; what is read-only takes no events.",
          { cause: error },
        );
      }
      throw error;
    }
  }

  #bufferOf(unit: UnitOfWork): UnitEvents {
    const known = this.#buffers.get(unit);
    if (known) return known;
    const buffer: UnitEvents = { messages: [], written: 0 };
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
      unit.afterCommit(() => this.#plan.wake([...new Set(messages.map(({ message }) => shardOf(message)))]));
    });
    return buffer;
  }

  /** What cannot be written now, in the midst of an iteration for example, is written with the next event or at the end. */
  #writeNow({ session }: UnitOfWork, buffer: UnitEvents): void {
    try {
      for (const { message, strict } of buffer.messages.slice(buffer.written)) {
        const numbered = strict ? this.#numberedNow(session, message) : message;
        buffer.messages[buffer.written] = { message: numbered, strict: false };
        this.#plan.writer.insertNow?.(session, numbered);
        buffer.written += 1;
      }
    } catch {
      // It fails again at the end if it must.
    }
  }

  #numberedNow(session: SqlSession, message: EncodedMessage): EncodedMessage {
    const request = { topic: message.topic, key: message.key as Buffer, count: 1 };
    return { ...message, sequence: this.#plan.sequences.nextNow?.(session, request) ?? null };
  }

  #insert(session: SqlSession, added: readonly Added[]): Promise<void> {
    return this.onTables(session, async () => {
      await this.#checkSchemaOnce(session);
      if (added.length > 0) await this.#plan.writer.insert(session, await this.#numbered(session, added), this.#maxStatementBytes);
    });
  }

  /** P-W6: right before the INSERT, so that the positions of a key follow the lock of its number. */
  async #numbered(session: SqlSession, added: readonly Added[]): Promise<EncodedMessage[]> {
    const requests = new Map<string, SequenceRequest>();
    for (const { message, strict } of added) {
      if (!strict || message.key === null) continue;
      const name = sequenceName(message);
      requests.set(name, { topic: message.topic, key: message.key, count: (requests.get(name)?.count ?? 0) + 1 });
    }
    if (requests.size === 0) return added.map(({ message }) => message);
    const wanted = [...requests.values()];
    const last = await this.#plan.sequences.next(session, wanted);
    const next = new Map([...requests.keys()].map((name, at) => [name, (last[at] as number) - (wanted[at] as SequenceRequest).count + 1]));
    return added.map(({ message, strict }) => {
      if (!strict) return message;
      const name = sequenceName(message);
      const sequence = next.get(name) as number;
      next.set(name, sequence + 1);
      return { ...message, sequence };
    });
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

function sequenceName({ topic, key }: EncodedMessage): string {
  return `${topic} ${key?.toString('latin1')}`;
}
