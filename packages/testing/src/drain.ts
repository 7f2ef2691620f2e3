import { checkOptions, innermostOpenUnit, integerWithin, isTxboxError, listOf, objectValue, objectWith } from '@txbox/core/spi';
import { type AddedEvent, type AnyOutbox, eventOf, refuseNoOutbox } from './added-event.ts';
import { type DeliveryQueue, type Processor, pushedOf, queueOf } from './delivery-queue.ts';
import { publishCommitted } from './in-process-relay.ts';
import { inboxBeside } from './test-inbox.ts';

/** What {@link drain} takes. */
export interface DrainOptions {
  /** Whose events are published; several, where handlers add to outboxes of their own. */
  readonly outbox: AnyOutbox | readonly AnyOutbox[];
  /** Inboxes that handle them: of `createInbox`, not started and with or without a source, or of `createMemoryInbox`. */
  readonly inboxes?: readonly Processor[];
  /**
   * Instances of classes with `@Handles` methods, run in an inbox beside the (first) outbox: in memory without a database, else
   * in the outbox's own, where the inbox's tables are installed for it.
   */
  readonly handlers?: readonly object[];
  /** Events of handlers are followed so many times before it counts as a circle. Default 100. */
  readonly maxHops?: number;
}

/** What {@link drain} did. */
export interface Drained {
  /** Events that were published, handlers' own included, in the order of their commits. For `expectAdded` and `addedEvents`. */
  readonly published: readonly AddedEvent[];
  /** Those of them that no handler here was for. */
  readonly unhandled: readonly AddedEvent[];
  /** How many times a handler has run and committed. */
  readonly handled: number;
}

const DEFAULT_MAX_HOPS = 100;
/** Group of the inbox that `handlers` run in. */
const GROUP = 'test';

/**
 * Publishes everything that is committed through a real relay and lets the handlers process it, in this process, and again
 * what they add, until nothing is left. Waits for no time: no broker, no polling, no retries. Events come in the order in
 * which they were committed, each to every inbox.
 *
 * Rejects with what a handler throws, as soon as it does: its transaction is rolled back, and the next `drain` of the same
 * outbox with the same inboxes or handlers begins with that event, as a broker would. Rejects inside an open transaction.
 */
export async function drain(options: DrainOptions): Promise<Drained> {
  const { outbox, inboxes, handlers, maxHops } = checkOptions<Required<DrainOptions>>('drain', options, {
    rules: {
      outbox: objectOrList,
      inboxes: listOf(objectWith('process')),
      handlers: listOf(objectValue),
      maxHops: integerWithin(1),
    },
    defaults: { inboxes: [], handlers: [], maxHops: DEFAULT_MAX_HOPS },
  });
  const outboxes = Array.isArray(outbox) ? (outbox as readonly AnyOutbox[]) : [outbox as AnyOutbox];
  for (const one of outboxes) refuseNoOutbox('drain({ outbox })', one);
  if (innermostOpenUnit()) {
    throw new Error(
      'drain was called inside an open transaction (or a handler): what it added is not committed yet. Call it after the transaction has ended.',
    );
  }
  const processors = [...inboxes];
  if (handlers.length > 0) processors.push(await inboxOf(outboxes[0] as AnyOutbox, handlers));
  // Asked for at once, so that two drains never wait for each other.
  const turns = await Promise.all([...new Set(outboxes)].map((one) => queueOf(one).turn()));
  try {
    return await new Drain(outboxes, processors, maxHops).run();
  } finally {
    for (const free of turns) free();
  }
}

class Drain {
  readonly #outboxes: readonly AnyOutbox[];
  readonly #processors: readonly Processor[];
  readonly #maxHops: number;
  readonly #published: AddedEvent[] = [];
  readonly #unhandled: AddedEvent[] = [];
  #handled = 0;

  constructor(outboxes: readonly AnyOutbox[], processors: readonly Processor[], maxHops: number) {
    this.#outboxes = outboxes;
    this.#processors = processors;
    this.#maxHops = maxHops;
  }

  async run(): Promise<Drained> {
    for (let hop = 0; ; hop += 1) {
      // First what an earlier drain has left.
      for (const outbox of this.#outboxes) await this.#process(queueOf(outbox));
      const before = this.#published.length;
      for (const outbox of this.#outboxes) await this.#publish(outbox);
      if (this.#published.length === before) {
        return { published: this.#published, unhandled: this.#unhandled, handled: this.#handled };
      }
      if (hop >= this.#maxHops) {
        const types = [...new Set(this.#published.slice(before).map(({ type }) => type))].join(', ');
        throw new Error(
          `drain followed handlers' events ${hop} times and there are more (${types}): a handler seems to add what leads back to it. ` +
            'If it ends by itself, raise maxHops.',
        );
      }
    }
  }

  async #publish(outbox: AnyOutbox): Promise<void> {
    const { deliveries, left } = await publishCommitted(outbox);
    const queued = deliveries.map((delivery) => ({
      event: eventOf(delivery),
      delivery,
      waiting: new Set(this.#processors),
      handled: false,
    }));
    queueOf(outbox).add(queued);
    this.#published.push(...queued.map(({ event }) => event));
    if (left !== undefined) throw new Error(`drain: ${left}`);
  }

  async #process({ queued }: DeliveryQueue): Promise<void> {
    for (let at = 0; at < queued.length; ) {
      const entry = queued[at] as (typeof queued)[number];
      for (const processor of entry.waiting) {
        if (!this.#processors.includes(processor)) continue;
        const outcome = await processed(processor.process(pushedOf(entry.delivery)));
        entry.waiting.delete(processor);
        if (outcome === 'applied') this.#handled += 1;
        if (outcome !== 'skipped') entry.handled = true;
      }
      if (entry.waiting.size > 0) {
        at += 1;
        continue;
      }
      queued.splice(at, 1);
      if (!entry.handled) this.#unhandled.push(entry.event);
    }
  }
}

/** What the handler itself threw, so that tests can look for it. */
async function processed<T>(processing: Promise<T>): Promise<T> {
  try {
    return await processing;
  } catch (error) {
    const { cause } = error as { cause?: unknown };
    if (isTxboxError(error, 'HANDLER_FAILED') && typeof cause === 'object' && cause !== null && 'message' in cause) throw cause;
    throw error;
  }
}

interface KnownInbox {
  readonly handlers: readonly object[];
  readonly inbox: Processor;
}

const inboxes = new WeakMap<AnyOutbox, KnownInbox>();

/** The same inbox for the same handlers, so that it knows what it failed at before. */
async function inboxOf(outbox: AnyOutbox, handlers: readonly object[]): Promise<Processor> {
  const known = inboxes.get(outbox);
  if (known && known.handlers.length === handlers.length && known.handlers.every((one, index) => one === handlers[index])) {
    return known.inbox;
  }
  const inbox = inboxBeside(outbox, handlers, { group: GROUP });
  if (outbox.resource.kind !== 'memory') await inbox.migrate();
  inboxes.set(outbox, { handlers: [...handlers], inbox });
  return inbox;
}

function objectOrList(value: unknown): string | undefined {
  if (!Array.isArray(value)) return objectValue(value);
  return value.length > 0 ? listOf(objectValue)(value) : 'must name at least one outbox';
}
