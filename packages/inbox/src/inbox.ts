import {
  backoffMs,
  checkSchema,
  coreComponent,
  type EventDefinition,
  isTxboxError,
  Lifecycle,
  type LifecycleState,
  migrate,
  systemClock,
  type TransactionResource,
  TxboxError,
} from '@txbox/core/spi';
import { Attempts } from './attempts.ts';
import { readDelivery, type Work } from './batch.ts';
import { ConsumerLoop } from './consumer-loop.ts';
import type { HandlerContext, HandlerFunction } from './handler-context.ts';
import { HandlerRegistry } from './handler-registry.ts';
import { refuseGenerator, refuseUndefinedEvent } from './handles.ts';
import { InboxEvents } from './inbox-events.ts';
import type { ResolvedInboxOptions } from './inbox-options.ts';
import { applyOnce, type InboxRuntime } from './inbox-runtime.ts';
import { type LaneProgress, LEAVE_AFTER_MS } from './lane-batch.ts';
import { inboxComponent } from './migrations/inbox-component.ts';
import { deliveryOf, type PushedMessage } from './pushed-message.ts';
import { inboxStore } from './sql/inbox-store.ts';

/** What an inbox shows of itself. Numbers of messages count since it was created. */
export interface InboxStatus {
  readonly name: string;
  readonly group: string;
  readonly state: LifecycleState;
  readonly applied: number;
  readonly duplicates: number;
  /** Without a handler here, or unreadable and passed over. */
  readonly skipped: number;
  /** Messages in the assigned lanes that are not done; `undefined` while unknown. */
  readonly lag: bigint | undefined;
  readonly lanes: readonly Readonly<LaneProgress>[];
}

/** Gives each event one effect per consumer group (P-I). Made by `createInbox` of `@txbox/inbox/typeorm`, `/mysql2` or `/sqlite`. */
export interface Inbox<Context extends HandlerContext> extends AsyncDisposable {
  /** Typed events; listeners never disturb the inbox. */
  readonly events: Pick<InboxEvents, 'on'>;
  /** Handles an event. Before `start` only (`ALREADY_STARTED`). Throws `HANDLER_INVALID` when it has a handler. */
  on<E extends EventDefinition>(event: E, handler: HandlerFunction<E, Context>): this;
  /**
   * Begins to consume. Rejects with `HANDLER_MISSING`, `OPTIONS_INVALID` (no source, topics that miss a handled one),
   * `SCHEMA_MISSING`, `SCHEMA_TOO_OLD`, `SCHEMA_TOO_NEW`, or with what the source says: `TOPIC_MISSING`, `BROKER_UNAVAILABLE`, …
   */
  start(): Promise<void>;
  /**
   * Takes nothing new, lets what runs commit for `graceMs` (default 10,000), then rolls it back; closes the source. May be
   * called twice, and at any time.
   */
  stop(options?: { readonly graceMs?: number }): Promise<void>;
  /**
   * Processes one message of a consumer of your own, in a transaction of its own. `skipped` = nothing here handles it.
   * A throw means: do not commit its offset, deliver it again. Throws `HANDLER_FAILED`, `MESSAGE_IN_PROGRESS`,
   * `MESSAGE_FOREIGN`, `MESSAGE_UNREADABLE`, `PAYLOAD_INVALID`, `PAYLOAD_NOT_DECODABLE`, `OUTCOME_UNKNOWN`, `DATABASE_UNAVAILABLE`.
   */
  process(message: PushedMessage): Promise<'applied' | 'duplicate' | 'skipped'>;
  /** Resolves when the assigned lanes have no message left; waits as long as a message holds its lane. Rejects with `STOPPED`. */
  whenCaughtUp(): Promise<void>;
  status(): Promise<InboxStatus>;
  /** Installs or updates the tables of this database: the shared ones and the inbox's. */
  migrate(): Promise<void>;
}

const DEFAULT_GRACE_MS = 10_000;
const MAX_DEADLOCKS = 5;
const DEADLOCK_BACKOFF = { baseMs: 20, capMs: 500 };

