import type { Clock, SqlErrorKind } from '@txbox/core/spi';
import type { OutboxSettler } from '@txbox/outbox/store';
import type { RelayEmitter } from './relay-event.ts';
import type { QueuedRow, ShardQueue } from './shard-queue.ts';

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
/** So many rows of a shard are worth a DELETE of their own; fewer go together with those of other shards. */
const RANGE_ROWS = 200;
/** Rows are gathered for so long before a DELETE is worth its commit, for which services that commit wait as well. */
const LINGER_MS = 50;
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

  /** Settles what has waited long enough, by as many settlers as there are; resolves to the milliseconds until the next pass is needed. */
  async runOnce(lingerMs: number = LINGER_MS): Promise<number> {
    const { settlers, clock } = this.#plan;
    const now = clock.monotonic();
    let wait = Number.POSITIVE_INFINITY;
    const parts: ShardQueue[][] = [];
    const few: ShardQueue[] = [];
    for (const queue of this.#queues) {
      if (queue.acknowledged < RANGE_ROWS) few.push(queue);
      const left = queue.acknowledged >= CHUNK_ROWS ? 0 : queue.acknowledgedAt + lingerMs - now;
      if (left > 0) wait = Math.min(wait, left);
      else if (queue.acknowledged >= RANGE_ROWS) parts.push([queue]);
      else if (!parts.includes(few)) parts.push(few);
    }
    if (parts.length === 0) return Math.min(1_000, Math.ceil(wait));
    parts.splice(settlers.length);
    // Waits for all of them: no shard is ever settled by two at a time.
    const ends = await Promise.allSettled(parts.map((queues, index) => this.#settle(queues, settlers[index] as OutboxSettler)));
    const failed = ends.find((end) => end.status === 'rejected');
    if (failed) throw failed.reason;
    return 0;
  }

  /** Settles everything that is acknowledged now. */
  async flush(): Promise<void> {
    while (!this.isIdle) await this.runOnce(0);
  }

  /** As many rows of these shards as go into one DELETE. */
  async #settle(queues: readonly ShardQueue[], settler: OutboxSettler): Promise<void> {
    const { classify, clock, events, onSettled } = this.#plan;
    const now = clock.monotonic();
    const taken: { readonly queue: ShardQueue; readonly rows: readonly QueuedRow[] }[] = [];
    let room = CHUNK_ROWS;
    for (const queue of queues) {
      if (room === 0) break;
      const rows = queue.takeAcknowledged(room, now);
      room -= rows.length;
      taken.push({ queue, rows });
      // Behind the others, so that every shard has its turn.
      this.#queues.delete(queue);
    }
    const rows = taken.flatMap((part) => part.rows.map(({ row }) => row));
    const [only] = taken.length === 1 ? queues : [];
    const form = only && rows.length >= RANGE_ROWS && now >= only.settleEachUntil ? 'range' : 'each';
    try {
      await settler.settle(rows, form);
    } catch (error) {
      for (const part of taken) {
        part.queue.putBackAcknowledged(part.rows);
        this.#queues.add(part.queue);
      }
      if (!only || classify(error) !== 'lock-timeout' || form === 'each') throw error;
      only.settleEachUntil = clock.monotonic() + EACH_FOR_MS;
      return;
    }
    for (const part of taken) {
      part.queue.settled(part.rows);
      if (part.queue.acknowledged > 0) this.#queues.add(part.queue);
    }
    this.settled += rows.length;
    events.emit('settled', { messages: rows.length, settleMs: clock.monotonic() - now });
    onSettled();
  }
}
