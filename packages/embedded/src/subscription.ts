import { backoffMs, type Clock, type Delivery, type SubscribeOptions, type Subscription, TxboxError } from '@txbox/core/spi';
import { beat, type HeldLane, lagOf, leave, type Member, needsTending, release, storeCheckpoint, tend } from './group.ts';
import { readLane } from './log.ts';
import type { LogFile } from './log-file.ts';
import { isDead } from './process-liveness.ts';

/** How a subscription keeps time; see `EmbeddedSourceOptions`. */
export interface SubscriptionTiming {
  readonly sessionTimeoutMs: number;
  readonly pollMs: number;
}

/** A batch ends behind the record that crosses this bound. */
const MAX_BATCH_BYTES = 8 * 1024 * 1024;
/** How often a member looks for dead ones and for its share. */
const TEND_EVERY_MS = 200;
const ERROR_BACKOFF = { baseMs: 50, capMs: 2_000 };

/** A lane in this member's hands. */
interface Lane {
  readonly held: HeldLane;
  readonly lost: AbortController;
  /** Where the next batch begins: behind the last checkpoint. */
  nextOffset: number;
  /** Batches in a row without a checkpoint: the next waits for `againAt`, so that a failing handler does not spin. */
  stalls: number;
  againAt: number;
}

/**
 * A member of a group at work. States of a lane and what moves between them:
 *
 * ```
 * free ── tend takes it ──► idle ── records found ──► running ── onBatch settled ──► idle
 *   ▲                        │                           │
 *   └──── given back ◄───────┴── surplus or stopping ────┘   (running ones are told, awaited, then given back)
 * ```
 *
 * A lane that others took (this process was away for a session) is forgotten at once; its batch is told and can no
 * longer check-point, and the lane is not taken again before that batch has settled.
 */
export class EmbeddedSubscription implements Subscription {
  readonly #file: LogFile;
  readonly #clock: Clock;
  readonly #options: SubscribeOptions;
  readonly #me: Member;
  readonly #timing: SubscriptionTiming;
  readonly #stopping: AbortController = new AbortController();
  readonly #lanes: Map<number, Lane> = new Map();
  readonly #running: Map<number, Promise<void>> = new Map();
  readonly done: Promise<void>;
  #wake: AbortController = new AbortController();
  #tended = false;
  #tendAt = 0;
  #renewAt = 0;
  #beatAt = 0;
  /** A lane was taken, or a batch has ended, since the last look for records. */
  #mayHaveWork = false;

  constructor(file: LogFile, clock: Clock, me: Member, options: SubscribeOptions, timing: SubscriptionTiming) {
    this.#file = file;
    this.#clock = clock;
    this.#me = me;
    this.#options = options;
    this.#timing = timing;
    this.done = this.#loop();
  }

