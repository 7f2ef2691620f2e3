import type { Clock, SqlErrorKind } from '@txbox/core/spi';
import type { OutboxSettler } from '@txbox/outbox/store';
import type { RelayEmitter } from './relay-event.ts';
import type { ShardQueue } from './shard-queue.ts';

/** What a settler works with. */
export interface SettlerPlan {
  /** Each on a connection of its own: so many shards are settled side by side. */
  readonly settlers: readonly OutboxSettler[];
  readonly classify: (error: unknown) => SqlErrorKind;
  readonly clock: Clock;
  readonly events: RelayEmitter;
  readonly onSettled: () => void;
}

/** Most rows of one DELETE. */
const CHUNK_ROWS = 1_000;
/** Rows are gathered for so long before a small DELETE is worth its commit. */
const LINGER_MS = 20;
/** How long a shard keeps to the form that never waits, after it has waited in vain (P-R7). */
const EACH_FOR_MS = 60_000;

/** Deletes acknowledged rows by identity, off the critical path, on connections of its own (P-R7). */
export class Settler {
  readonly #plan: SettlerPlan;
  /** Shards with rows to settle, also those that were given up meanwhile. */
  readonly #queues: Set<ShardQueue> = new Set();
  settled = 0;

  constructor(plan: SettlerPlan) {
    this.#plan = plan;
  }

  /** True when nothing waits to be settled. */
  get isIdle(): boolean {
    return this.#queues.size === 0;
  }

  add(queue: ShardQueue): void {
    this.#queues.add(queue);
  }

  /** Settles, of as many shards as there are settlers, what has waited long enough; resolves to the milliseconds until the next pass is needed. */
  async runOnce(lingerMs: number = LINGER_MS): Promise<number> {
    const { settlers, clock } = this.#plan;
    const now = clock.monotonic();
    let wait = Number.POSITIVE_INFINITY;
    const ready: ShardQueue[] = [];
    for (const queue of this.#queues) {
      const left = queue.acknowledged >= CHUNK_ROWS ? 0 : queue.acknowledgedAt + lingerMs - now;
      if (left > 0) wait = Math.min(wait, left);
      else if (ready.push(queue) === settlers.length) break;
    }
    if (ready.length === 0) return Math.min(1_000, Math.ceil(wait));
    // Waits for all of them: no shard is ever settled by two at a time.
    const ends = await Promise.allSettled(ready.map((queue, index) => this.#settle(queue, settlers[index] as OutboxSettler)));
    const failed = ends.find((end) => end.status === 'rejected');
    if (failed) throw failed.reason;
    return 0;
  }

  /** Settles everything that is acknowledged now. */
  async flush(): Promise<void> {
    const [settler] = this.#plan.settlers as [OutboxSettler];
    for (const queue of [...this.#queues]) while (queue.acknowledged > 0) await this.#settle(queue, settler);
  }

  async #settle(queue: ShardQueue, settler: OutboxSettler): Promise<void> {
    const { classify, clock, events, onSettled } = this.#plan;
    const now = clock.monotonic();
    const rows = queue.takeAcknowledged(CHUNK_ROWS, now);
    // Behind the others, so that every shard has its turn.
    this.#queues.delete(queue);
    try {
      await settler.settle(
        rows.map(({ row }) => row),
        now < queue.settleEachUntil ? 'each' : 'range',
      );
    } catch (error) {
      queue.putBackAcknowledged(rows);
      this.#queues.add(queue);
      if (classify(error) !== 'lock-timeout' || now < queue.settleEachUntil) throw error;
      queue.settleEachUntil = clock.monotonic() + EACH_FOR_MS;
      return;
    }
    queue.settled(rows);
    if (queue.acknowledged > 0) this.#queues.add(queue);
    this.settled += rows.length;
    events.emit('settled', { shard: queue.shard, messages: rows.length, settleMs: clock.monotonic() - now });
    onSettled();
  }
}