/** The inbox of a resource; flavours name the resource and the property of contexts that holds its handle. */
export function inboxOn<Context extends HandlerContext>(
  resource: TransactionResource,
  handleName: string,
  options: ResolvedInboxOptions,
): Inbox<Context> {
  return new InboxService<Context>(resource, handleName, options);
}

class InboxService<Context extends HandlerContext> implements Inbox<Context> {
  readonly events: InboxEvents;
  readonly #runtime: InboxRuntime;
  readonly #lifecycle: Lifecycle;
  readonly #counts = { applied: 0, duplicates: 0, skipped: 0 };
  /** Aborted when the grace of `stop` is over. */
  readonly #forced = new AbortController();
  readonly #processing = new Set<Promise<unknown>>();
  #loop: ConsumerLoop | undefined;
  #schema: Promise<void> | undefined;

  constructor(resource: TransactionResource, handleName: string, options: ResolvedInboxOptions) {
    const { logger, name, tablePrefix } = options;
    this.events = new InboxEvents(logger);
    const handlers = new HandlerRegistry();
    for (const instance of options.handlers) handlers.addInstance(instance);
    this.#runtime = {
      options,
      resource,
      handlers,
      handleName,
      store: inboxStore({ tablePrefix }),
      attempts: new Attempts(),
      events: this.events,
      logger,
      clock: systemClock,
    };
    this.events.on('applied', ({ applied, duplicates, skipped }) => this.#count(applied, duplicates, skipped));
    this.#lifecycle = new Lifecycle({
      name: `Inbox ${name}`,
      start: () => this.#start(),
      stop: async (graceMs) => {
        await this.#loop?.stop(graceMs ?? DEFAULT_GRACE_MS);
        this.#loop = undefined;
      },
    });
  }

  on<E extends EventDefinition>(event: E, handler: HandlerFunction<E, Context>): this {
    if (this.#lifecycle.state !== 'idle') {
      throw new TxboxError(
        'ALREADY_STARTED',
        `Inbox ${this.#runtime.options.name} is ${this.#lifecycle.state}; register handlers before start().`,
      );
    }
    refuseUndefinedEvent(event, 'inbox.on');
    if (typeof handler !== 'function') {
      throw new TxboxError(
        'HANDLER_INVALID',
        `inbox.on(${event.name}) takes a function of payload and context as its second argument, got ${typeof handler}.`,
      );
    }
    refuseGenerator(handler, `inbox.on(${event.name}): the handler`);
    const name = handler.name || 'a function without a name';
    this.#runtime.handlers.add({ event, name, invoke: handler as (payload: unknown, ctx: unknown) => unknown });
    return this;
  }

  start(): Promise<void> {
    return this.#lifecycle.start();
  }

  async stop(options: { readonly graceMs?: number } = {}): Promise<void> {
    const stopped = this.#lifecycle.stop(options.graceMs);
    await this.#endProcessing(options.graceMs ?? DEFAULT_GRACE_MS);
    await stopped;
    await this.#runtime.options.source?.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async process(message: PushedMessage): Promise<'applied' | 'duplicate' | 'skipped'> {
    if (this.#lifecycle.signal.aborted) throw new TxboxError('STOPPED', `Inbox ${this.#runtime.options.name} was stopped.`);
    const { handlers, options } = this.#runtime;
    handlers.topics();
    const delivery = deliveryOf(message);
    await this.#schemaChecked();
    const entry = readDelivery(delivery, handlers, options.onUnknown);
    if (entry.kind === 'hold') throw entry.error;
    const result = entry.kind === 'work' ? await this.#inFlight(this.#processWork(entry.work)) : 'skipped';
    this.#count(Number(result === 'applied'), Number(result === 'duplicate'), Number(result === 'skipped'));
    return result;
  }

  /** What `process` runs may commit within the grace; then it is rolled back, and a handler that goes on all the same is left behind. */
  async #endProcessing(graceMs: number): Promise<void> {
    const { clock } = this.#runtime;
    const ended = new AbortController();
    const running = Promise.allSettled(this.#processing);
    const leaving = clock
      .sleep(graceMs, ended.signal)
      .then(() => this.#forced.abort())
      .then(() => clock.sleep(LEAVE_AFTER_MS, ended.signal));
    await Promise.race([running, leaving]);
    ended.abort();
  }

  async #inFlight<T>(work: Promise<T>): Promise<T> {
    this.#processing.add(work);
    try {
      return await work;
    } finally {
      this.#processing.delete(work);
    }
  }

  whenCaughtUp(): Promise<void> {
    if (this.#loop) return this.#loop.whenCaughtUp();
    return Promise.reject(new TxboxError('STOPPED', `Inbox ${this.#runtime.options.name} is not running; call start() first.`));
  }

  async status(): Promise<InboxStatus> {
    const { name, group } = this.#runtime.options;
    return {
      name,
      group,
      state: this.#lifecycle.state,
      ...this.#counts,
      lag: await this.#loop?.lag(),
      lanes: this.#loop?.lanes() ?? [],
    };
  }

  async migrate(): Promise<void> {
    const { resource, options } = this.#runtime;
    await resource.withSession(
      async (session) => await migrate(session, [coreComponent, inboxComponent], { tablePrefix: options.tablePrefix }),
    );
  }

  async #start(): Promise<void> {
    const { options, handlers, logger } = this.#runtime;
    const handled = handlers.topics();
    const topics = options.topics ?? handled;
    const missed = handled.filter((topic) => !topics.includes(topic));
    if (missed.length > 0) {
      throw new TxboxError(
        'OPTIONS_INVALID',
        `createInbox: topics must contain those of all handled events; ${missed.join(', ')} is missing. Leave topics out to consume exactly those.`,
      );
    }
    if (!options.source) {
      throw new TxboxError(
        'OPTIONS_INVALID',
        'createInbox: start() needs a source. Give one, or call inbox.process(…) from a consumer of your own.',
      );
    }
    await this.#schemaChecked();
    this.#loop = new ConsumerLoop(this.#runtime, options.source, topics);
    await this.#loop.start();
    logger.info({ name: options.name, group: options.group, topics, source: options.source.name }, 'inbox started');
  }

  #schemaChecked(): Promise<void> {
    const { resource, options } = this.#runtime;
    this.#schema ??= resource
      .withSession(async (session) => await checkSchema(session, inboxComponent, options.tablePrefix))
      .catch((error: unknown) => {
        this.#schema = undefined;
        throw error;
      });
    return this.#schema;
  }

  async #processWork(work: Work): Promise<'applied' | 'duplicate'> {
    const { clock, attempts } = this.#runtime;
    const { message, handler } = work;
    for (let deadlocks = 0; ; ) {
      const outcome = await applyOnce(this.#runtime, [work], this.#forced.signal);
      switch (outcome.kind) {
        case 'applied':
          return outcome.duplicates.length > 0 ? 'duplicate' : 'applied';
        case 'stopped':
          throw new TxboxError('STOPPED', `Inbox ${this.#runtime.options.name} was stopped; message ${message.id} was rolled back.`);
        case 'deadlock':
          deadlocks += 1;
          if (deadlocks < MAX_DEADLOCKS) {
            await clock.sleep(backoffMs(DEADLOCK_BACKOFF, deadlocks));
            continue;
          }
          throw inProgress(work);
        case 'contended':
          throw inProgress(work);
        case 'unknown':
        case 'unavailable':
          throw outcome.error;
        case 'failed':
          attempts.failed(message.id);
          if (isTxboxError(outcome.error, 'HANDLER_FAILED')) throw outcome.error;
          throw new TxboxError(
            'HANDLER_FAILED',
            `${handler.name} failed for message ${message.id} (${message.type}): ${outcome.error instanceof Error ? outcome.error.message : String(outcome.error)}. Nothing of it was committed.`,
            { cause: outcome.error, details: { messageId: message.id, type: message.type, attempt: attempts.failures(message.id) } },
          );
      }
    }
  }

  #count(applied: number, duplicates: number, skipped: number): void {
    this.#counts.applied += applied;
    this.#counts.duplicates += duplicates;
    this.#counts.skipped += skipped;
  }
}

function inProgress({ message }: Work): TxboxError {
  return new TxboxError(
    'MESSAGE_IN_PROGRESS',
    `Another transaction holds message ${message.id} or what its handler needs. Nothing was committed; deliver it again.`,
    { details: { messageId: message.id } },
  );
}
