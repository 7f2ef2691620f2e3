import type { Clock, Logger } from '@txbox/core/spi';
import type { OutboxReader, Page } from '@txbox/outbox/store';
import type { LaneTable } from './lane-table.ts';
import { type Look, PositionHorizon } from './low-mark.ts';
import { isHungry, nextPollMs, planRead, type ShardNeed } from './page-plan.ts';
import type { RelayEmitter } from './relay-event.ts';
import { type SentRequest, ShardQueue } from './shard-queue.ts';

/** What the reading loop works with. */
export interface ShardLoopPlan {
  readonly reader: OutboxReader;
  readonly lanes: LaneTable;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly events: RelayEmitter;
  readonly mayAct: () => boolean;
  /** Rows were added to lanes, or lanes have room again. */
  readonly onRows: () => void;
  /** Rows of parked keys wait to be moved. */
  readonly onParked: () => void;
  readonly pollMinMs: number;
  readonly pollMaxMs: number;
  readonly lowLagMs: number;
  readonly sweepMs: number;
  readonly pageRows: number;
  readonly maxRows: number;
  readonly maxBytes: number;
}

/** Positions that one dirty look shows, of all shards of which rows were left out of memory: the low mark may pass those. */
const LOOK_POSITIONS = 32_000;
/** Least and longest pause between two looks. */
const LOOK_MIN_MS = 200;
const LOOK_MAX_MS = 5_000;
/** Positions of one step of the sweep through rows that are left out of memory. */
const SWEEP_POSITIONS = 50_000;
/**
 * After a read that found rows nothing new is looked for during this time, but a backlog: where services commit hundreds of
 * transactions a second, each wakes the relay, and a read and a request for each of them would slow them down.
 */
const REST_MS = 10;
/** How long to wait for what must come from elsewhere: memory, trust, acknowledgements. */
const BLOCKED_MS = 20;

/**
 * Reads the shards of this relay, all in one statement: pages, the looks that raise the low marks (P-R2) and the sweep.
 * One read is under way at a time, on a connection of its own; sends go on meanwhile.
 */
export class ShardLoop {
  readonly #plan: ShardLoopPlan;
  readonly #queues: Map<number, ShardQueue> = new Map();
  readonly #horizon: PositionHorizon;
  readonly #due: Set<number> = new Set();
  #averageBytes = 500;
  #pollMs: number;
  #pollAt = 0;
  #restUntil = 0;
  #lookAt = 0;
  #lookEveryMs = LOOK_MIN_MS;
  #sweepAt = 0;
  /** How far each shard was swept behind what was left out of memory. */
  readonly #sweptTo: Map<number, number> = new Map();
  /** Index of the shard that is read first where memory has no room for a row of each. */
  #firstShard = 0;
  #fullReads: (() => void)[] = [];
  orderAlarms = 0;

  constructor(plan: ShardLoopPlan) {
    this.#plan = plan;
    this.#pollMs = plan.pollMinMs;
    this.#horizon = new PositionHorizon(plan.lowLagMs);
  }

  get queues(): ReadonlyMap<number, ShardQueue> {
    return this.#queues;
  }

  /** True when nothing is in memory and no shard is known to have more. */
  get isEmpty(): boolean {
    for (const queue of this.#queues.values()) {
      if (queue.more || queue.size > 0 || queue.acknowledged > 0 || queue.parkedRows > 0 || queue.lowestLeftOut !== undefined) return false;
    }
    return true;
  }

