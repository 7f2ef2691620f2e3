import { backoffMs, type Delivery, TxboxError } from '@txbox/core/spi';
import { isLostAssignment, unavailable } from '../kafkajs-errors.ts';
import type { Lane } from './kafkajs-lane.ts';
import type { MemberContext } from './kafkajs-member-context.ts';

const STALL_BACKOFF = { baseMs: 50, capMs: 2_000 };
const COMMIT_BACKOFF = { baseMs: 100, capMs: 1_000 };
const COMMIT_ATTEMPTS = 4;

/** What happens on the way. */
export interface BatchListener {
  /** The lane's queue runs low. */
  onRoom(lane: Lane): void;
  /** The group rebalances. */
  onRebalance(): void;
}

/** The batches at work: one of a lane at a time, lanes side by side. */
export class LaneBatches {
  readonly #context: MemberContext;
  readonly #listener: BatchListener;
  readonly #running: Set<Promise<void>> = new Set();

  constructor(context: MemberContext, listener: BatchListener) {
    this.#context = context;
    this.#listener = listener;
  }

  get atWork(): boolean {
    return this.#running.size > 0;
  }

  /** Resolves when no batch runs any more. */
  async drained(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  /** Gives out what the lane's queue holds, unless that is under way. */
  pump(lane: Lane): void {
    if (lane.busy) return;
    lane.busy = true;
    const running = this.#runBatches(lane);
    this.#running.add(running);
    void running.then(() => this.#running.delete(running));
  }

  /** Gives out one batch after another until the queue is empty or the lane is to go. Never rejects. */
  async #runBatches(lane: Lane): Promise<void> {
    const { subscribe, options, clock, report } = this.#context;
    let stalls = 0;
    while (!lane.signal.aborted && lane.queued > 0) {
      const began = lane.done;
      try {
        await this.#runBatch(lane, lane.head(subscribe.batchSize));
      } catch (error) {
        report(error);
      }
      // Early enough for the next fetch, which may have to wait for one that found nothing in other lanes.
      if (lane.queuedBytes < options.maxLaneBytes / 2) this.#listener.onRoom(lane);
      stalls = lane.done === began ? stalls + 1 : 0;
      if (stalls > 0) await clock.sleep(backoffMs(STALL_BACKOFF, stalls), lane.signal);
    }
    // In the same breath as the last look at the queue: who fills it afterwards begins anew.
    lane.busy = false;
  }

  async #runBatch(lane: Lane, deliveries: readonly Delivery[]): Promise<void> {
    const { topic, partition, signal } = lane;
    await this.#context.subscribe.onBatch({
      topic,
      partition,
      deliveries,
      signal,
      heartbeat: async () => await this.#heartbeat(lane),
      checkpoint: async (offset) => await this.#checkpoint(lane, offset + 1n),
    });
  }

  async #heartbeat(lane: Lane): Promise<void> {
    if (lane.ended) throw this.#lost(lane);
    try {
      await lane.access?.heartbeat();
    } catch (error) {
      if (isRebalance(error)) this.#listener.onRebalance();
      else if (isLostAssignment(error)) {
        lane.end();
        throw this.#lost(lane, error);
      }
      // Any other failure is met by kafkajs's own heartbeats as well, which decide what follows.
    }
    if (lane.ended) throw this.#lost(lane);
  }

  /**
   * Stores an offset under the generation in which the lane was assigned. kafkajs takes the present generation for each
   * attempt, and a broker stores whatever a member of the group sends, its lanes or not; so every attempt is made here,
   * right after looking whether the lane is still held (P-I1).
   */
  async #checkpoint(lane: Lane, nextOffset: bigint): Promise<void> {
    const { topic, partition } = lane;
    for (let failures = 0; ; ) {
      if (lane.ended || !lane.access) throw this.#lost(lane);
      try {
        await lane.access.commitOffsetsIfNecessary({ topics: [{ topic, partitions: [{ partition, offset: String(nextOffset) }] }] });
        lane.advance(nextOffset);
        return;
      } catch (error) {
        if (isLostAssignment(error)) {
          lane.end();
          throw this.#lost(lane, error);
        }
        failures += 1;
        if (failures === COMMIT_ATTEMPTS) throw unavailable(error, `The checkpoint of partition ${partition} of ${topic} is not stored`);
      }
      await this.#context.clock.sleep(backoffMs(COMMIT_BACKOFF, failures));
    }
  }

  #lost({ topic, partition }: Lane, cause?: unknown): TxboxError {
    const { group } = this.#context.subscribe;
    return new TxboxError(
      'ASSIGNMENT_LOST',
      `Partition ${partition} of ${topic} is no longer assigned to this member of group ${group}: another goes on after its last checkpoint.`,
      { details: { group, topic, partition }, cause },
    );
  }
}

function isRebalance(error: unknown): boolean {
  return (error as { type?: unknown } | null)?.type === 'REBALANCE_IN_PROGRESS';
}
