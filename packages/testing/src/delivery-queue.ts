import type { Delivery, EventDefinition } from '@txbox/core/spi';
import { type AddedEvent, type AnyOutbox, onClear } from './added-event.ts';

/** Whoever processes deliveries: an inbox. */
export interface Processor {
  process(message: Pushed): Promise<'applied' | 'duplicate' | 'skipped'>;
}

/** A delivery in the shape that `inbox.process` takes. */
export interface Pushed {
  readonly topic: string;
  readonly partition: number;
  readonly message: {
    readonly key: Buffer | null;
    readonly value: Buffer | null;
    readonly headers: Readonly<Record<string, readonly Buffer[]>>;
    readonly offset: string;
    readonly timestamp: string;
  };
}

/** A published event on its way to the inboxes. */
export interface Queued {
  readonly event: AddedEvent;
  readonly delivery: Delivery;
  /** Those that have not processed it. */
  readonly waiting: Set<Processor>;
  handled: boolean;
}

/** What was published from an outbox, and what of it is still to be processed: a failed handler's event is there at the next drain. */
export class DeliveryQueue {
  readonly queued: Queued[] = [];
  readonly #published = new Map<string, number>();
  #last: Promise<void> = Promise.resolve();

  add(queued: readonly Queued[]): void {
    this.queued.push(...queued);
    for (const { event } of queued) this.#published.set(nameOf(event), this.published(event) + 1);
  }

  /** How many of an event were published since the outbox was cleared. */
  published(event: Pick<AddedEvent, 'topic' | 'type'>): number {
    return this.#published.get(nameOf(event)) ?? 0;
  }

  clear(): void {
    this.queued.length = 0;
    this.#published.clear();
  }

  /** One drain at a time. */
  async turn(): Promise<() => void> {
    const before = this.#last;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#last = promise;
    await before;
    return resolve;
  }
}

const queues = new WeakMap<AnyOutbox, DeliveryQueue>();

/** The queue of an outbox. */
export function queueOf(outbox: AnyOutbox): DeliveryQueue {
  const known = queues.get(outbox);
  if (known) return known;
  const queue = new DeliveryQueue();
  queues.set(outbox, queue);
  onClear(outbox, () => queue.clear());
  return queue;
}

/** How many of an event drains have published since the outbox was cleared. */
export function publishedBefore(outbox: AnyOutbox, { topic, name }: EventDefinition): number {
  return queues.get(outbox)?.published({ topic, type: name }) ?? 0;
}

/** A delivery as `inbox.process` takes it. */
export function pushedOf({ topic, partition, offset, timestamp, key, value, headers }: Delivery): Pushed {
  const byName: Record<string, Buffer[]> = Object.create(null) as Record<string, Buffer[]>;
  for (const [name, bytes] of headers) {
    byName[name] ??= [];
    byName[name].push(bytes);
  }
  return { topic, partition, message: { key, value, headers: byName, offset: String(offset), timestamp: String(timestamp) } };
}

function nameOf({ topic, type }: Pick<AddedEvent, 'topic' | 'type'>): string {
  return `${topic}/${type}`;
}
