import { systemClock, TxboxError } from '@txbox/core/spi';
import type { OutboxStore } from '@txbox/outbox/store';
import type { LaneTable } from './lane-table.ts';
import type { RelayEmitter } from './relay-event.ts';
import type { Settler } from './settler.ts';
import type { ShardLoop } from './shard-loop.ts';

/** What somebody who waits for the end looks at. */
export interface IdleWaitPlan {
  readonly stored: OutboxStore;
  readonly reading: ShardLoop;
  readonly settler: Settler;
  readonly lanes: LaneTable;
  readonly events: RelayEmitter;
  /** Runs a pass of the reading loop soon. */
  readonly wakeReading: () => void;
}

/** How often somebody who waits for the end of all looks. */
const IDLE_LOOK = { baseMs: 5, capMs: 100 };

/** Waiting until nothing is left to do. Every wait rejects with `STOPPED` once the relay ends. */
export class IdleWait {
  readonly #plan: IdleWaitPlan;
  #ended = false;
  #progress: PromiseWithResolvers<void> = Promise.withResolvers();

  constructor(plan: IdleWaitPlan) {
    this.#plan = plan;
  }

  /** Something moved: whoever waits looks again. */
  tell(): void {
    const { resolve } = this.#progress;
    this.#progress = Promise.withResolvers();
    resolve();
  }

  /** The relay ends. */
  end(): void {
    this.#ended = true;
    this.tell();
  }

  /** Resolves at the next `tell`. */
  next(): Promise<void> {
    return this.#progress.promise;
  }

  /** Resolves when all that was committed before the call is published and settled, by this relay or another. */
  async whenIdle(): Promise<void> {
    const { stored, reading, wakeReading } = this.#plan;
    wakeReading();
    const upTo = await this.#asked(() => stored.highestPosition());
    let pauseMs = IDLE_LOOK.baseMs;
    while (reading.holdsUpTo(upTo) || !(await this.#asked(() => stored.isSettledUpTo(upTo)))) {
      this.#refuseEnded();
      await systemClock.sleep(pauseMs);
      pauseMs = Math.min(2 * pauseMs, IDLE_LOOK.capMs);
    }
  }

  /** Resolves when nothing is left in the shards of this relay but what a failure holds. */
  async whenIdleOrHeld(): Promise<void> {
    let held = false;
    const end = this.#plan.events.on('held', () => {
      held = true;
      this.tell();
    });
    try {
      await Promise.race([this.#whenOwnIdle(), this.#untilHeld(() => held)]);
    } finally {
      end();
    }
  }

  async #whenOwnIdle(): Promise<void> {
    const { reading, settler, wakeReading } = this.#plan;
    const isIdle = (): boolean => reading.isEmpty && settler.isIdle;
    for (;;) {
      this.#refuseEnded();
      const read = reading.readAll();
      wakeReading();
      await read;
      this.#refuseEnded();
      if (isIdle()) return;
      while (!isIdle()) await this.#untilProgress();
    }
  }

  async #untilHeld(isHeld: () => boolean): Promise<void> {
    const { lanes, settler } = this.#plan;
    // What else can move has moved when the lanes that are left all wait for another try.
    const rests = (): boolean =>
      [...lanes.filled].every((lane) => lane.inFlight === 0 && (lane.reason !== undefined || lanes.topicOf(lane).isHeld));
    while (!isHeld() || !rests() || !settler.isIdle) await this.#untilProgress();
  }

  /** Until the database answers. */
  async #asked<T>(question: () => Promise<T>): Promise<T> {
    for (;;) {
      this.#refuseEnded();
      try {
        return await question();
      } catch {
        await systemClock.sleep(IDLE_LOOK.capMs);
      }
    }
  }

  async #untilProgress(): Promise<void> {
    this.#refuseEnded();
    await this.#progress.promise;
  }

  #refuseEnded(): void {
    if (this.#ended) throw new TxboxError('STOPPED', 'The relay was stopped.');
  }
}
