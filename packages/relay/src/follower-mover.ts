import type { OutboxParker, RowHead } from '@txbox/outbox/store';
import type { ShardQueue } from './shard-queue.ts';

/** Most rows of one transaction. */
const CHUNK_ROWS = 1_000;

/** What a mover works with. */
export interface FollowerMoverPlan {
  readonly parker: OutboxParker;
  readonly queues: () => Iterable<ShardQueue>;
  /** The rows are dead letters now. */
  readonly onMoved: (rows: readonly RowHead[]) => void;
  /** Rows are to be read again, because their key is not parked any more. */
  readonly onFreed: () => void;
}

/**
 * Moves what services still write to parked keys behind the dead letters of the key, in order (P-R11). Any number of relays may
 * do so at once: the lock of the key's row puts them in a row, and each moves only what is still there.
 */
export class FollowerMover {
  readonly #plan: FollowerMoverPlan;

  constructor(plan: FollowerMoverPlan) {
    this.#plan = plan;
  }

  /** Moves all that is set aside now; resolves to the milliseconds until the next pass is needed. */
  async runOnce(): Promise<number> {
    for (const queue of this.#plan.queues()) {
      for (const rows of Map.groupBy(queue.parked, keyOf).values()) {
        for (let from = 0; from < rows.length; from += CHUNK_ROWS) await this.#move(queue, rows.slice(from, from + CHUNK_ROWS));
      }
    }
    return IDLE_MS;
  }

  async #move(queue: ShardQueue, rows: readonly RowHead[]): Promise<void> {
    const { parker, onMoved, onFreed } = this.#plan;
    const moved = await parker.moveFollowers(rows);
    queue.endParked(rows, moved);
    if (moved) onMoved(rows);
    else onFreed();
  }
}

/** It is woken when there is something to move. */
const IDLE_MS = 60_000;

function keyOf({ topic, key }: RowHead): string {
  return `${topic}\0${key?.toString('latin1')}`;
}
