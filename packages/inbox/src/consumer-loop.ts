import { backoffMs, type DeliveryBatch, type MessageSource, type Subscription, TxboxError } from '@txbox/core/spi';
import type { InboxRuntime } from './inbox-runtime.ts';
import { LaneBatch, type LaneProgress } from './lane-batch.ts';

/** How often `whenCaughtUp` asks. */
const LAG_EVERY_MS = 25;

/**
 * Consumes the topics of an inbox until stopped. A subscription that ends by itself is made anew after a back-off:
 * an inbox never stops silently.
 */
export class ConsumerLoop {
  readonly #runtime: InboxRuntime;
  readonly #source: MessageSource;
  readonly #topics: readonly string[];
  readonly #stopping = new AbortController();
  readonly #forced = new AbortController();
  readonly #lanes = new Map<string, LaneProgress>();
  #subscription: Subscription | undefined;
  #running = 0;
  #kept: Promise<void> = Promise.resolve();

  constructor(runtime: InboxRuntime, source: MessageSource, topics: readonly string[]) {
    this.#runtime = runtime;
    this.#source = source;
    this.#topics = topics;
  }

  /** Rejects when the source cannot begin. */
  async start(): Promise<void> {
    const subscription = await this.#subscribe();
    this.#kept = this.#keep(subscription);
  }

  /** Takes nothing new, lets running transactions end for `graceMs`, then rolls them back. */
  async stop(graceMs: number): Promise<void> {
    this.#stopping.abort();
    const grace = setTimeout(() => this.#forced.abort(), graceMs);
    try {
      await this.#subscription?.stop();
      await this.#kept;
    } finally {
      clearTimeout(grace);
    }
  }

  /** Lanes this inbox has had messages of, by topic and partition. */
  lanes(): LaneProgress[] {
    const lanes = [...this.#lanes.values()].map((lane) => ({ ...lane }));
    return lanes.sort((a, b) => a.topic.localeCompare(b.topic) || a.partition - b.partition);
  }

  /** Messages in the assigned lanes that are not check-pointed; `undefined` while unknown. */
  async lag(): Promise<bigint | undefined> {
    return await this.#subscription?.lag();
  }

  /** Resolves when the assigned lanes have no message left. Rejects with `STOPPED`. */
  async whenCaughtUp(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      if (this.#running === 0 && (await this.lag()) === 0n) return;
      await this.#runtime.clock.sleep(LAG_EVERY_MS, this.#stopping.signal);
    }
    throw new TxboxError('STOPPED', `Inbox ${this.#runtime.options.name} was stopped before it had caught up.`);
  }

  async #subscribe(): Promise<Subscription> {
    const { group, batchSize } = this.#runtime.options;
    this.#subscription = await this.#source.subscribe({
      group,
      batchSize,
      topics: this.#topics,
      onBatch: (batch) => this.#onBatch(batch),
      onError: (error) => this.#trouble(error, 'the message source has trouble and goes on'),
    });
    // It may have been stopped while it was being made.
    if (this.#stopping.signal.aborted) await this.#subscription.stop();
    return this.#subscription;
  }

  async #keep(first: Subscription): Promise<void> {
    const { clock, options } = this.#runtime;
    const stopping = this.#stopping.signal;
    let current: Subscription | undefined = first;
    for (let failures = 0; !stopping.aborted; ) {
      const startedAt = clock.monotonic();
      try {
        current ??= await this.#subscribe();
        await current.done;
      } catch (error) {
        if (!stopping.aborted) this.#trouble(error, 'the subscription has ended; it is made anew');
      }
      current = undefined;
      failures = clock.monotonic() - startedAt > options.retry.capMs ? 1 : failures + 1;
      await clock.sleep(backoffMs(options.retry, failures), stopping);
    }
  }

  async #onBatch(batch: DeliveryBatch): Promise<void> {
    const ending = { stopping: () => this.#stopping.signal.aborted, forced: this.#forced.signal };
    this.#running += 1;
    try {
      await new LaneBatch(this.#runtime, batch, this.#lane(batch), ending).run();
    } finally {
      this.#running -= 1;
    }
  }

  #lane({ topic, partition }: DeliveryBatch): LaneProgress {
    const key = `${partition}/${topic}`;
    const known = this.#lanes.get(key);
    if (known) return known;
    const lane: LaneProgress = { topic, partition, checkpoint: undefined, held: undefined };
    this.#lanes.set(key, lane);
    return lane;
  }

  #trouble(error: unknown, message: string): void {
    this.#runtime.logger.warn({ err: error }, message);
    this.#runtime.events.emit('trouble', { error });
  }
}
