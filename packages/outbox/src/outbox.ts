import {
  type AddOptions,
  type AppliedMigration,
  checkTransactionOptions,
  coreComponent,
  currentUnit,
  type EventDefinition,
  type EventSink,
  idempotencyKey,
  innermostOpenUnit,
  type LiveOutbox,
  type MessageId,
  messageIdFromBytes,
  migrate,
  outsideUnit,
  type PayloadInputOf,
  registerEventSink,
  registerLiveOutbox,
  runTransaction,
  type SqlSession,
  sourceOf,
  systemClock,
  type Transaction,
  type TransactionCall,
  type TransactionOptions,
  type TransactionResource,
  TxboxError,
  type UnitOfWork,
} from '@txbox/core/spi';
import { EventBuffer } from './event-buffer.ts';
import { Idempotency } from './idempotency.ts';
import { outboxComponent } from './migrations/outbox-component.ts';
import type { ResolvedOutboxOptions } from './outbox-options.ts';
import { idempotencyKeys } from './sql/idempotency-keys.ts';
import { outboxSequences } from './sql/outbox-sequences.ts';
import { outboxWriter } from './sql/outbox-writer.ts';
import { WakeSender } from './wake-sender.ts';

/** What one flavour adds: its transaction object, and how it finds somebody else's open transaction. */
export interface OutboxFlavour<Tx extends Transaction, Handle> {
  readonly resource: TransactionResource;
  /** Completes `common`. `undefined` = outside of any transaction, where the propagation says so. */
  transactionOf(unit: UnitOfWork | undefined, common: Transaction): Tx;
  /**
   * The session of an open transaction of somebody else. Rejects with `UNSUPPORTED_HANDLE`, `WRONG_DATA_SOURCE` or
   * `NO_OPEN_TRANSACTION`.
   */
  foreignSession(handle: Handle): Promise<SqlSession>;
}

/** What users have of a unit. No object literal: V8 keeps the getter of one, and all that it knows, until the next full collection. */
class UnitTransaction implements Transaction {
  readonly add: Transaction['add'];
  readonly afterCommit: Transaction['afterCommit'];
  readonly attempt: number;
  readonly #unit: UnitOfWork;

  constructor(unit: UnitOfWork, buffer: EventBuffer) {
    // Users take them apart.
    const add: Transaction['add'] = (event, payload, options) => buffer.add(unit, event, payload, options);
    const afterCommit: Transaction['afterCommit'] = (callback) => unit.afterCommit(callback);
    this.add = add;
    this.afterCommit = afterCommit;
    this.attempt = unit.attempt;
    this.#unit = unit;
  }

  get signal(): AbortSignal {
    return this.#unit.signal;
  }
}

/**
 * Adds events to local transactions of one DataSource, pool or database. Make one at the start of the process, close it
 * at the end; it opens no connection by itself.
 */
export class Outbox<Tx extends Transaction = Transaction, Handle = never> implements LiveOutbox, AsyncDisposable {
  readonly name: string;
  readonly resource: TransactionResource;
  /** Where decorators put events. */
  readonly sink: EventSink;
  readonly #flavour: OutboxFlavour<Tx, Handle>;
  readonly #tablePrefix: string;
  readonly #buffer: EventBuffer;
  readonly #wake: WakeSender | undefined;
  readonly #unregister: readonly (() => void)[];
  /** Of a transaction without options. */
  readonly #plainCall: TransactionCall;
  #closed = false;

  constructor(options: ResolvedOutboxOptions, flavour: OutboxFlavour<Tx, Handle>) {
    this.name = options.name;
    this.resource = flavour.resource;
    this.#flavour = flavour;
    this.#tablePrefix = options.tablePrefix;
    const wake = options.wake
      ? new WakeSender({
          tablePrefix: options.tablePrefix,
          withSession: (fn) => flavour.resource.withSession(fn),
          now: () => systemClock.monotonic(),
        })
      : undefined;
    this.#wake = wake;
    const buffer = new EventBuffer({
      writer: outboxWriter(options.tablePrefix),
      sequences: outboxSequences(options.tablePrefix),
      tablePrefix: options.tablePrefix,
      source: sourceOf(options.envelope, options.name),
      wake: wake && ((messages) => wake.wake(messages)),
    });
    this.#buffer = buffer;
    const idempotency = new Idempotency({
      keys: idempotencyKeys(options.tablePrefix),
      settings: options.idempotency,
      logger: options.logger,
      messageIdsOf: (unit) => buffer.idsOf(unit),
      onTables: (session, work) => buffer.onTables(session, work),
    });
    this.sink = {
      name: options.name,
      tablePrefix: options.tablePrefix,
      add: (unit, event, payload, addOptions) => buffer.add(unit, event, payload, addOptions),
      once: (unit, key, fn) => idempotency.once(unit, key, fn),
    };
    this.#plainCall = { sink: this.sink };
    this.#unregister = [registerEventSink(this.resource.key, this.sink), registerLiveOutbox(this)];
  }

