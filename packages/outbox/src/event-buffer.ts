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

/** What the buffer works with. */
export interface BufferPlan {
  readonly writer: OutboxWriter;
  readonly sequences: OutboxSequences;
  readonly tablePrefix: string;
  /** CloudEvents' source, where events are written so. */
  readonly source: string | undefined;
  /** Told after COMMIT what is new; never awaited. */
  readonly wake: ((messages: readonly EncodedMessage[]) => void) | undefined;
}

/** The events of one unit. */
interface UnitEvents {
  readonly messages: EncodedMessage[];
  /** Those that still need a number (P-W6). */
  readonly unnumbered: Set<EncodedMessage>;
  /** How many of them are in the table already, from the first on. */
  written: number;
}

const NONE: ReadonlySet<EncodedMessage> = new Set();

/**
 * Holds the events of each open unit until its end, then inserts them as the last thing before COMMIT (P-W1, P-W2), so
 * that their positions follow the lock of the aggregate that the unit changed. On SQLite, where the unit has had the only
 * write lock since its beginning, they are inserted as they are added: whatever is undone there takes its events along,
 * for nobody can watch what users do with their database object (P-W9).
 */
export class EventBuffer {
  readonly #plan: BufferPlan;
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
    buffer.messages.push(message);
    if (event.strictOrder) buffer.unnumbered.add(message);
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
    await this.#insert(session, [message], strict ? new Set([message]) : NONE);
  }

  /** The ids of what the unit has added so far. */
  idsOf(unit: UnitOfWork): readonly Buffer[] {
    return this.#keptOf(unit)?.messages.map(({ id }) => id) ?? [];
  }

  /** Runs statements on the outbox's tables; rejects with `SCHEMA_MISSING` where there are none, `SCHEMA_NOT_WRITABLE` where they take none. */
  async onTables<T>(session: SqlSession, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw explained(session, error);
    }
  }

  #keptOf(unit: UnitOfWork): UnitEvents | undefined {
    return unit.kept.get(this) as UnitEvents | undefined;
  }

  #bufferOf(unit: UnitOfWork): UnitEvents {
    const known = this.#keptOf(unit);
    if (known) return known;
    const buffer: UnitEvents = { messages: [], unnumbered: new Set(), written: 0 };
    unit.kept.set(this, buffer);
    const { messages, unnumbered } = buffer;
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
      await this.#insert(unit.session, buffer.written === 0 ? messages : messages.slice(buffer.written), unnumbered);
      const { wake } = this.#plan;
      if (wake) unit.afterCommit(() => wake(messages));
    });
    return buffer;
  }

  /** What cannot be written now, in the midst of an iteration for example, is written with the next event or at the end. */
  #writeNow({ session }: UnitOfWork, buffer: UnitEvents): void {
    const { messages, unnumbered } = buffer;
    try {
      for (let at = buffer.written; at < messages.length; at += 1) {
        const message = messages[at] as EncodedMessage;
        const numbered = unnumbered.delete(message) ? this.#numberedNow(session, message) : message;
        messages[at] = numbered;
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

  async #insert(session: SqlSession, messages: readonly EncodedMessage[], unnumbered: ReadonlySet<EncodedMessage>): Promise<void> {
    try {
      if (!this.#schemaChecked) await this.#checkSchema(session);
      if (messages.length === 0) return;
      const numbered = unnumbered.size === 0 ? messages : await this.#numbered(session, messages, unnumbered);
      await this.#plan.writer.insert(session, numbered, this.#maxStatementBytes);
    } catch (error) {
      throw explained(session, error);
    }
  }

  /** P-W6: right before the INSERT, so that the positions of a key follow the lock of its number. */
  async #numbered(
    session: SqlSession,
    messages: readonly EncodedMessage[],
    unnumbered: ReadonlySet<EncodedMessage>,
  ): Promise<readonly EncodedMessage[]> {
    const requests = new Map<string, SequenceRequest>();
    for (const message of messages) {
      if (!unnumbered.has(message) || message.key === null) continue;
      const name = sequenceName(message);
      requests.set(name, { topic: message.topic, key: message.key, count: (requests.get(name)?.count ?? 0) + 1 });
    }
    if (requests.size === 0) return messages;
    const wanted = [...requests.values()];
    const last = await this.#plan.sequences.next(session, wanted);
    const next = new Map([...requests.keys()].map((name, at) => [name, (last[at] as number) - (wanted[at] as SequenceRequest).count + 1]));
    return messages.map((message) => {
      if (!unnumbered.has(message)) return message;
      const name = sequenceName(message);
      const sequence = next.get(name) as number;
      next.set(name, sequence + 1);
      return { ...message, sequence };
    });
  }

  /** Once a process: whether schema and code support each other, and how long a statement may be. In the unit's own session, so that a pool of one is enough. */
  async #checkSchema(session: SqlSession): Promise<void> {
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

/** What an error of a statement on the outbox's tables means. */
function explained(session: SqlSession, error: unknown): unknown {
  switch (isTxboxError(error) ? 'other' : session.dialect.classify(error)) {
    case 'missing-table':
      return new TxboxError(
        'SCHEMA_MISSING',
        'The outbox tables are not installed in this database, so no event was written. Run txbox migrate, or outbox.migrate() at the start of the service.',
        { cause: error },
      );
    case 'read-only':
      return new TxboxError(
        'SCHEMA_NOT_WRITABLE',
        `The outbox tables cannot be used: ${driverErrorOf(error).message}. No event was written. ` +
          "On MySQL and MariaDB the service's user needs SELECT on the table meta, INSERT on outbox, and SELECT, INSERT, UPDATE, DELETE on sequence and idempotency; what is read-only takes no events.",
        { cause: error },
      );
    default:
      return error;
  }
}