  async lag(): Promise<bigint | undefined> {
    if (!this.#tended) return undefined;
    const lanes = [...this.#lanes.keys()];
    return BigInt(await this.#file.read((file) => lagOf(file, this.#me.group, lanes)));
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    for (const lane of this.#lanes.values()) lane.lost.abort();
    this.#wake.abort();
    await this.done;
  }

  async #loop(): Promise<void> {
    const stopping = this.#stopping.signal;
    let version = -1;
    let failures = 0;
    while (!stopping.aborted) {
      this.#wake = new AbortController();
      let waitMs = this.#timing.pollMs;
      try {
        const seen = await this.#file.version();
        await this.#tend(seen !== version);
        if (seen !== version || this.#changed()) await this.#startBatches();
        version = seen;
        failures = 0;
      } catch (error) {
        this.#report(error);
        version = -1;
        waitMs = backoffMs(ERROR_BACKOFF, ++failures);
      }
      if (!stopping.aborted) await this.#clock.sleep(waitMs, this.#wake.signal);
    }
    await Promise.all(this.#running.values());
    await this.#file.write((file) => leave(file, this.#me.group, this.#me.id)).catch((error: unknown) => this.#report(error));
  }

  /** True when there may be work although no other connection has committed: a commit of this one does not show. */
  #changed(): boolean {
    const changed = this.#mayHaveWork;
    this.#mayHaveWork = false;
    return changed || [...this.#lanes.values()].some((lane) => lane.stalls > 0);
  }

  async #tend(changed: boolean): Promise<void> {
    for (const [id, lane] of this.#lanes) if (lane.lost.signal.aborted) await this.#giveBack(id);
    const now = this.#clock.monotonic();
    if (now < this.#tendAt && !changed) return;
    this.#tendAt = now + TEND_EVERY_MS;
    const { sessionTimeoutMs } = this.#timing;
    const busy = new Set(this.#running.keys());
    const due = now >= this.#renewAt || (await this.#file.read((file) => needsTending(file, this.#me, sessionTimeoutMs, isDead, busy)));
    if (!due) return;
    const { held, surplus } = await this.#file.write((file) => tend(file, this.#me, sessionTimeoutMs, isDead, busy));
    this.#renewAt = now + sessionTimeoutMs / 3;
    this.#adopt(held);
    this.#tended = true;
    for (const lane of surplus) await this.#giveBack(lane);
  }

  #adopt(held: readonly HeldLane[]): void {
    for (const [id, lane] of this.#lanes) {
      if (held.some((one) => one.lane === id && one.generation === lane.held.generation)) continue;
      this.#forget(id, lane);
    }
    for (const one of held) {
      if (this.#lanes.has(one.lane)) continue;
      this.#mayHaveWork = true;
      this.#lanes.set(one.lane, { held: one, lost: new AbortController(), nextOffset: one.nextOffset, stalls: 0, againAt: 0 });
    }
  }

  #forget(id: number, lane: Lane): void {
    lane.lost.abort();
    this.#lanes.delete(id);
  }

  /** Tells a running batch and comes back after it; an idle lane goes at once. */
  async #giveBack(id: number): Promise<void> {
    const lane = this.#lanes.get(id);
    if (!lane) return;
    lane.lost.abort();
    if (this.#running.has(id)) return;
    await this.#file.write((file) => release(file, this.#me, id, lane.held.generation));
    this.#lanes.delete(id);
  }

  async #startBatches(): Promise<void> {
    const now = this.#clock.monotonic();
    const idle = [...this.#lanes].filter(([id, lane]) => !this.#running.has(id) && !lane.lost.signal.aborted && lane.againAt <= now);
    if (idle.length === 0) return;
    const found = await this.#file.read((file) =>
      idle.map(([, lane]) =>
        readLane(file, {
          ...lane.held,
          fromOffset: lane.nextOffset,
          maxRecords: this.#options.batchSize,
          maxBytes: MAX_BATCH_BYTES,
        }),
      ),
    );
    if (this.#stopping.signal.aborted) return;
    for (const [index, [id, lane]] of idle.entries()) {
      const deliveries = found[index] as Delivery[];
      if (deliveries.length === 0) continue;
      this.#running.set(id, this.#runBatch(id, lane, deliveries));
    }
  }

  async #runBatch(id: number, lane: Lane, deliveries: readonly Delivery[]): Promise<void> {
    const began = lane.nextOffset;
    try {
      await this.#options.onBatch({
        topic: lane.held.topic,
        partition: lane.held.partition,
        deliveries,
        signal: lane.lost.signal,
        heartbeat: async () => await this.#heartbeat(id, lane),
        checkpoint: async (offset) => await this.#checkpoint(id, lane, Number(offset) + 1),
      });
    } catch (error) {
      this.#report(error);
    }
    lane.stalls = lane.nextOffset === began ? lane.stalls + 1 : 0;
    lane.againAt = lane.stalls === 0 ? 0 : this.#clock.monotonic() + backoffMs(ERROR_BACKOFF, lane.stalls);
    this.#running.delete(id);
    this.#mayHaveWork = true;
    // A lane that was told to go is given back by the next look after the group, which may also take it anew.
    if (lane.lost.signal.aborted) this.#tendAt = 0;
    this.#wake.abort();
  }

  async #heartbeat(id: number, lane: Lane): Promise<void> {
    const now = this.#clock.monotonic();
    if (now < this.#beatAt && this.#lanes.get(id) === lane) return;
    const { sessionTimeoutMs } = this.#timing;
    const held = await this.#file.write((file) => beat(file, this.#me, id, lane.held.generation, sessionTimeoutMs));
    if (!held) throw this.#lose(id, lane);
    this.#beatAt = now + sessionTimeoutMs / 10;
  }

  async #checkpoint(id: number, lane: Lane, nextOffset: number): Promise<void> {
    const stored = await this.#file.write((file) => storeCheckpoint(file, this.#me, id, lane.held.generation, nextOffset));
    if (!stored) throw this.#lose(id, lane);
    lane.nextOffset = Math.max(lane.nextOffset, nextOffset);
  }

  #lose(id: number, lane: Lane): TxboxError {
    if (this.#lanes.get(id) === lane) this.#forget(id, lane);
    const { topic, partition } = lane.held;
    const { group } = this.#me;
    return new TxboxError(
      'ASSIGNMENT_LOST',
      `Partition ${partition} of ${topic} is no longer assigned to this member of group ${group}: another goes on after its last checkpoint.`,
      {
        details: { group, topic, partition },
      },
    );
  }

  #report(error: unknown): void {
    try {
      this.#options.onError?.(error);
    } catch {
      // A listener that throws is not the source's business.
    }
  }
}