  /**
   * Runs `fn` in a transaction and commits it with its events; joins the open one when there is one, or as `propagation`
   * says. Rejects with what `fn` throws (rolled back), `UNIT_DOOMED` or `UNIT_TIMED_OUT` (rolled back), `OUTCOME_UNKNOWN`,
   * `SCHEMA_MISSING`, `SCHEMA_NOT_WRITABLE`, `DATABASE_UNAVAILABLE`; where the open one cannot give what is asked for `PROPAGATION_REFUSED` or
   * `ISOLATION_TOO_WEAK`; and of a repeat `ALREADY_COMMITTED` or `IDEMPOTENCY_KEY_REUSED`.
   */
  transaction<T>(fn: (tx: Tx) => Promise<T>): Promise<T>;
  transaction<T>(options: TransactionOptions, fn: (tx: Tx) => Promise<T>): Promise<T>;
  async transaction<T>(first: TransactionOptions | ((tx: Tx) => Promise<T>), second?: (tx: Tx) => Promise<T>): Promise<T> {
    const [options, fn] = typeof first === 'function' ? [undefined, first] : [first, second];
    if (typeof fn !== 'function') throw new TxboxError('OPTIONS_INVALID', 'transaction takes ([options,] fn), and fn must be a function.');
    this.#refuseClosed();
    return await runTransaction(this.resource, options === undefined ? this.#plainCall : this.#callOf(options), (unit) =>
      fn(this.#flavour.transactionOf(unit, unit ? new UnitTransaction(unit, this.#buffer) : this.#withoutTransaction())),
    );
  }

  /**
   * Adds an event to the transaction that the running code is in. Synchronous. Throws `NO_UNIT_OF_WORK` outside of one,
   * `WRONG_DATA_SOURCE` in another database's, `UNIT_CLOSED` after its end, and what is wrong with payload or options.
   */
  add<E extends EventDefinition>(event: E, payload: PayloadInputOf<E>, options?: AddOptions): MessageId {
    this.#refuseClosed();
    const unit = currentUnit(this.resource.key) ?? this.resource.ambientUnit?.();
    if (unit) return this.#buffer.add(unit, event, payload, options);
    if (innermostOpenUnit()) {
      throw new TxboxError(
        'WRONG_DATA_SOURCE',
        `Event ${event.name} was added through outbox ${JSON.stringify(this.name)} inside a transaction of another DataSource, pool or database. ` +
          'Event and data must commit together: use the outbox of that database, or open a transaction of this one.',
        { details: { event: event.name, outbox: this.name } },
      );
    }
    throw new TxboxError(
      'NO_UNIT_OF_WORK',
      `Event ${event.name} was added outside of a transaction of outbox ${JSON.stringify(this.name)}. ` +
        "Use outbox.transaction(fn) or @Transactional; inside dataSource.transaction() or another transaction that is not ours, use await outbox.addTo(handle, event, payload), or createOutbox({ currentManager }) for a framework's.",
      { details: { event: event.name, outbox: this.name } },
    );
  }

  /**
   * Writes an event at once into an open transaction that somebody else began and ends. It has order only when called
   * after the aggregate's row was locked or written (P-W2).
   */
  async addTo<E extends EventDefinition>(handle: Handle, event: E, payload: PayloadInputOf<E>, options?: AddOptions): Promise<MessageId> {
    this.#refuseClosed();
    const message = this.#buffer.encode(event, payload, options);
    await this.#buffer.write(await this.#flavour.foreignSession(handle), message, event.strictOrder);
    return messageIdFromBytes(message.id);
  }

  /** Runs `fn` outside of the open transaction, on purpose: what it writes survives a rollback. */
  outside<T>(fn: () => T): T {
    return outsideUnit(this.resource.key, fn);
  }

  /** Installs or updates the tables; safe to call at every start, from any number of processes. */
  async migrate(): Promise<AppliedMigration[]> {
    this.#refuseClosed();
    return await this.resource.withSession((session) =>
      migrate(session, [coreComponent, outboxComponent], { tablePrefix: this.#tablePrefix }),
    );
  }

  /** Takes the outbox back from decorators and handlers, and closes its socket. The DataSource or pool stays the caller's. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const unregister of this.#unregister) unregister();
    this.#wake?.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #callOf(options: TransactionOptions): TransactionCall {
    const { idempotencyKey: key, ...call } = checkTransactionOptions('transaction', options);
    const keyed = key === undefined ? {} : { idempotencyKey: idempotencyKey('transaction', key, 'transaction', []) };
    return { ...call, ...keyed, sink: this.sink };
  }

  /** What a function gets that runs without a transaction, as its propagation says. */
  #withoutTransaction(): Transaction {
    return {
      add: (event, payload, options) => this.add(event, payload, options),
      afterCommit: () => {
        throw new TxboxError(
          'NO_UNIT_OF_WORK',
          'afterCommit was called where no transaction is open, as the propagation of this call allows.',
        );
      },
      attempt: 1,
      signal: new AbortController().signal,
    };
  }

  #refuseClosed(): void {
    if (this.#closed) throw new TxboxError('OUTBOX_CLOSED', `Outbox ${JSON.stringify(this.name)} is closed.`);
  }
}
