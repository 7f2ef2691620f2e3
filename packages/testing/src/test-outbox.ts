import { type Logger, type Transaction, TxboxError } from '@txbox/core/spi';
import { Outbox, type OutboxOptions } from '@txbox/outbox';
import { resolveOutboxOptions } from '@txbox/outbox/store';
import { clearAdded } from './added-event.ts';
import { memoryResource } from './memory/memory-resource.ts';

/** What {@link createMemoryOutbox} takes: all of it is optional. */
export interface MemoryOutboxSettings extends Pick<OutboxOptions, 'envelope' | 'idempotency' | 'unhandled'> {
  /** Name for decorators' `on` and for messages. Default `default`. */
  readonly name?: string;
  /** Default: warnings and errors, as text on stderr. */
  readonly logger?: Logger;
}

/**
 * An outbox in memory, for tests without a database. Everything of `Outbox` works as it does there: transactions,
 * propagation, rollback, nested transactions, `afterCommit`, idempotency keys, strict order, decorators. It has no
 * `manager`, `connection` or `database`, and what the code under test keeps elsewhere is not rolled back. `addTo` takes any
 * object for a foreign transaction, of whose end it cannot know: it commits at once.
 */
export class TestOutbox extends Outbox<Transaction, object> {
  constructor(settings: MemoryOutboxSettings = {}) {
    const options = resolveOutboxOptions(settings, {}, { wake: false } as object);
    const resource = memoryResource({ logger: options.logger, unhandled: options.unhandled }, options.tablePrefix);
    super(options, {
      resource,
      transactionOf: (_unit, transaction) => transaction,
      foreignSession: async (handle) => {
        if (typeof handle === 'object' && handle !== null) {
          return {
            dialect: resource.dialect,
            query: (sql, values) => resource.withSession((session) => session.query(sql, values)),
            execute: (sql, values) => resource.withSession((session) => session.execute(sql, values)),
          };
        }
        throw new TxboxError('UNSUPPORTED_HANDLE', `addTo takes the transaction that the event belongs to, got ${String(handle)}.`);
      },
    });
    takeThePlaceOf(this);
  }

  /** Forgets everything: events, processed messages, idempotency keys, sequences. For `beforeEach`. */
  async clear(): Promise<void> {
    await clearAdded(this);
    await this.resource.withSession(async (session) => {
      const tables = await session.query("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'");
      for (const [name] of tables) {
        if (name !== `${this.sink.tablePrefix}meta`) await session.execute(`DELETE FROM \`${String(name)}\``);
      }
    });
  }
}

const LIVE: unique symbol = Symbol.for('txbox.memory-outboxes') as never;

/** One made before each test and never closed would make `@Transactional` and `@Publishes` ambiguous. */
function takeThePlaceOf(outbox: TestOutbox): void {
  const holder = globalThis as { [LIVE]?: Map<string, TestOutbox> };
  holder[LIVE] ??= new Map();
  void holder[LIVE].get(outbox.name)?.close();
  holder[LIVE].set(outbox.name, outbox);
}

/**
 * Creates an outbox in memory. It takes the place of the one with the same name that was created before it, which is closed:
 * one for each test needs no clean-up. Throws `OPTIONS_INVALID`, or `DEPENDENCY_MISSING` where Node was built without
 * `node:sqlite`.
 */
export function createMemoryOutbox(settings: MemoryOutboxSettings = {}): TestOutbox {
  return new TestOutbox(settings);
}