  /** True when a row at or below that position is in memory. */
  holdsUpTo(position: number): boolean {
    return [...this.#queues.values()].some((queue) => queue.holdsUpTo(position));
  }

  add(shard: number, epoch: number): ShardQueue {
    const queue = new ShardQueue(shard, epoch);
    this.#queues.set(shard, queue);
    this.#due.add(shard);
    return queue;
  }

  /** Stops reading a shard and forgets what is neither in flight nor acknowledged. */
  remove(shard: number): ShardQueue | undefined {
    const queue = this.#queues.get(shard);
    if (!queue) return undefined;
    this.#queues.delete(shard);
    queue.giveUp();
    for (const row of this.#plan.lanes.forgetAbandoned()) row.queue.drop(row);
    return queue;
  }

  /** There may be something new in these shards; `undefined` = in all. Never moves a low mark (P-W7). */
  wake(shards?: readonly number[]): void {
    if (!shards) this.#pollAt = 0;
    else for (const shard of shards) if (this.#queues.has(shard)) this.#due.add(shard);
  }

  /** Resolves when a read of all shards that begins after this call has ended. */
  readAll(): Promise<void> {
    this.#pollAt = 0;
    return new Promise((resolve) => this.#fullReads.push(resolve));
  }

  /** Nothing is read any more: whoever waits for a full read need not. */
  endFullReads(): void {
    for (const resolve of this.#fullReads.splice(0)) resolve();
  }

  /** The connection was lost: the server may have been restarted, and positions mean nothing any more (P-R7). */
  restart(): void {
    this.#horizon.reset();
    this.#lookAt = 0;
    const { lanes } = this.#plan;
    const inFlight = lanes.inFlight();
    for (const queue of this.#queues.values()) {
      queue.restart((row) => inFlight.has(row));
      this.#due.add(queue.shard);
    }
    for (const row of lanes.forgetAbandoned()) row.queue.drop(row);
  }

  /** One pass; resolves to the milliseconds until the next one is needed. */
  async runOnce(): Promise<number> {
    if (!this.#plan.mayAct() || this.#queues.size === 0) {
      if (this.#queues.size === 0) this.endFullReads();
      return this.#plan.pollMaxMs;
    }
    this.#makeRoom();
    await this.#dirtyLook();
    await this.#sweep();
    const blocked = !(await this.#readPages());
    return this.#untilNext(blocked);
  }

  /** Reads again what was left out of lanes that have room now. */
  takeBackIn(): void {
    for (const [queue, lanes] of this.#plan.lanes.lanesWithRoom(this.#queues.values())) {
      for (const lane of lanes) queue.takeBackIn(lane);
    }
  }

  /** True when reading on would help the lanes that move. */
  get isHungry(): boolean {
    return isHungry(this.#needs(false, false), this.#plan.pageRows);
  }

  #makeRoom(): void {
    this.#plan.lanes.review(this.#plan.clock.monotonic());
    this.takeBackIn();
  }

  /** First half of a look; the pages that are read next are the second. */
  async #dirtyLook(): Promise<void> {
    const { clock, reader } = this.#plan;
    const now = clock.monotonic();
    if (now < this.#lookAt) return;
    const target = this.#horizon.target(now);
    const looks: { queue: ShardQueue; look: Look }[] = [];
    for (const queue of this.#queues.values()) {
      const look = queue.lowMark.plan(target);
      if (look) looks.push({ queue, look });
    }
    this.#lookAt = now + this.#lookEveryMs;
    this.#lookEveryMs = Math.min(LOOK_MAX_MS, this.#lookEveryMs * 2);
    if (looks.length === 0) return;
    const behind = looks.filter(({ queue }) => queue.lowestLeftOut !== undefined).length;
    const share = Math.floor(LOOK_POSITIONS / Math.max(1, behind));
    // Where nothing was left out, the first row that there is ends the look, and a backlog need not be listed for it.
    const asked = looks.map(({ queue, look }) => ({
      shard: queue.shard,
      ...look,
      limit: queue.lowestLeftOut === undefined ? 1 : share,
    }));
    const answers = await reader.dirtyPositions(asked);
    for (const [index, { queue, look }] of looks.entries()) {
      const positions = answers[index] ?? [];
      queue.lowMark.dirtyLook(look, positions, positions.length < (asked[index]?.limit ?? 0));
      this.#due.add(queue.shard);
    }
  }

  /** Finds rows below the low marks: there is none as long as the assumption on the lag holds (P-R2). */
  async #sweep(): Promise<void> {
    const { clock, reader, lanes, events, logger, sweepMs } = this.#plan;
    const began = clock.monotonic();
    if (began < this.#sweepAt) return;
    const sent = [...this.#queues.values()].flatMap((queue) => this.#sweepOf(queue));
    let pages: Page[] | undefined;
    try {
      this.#horizon.saw(await reader.highestPosition(), clock.monotonic());
      pages = sent.length === 0 ? [] : await reader.readPages(sent.map(({ request }) => request));
    } finally {
      for (const [index, one] of sent.entries()) {
        const { low } = one.queue;
        const stray = one.queue.deliverBelow(one, pages?.[index], lanes);
        if (!stray) continue;
        this.orderAlarms += 1;
        const { shard, position } = stray;
        logger.error({ shard, position, low }, 'Order alarm: a message appeared below the low mark. An INSERT took longer than lowLagMs.');
        events.emit('order-alarm', { shard, position, low });
      }
    }
    const now = clock.monotonic();
    this.#sweepAt = now + Math.max(sweepMs, 20 * (now - began));
  }

  #sweepOf(queue: ShardQueue): SentRequest[] {
    if (queue.low === 0) return [];
    const held = queue.lowestLeftOut ?? Number.POSITIVE_INFINITY;
    const sent = [queue.askBelow(0, Math.min(queue.low, held))];
    // Behind rows that were left out the sweep goes step by step: they are shown as well and may be many.
    if (held < queue.low) {
      const last = this.#sweptTo.get(queue.shard) ?? 0;
      const from = last > held && last < queue.low ? last : held;
      const to = Math.min(queue.low, from + SWEEP_POSITIONS);
      this.#sweptTo.set(queue.shard, to);
      sent.push(queue.askBelow(from, to));
    }
    return sent;
  }

  /** False when something ought to be read and memory has no room. */
  async #readPages(): Promise<boolean> {
    const { clock, reader, lanes, pageRows, maxRows, maxBytes, onRows, onParked } = this.#plan;
    const now = clock.monotonic();
    const poll = now >= Math.max(this.#pollAt, this.#restUntil);
    const queues = [...this.#queues.values()];
    const needs = this.#needs(poll, now >= this.#restUntil);
    const held = queues.reduce((sum, queue) => sum + queue.size + queue.parkedRows, 0);
    const heldBytes = queues.reduce((sum, queue) => sum + queue.heldBytes, 0);
    const plan = planRead(needs, {
      pageRows,
      freeRows: maxRows - held,
      freeBytes: maxBytes - heldBytes,
      averageBytes: this.#averageBytes,
      first: this.#firstShard,
    });
    if (!plan) return !needs.some((need) => need.due) && !isHungry(needs, pageRows);
    this.#firstShard = ((plan.shards.at(-1) ?? 0) + 1) % queues.length;
    const fullReads = poll && plan.shards.length === queues.length ? this.#fullReads.splice(0) : [];
    const sent = plan.shards.map((index) => (queues[index] as ShardQueue).ask(plan.limit(index), plan.inlineBytes));
    for (const { queue } of sent) this.#due.delete(queue.shard);
    let pages: Page[] | undefined;
    try {
      pages = await reader.readPages(sent.map(({ request }) => request));
    } catch (error) {
      this.#fullReads.unshift(...fullReads);
      throw error;
    } finally {
      this.#deliver(sent, pages, poll);
    }
    lanes.review(clock.monotonic());
    onRows();
    if (sent.some(({ queue }) => queue.parkedRows > 0)) onParked();
    for (const resolve of fullReads) resolve();
    return true;
  }

  #deliver(sent: readonly SentRequest[], pages: readonly Page[] | undefined, poll: boolean): void {
    const { clock, lanes, pollMinMs, pollMaxMs } = this.#plan;
    const now = clock.monotonic();
    let taken = 0;
    for (const [index, one] of sent.entries()) {
      const page = pages?.[index];
      const result = one.queue.deliver(one, page, lanes);
      taken += result.taken;
      if (result.rewound) this.#due.add(one.queue.shard);
      if (result.lowRose || result.taken > 0) this.#lookEveryMs = LOOK_MIN_MS;
      const last = page?.rows.at(-1) ?? page?.heads.at(-1);
      if (last) this.#horizon.saw(last.position, now);
      if (page && page.rows.length > 0) this.#learnSize(page);
    }
    if (taken > 0) this.#restUntil = now + REST_MS;
    else if (!poll) return;
    this.#lookAt = Math.min(this.#lookAt, now + this.#lookEveryMs);
    // What moves may lie behind any number of rows that do not.
    const found = taken > 0 || [...this.#queues.values()].some((queue) => queue.more);
    this.#pollMs = nextPollMs(this.#pollMs, found, pollMinMs, pollMaxMs);
    // Somebody may have asked for a full read while this one was under way.
    this.#pollAt = now + (this.#fullReads.length > 0 ? pollMinMs : this.#pollMs);
  }

  #needs(poll: boolean, rested: boolean): ShardNeed[] {
    const { stuck, filled } = this.#plan.lanes;
    const allStuck = stuck.size > 0 && stuck.size === filled.size;
    const waiting = this.#plan.lanes.waiting(this.#queues.keys());
    return [...this.#queues.values()].map((queue) => ({
      due: poll || (rested && this.#due.has(queue.shard)),
      // While nothing moves at all, reading past it is not worth more than a poll's pace.
      more: queue.more && (!allStuck || poll || this.#due.has(queue.shard)),
      waiting: waiting.get(queue.shard) ?? 0,
    }));
  }

  #learnSize(page: Page): void {
    const average = page.rows.reduce((sum, row) => sum + row.bytes, 0) / page.rows.length;
    this.#averageBytes = Math.max(64, average > this.#averageBytes ? average : this.#averageBytes * 0.9 + average * 0.1);
  }

  #untilNext(blocked: boolean): number {
    if (blocked) return BLOCKED_MS;
    if (this.isHungry) return 0;
    const wanted = this.#due.size > 0 ? 0 : this.#pollAt;
    const next = Math.min(Math.max(wanted, this.#restUntil), this.#lookAt, this.#sweepAt);
    return Math.max(0, Math.ceil(next - this.#plan.clock.monotonic()));
  }
}
