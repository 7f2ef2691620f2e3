import { type BackoffOptions, backoffMs, bucketOf } from '@txbox/core/spi';
import type { RowHead, TopicPin } from '@txbox/outbox/store';
import { type HoldReason, Lane, type LanePolicy, type RequestRoom } from './lane.ts';
import { switchingText } from './pinned-partitions.ts';
import type { LaneRouter, QueuedRow, RelayLane, ShardQueue } from './shard-queue.ts';

/** Partition of rows whose topic has not been described yet. */
const UNRESOLVED = -1;

/** Bounds of what waits in memory for lanes that do not move. */
export interface StuckBounds {
  readonly rows: number;
  readonly bytes: number;
  /** A request that is unanswered for longer counts as stuck, milliseconds. */
  readonly afterMs: number;
}

/**
 * A topic and its lanes:
 *
 * ```
 * unresolved ── describe ──► resolved ── request refused for the topic ──► held ── describe, after retryAt ──► resolved
 *     └── describe failed ──────────────────────────────────────────────────┘ ▲ └── failed ──┘
 *
 * resolved ── its pin says that it is being switched ──► switching ── switch given up ──► resolved
 *                                                            └── another count, no request unanswered ──► unresolved
 * ```
 */
export class TopicLanes {
  readonly topic: string;
  /** Where rows wait until the number of partitions is known. */
  readonly unresolved: RelayLane;
  readonly lanes: Map<number, RelayLane> = new Map();
  partitions: number | undefined;
  /** When the unanswered question was asked, by the monotonic clock. */
  askedAt: number | undefined;
  attempts = 0;
  retryAt = 0;
  reason: HoldReason | undefined;
  /** The topic is being switched to another count (P-R12): nothing of it is sent or asked. */
  switching: HoldReason | undefined;
  /** It was switched, and requests by the count before are unanswered: until they are, nothing is sent. */
  outdated = false;
  /** That it is being switched was told. */
  told = false;

  constructor(topic: string, policy: LanePolicy) {
    this.topic = topic;
    this.unresolved = new Lane(topic, UNRESOLVED, policy);
  }

  /** True while nothing of the topic may be sent. */
  get isHeld(): boolean {
    return this.reason !== undefined || this.switching !== undefined || this.outdated;
  }

  *all(): Generator<RelayLane> {
    yield this.unresolved;
    yield* this.lanes.values();
  }
}

/** All lanes of a relay: which row belongs where, which lane may send, which one does not move. Does no I/O. */
export class LaneTable implements LaneRouter {
  readonly #policy: LanePolicy;
  readonly #topicBackoff: BackoffOptions;
  readonly #bounds: StuckBounds;
  readonly #topics: Map<string, TopicLanes> = new Map();
  /** Lanes with rows. */
  readonly #filled: Set<RelayLane> = new Set();
  #stuck: ReadonlySet<RelayLane> = new Set();
  /** The newest pins that are known. */
  readonly #pins: Map<string, TopicPin> = new Map();

  constructor(policy: LanePolicy, topicBackoff: BackoffOptions, bounds: StuckBounds) {
    this.#policy = policy;
    this.#topicBackoff = topicBackoff;
    this.#bounds = bounds;
  }

  /** Lanes that do not move, as of the last `review`. */
  get stuck(): ReadonlySet<RelayLane> {
    return this.#stuck;
  }

  /** Lanes with rows in memory. */
  get filled(): ReadonlySet<RelayLane> {
    return this.#filled;
  }

  /** Rows of each shard that wait to be sent in lanes that move, unanswered ones not among them. */
  waiting(shards: Iterable<number>): Map<number, number> {
    const waiting = new Map(Array.from(shards, (shard) => [shard, 0]));
    for (const lane of this.#filled) {
      if (lane.size === lane.inFlight || this.#stuck.has(lane)) continue;
      for (const [shard, rows] of waiting) waiting.set(shard, rows + lane.sizeOf(shard) - lane.inFlightOf(shard));
    }
    return waiting;
  }

  get topics(): Iterable<TopicLanes> {
    return this.#topics.values();
  }

  topicOf(lane: RelayLane): TopicLanes {
    return this.#topic(lane.topic);
  }

  // P-R5, P-T1: murmur2 of the key, or of the id where there is none, modulo the pinned count.
  laneOf(row: RowHead): RelayLane {
    const topic = this.#topic(row.topic);
    return topic.partitions === undefined ? topic.unresolved : this.#lane(topic, bucketOf(row.key ?? row.id, topic.partitions));
  }

  isFull(lane: RelayLane): boolean {
    return this.#stuck.has(lane) && (lane.size >= this.#allowedRows() || lane.bytes >= this.#allowedBytes());
  }

  isHeldUp(lane: RelayLane): boolean {
    return this.#stuck.has(lane);
  }

  enqueue(lane: RelayLane, row: QueuedRow): void {
    lane.enqueue(row);
    this.#filled.add(lane);
  }

  /** Topics that the broker must be asked about now; marks them as asked. */
  takeQuestions(now: number): TopicLanes[] {
    const due = [...this.#topics.values()].filter(
      (topic) => topic.askedAt === undefined && now >= topic.retryAt && this.#isOpenQuestion(topic),
    );
    for (const topic of due) topic.askedAt = now;
    return due;
  }

  /** The topic is there, and pinned so. The caller then takes back in what was left out of `unresolved`. */
  resolve(topic: TopicLanes, asked: TopicPin): void {
    const known = this.#pins.get(topic.topic);
    // What the leases' pass has read meanwhile is newer, unless it saw an earlier count.
    const pin = known && known.generation >= asked.generation ? known : asked;
    this.#pins.set(topic.topic, pin);
    topic.askedAt = undefined;
    topic.reason = undefined;
    topic.partitions ??= pin.partitions;
    this.#apply(topic);
    for (const row of topic.unresolved.takeAll()) this.enqueue(this.laneOf(row.row), row);
    this.#filled.delete(topic.unresolved);
    // What was refused for the topic is tried at once: the topic's own back-off has just been waited for.
    for (const lane of topic.lanes.values()) if (lane.reason?.kind === 'topic') lane.retryAt = 0;
  }

  /**
   * What all pins are now (P-R12): topics that are being switched are held, and go on when they are not any more. Asked for before
   * leases are renewed, so that nothing is sent by a pin that is older than the leases are trusted. Returns the topics of which
   * this is to be told.
   */
  learnPins(pins: readonly TopicPin[]): TopicLanes[] {
    for (const pin of pins) this.#pins.set(pin.topic, pin);
    const changed: TopicLanes[] = [];
    for (const topic of this.#topics.values()) {
      this.#apply(topic);
      if (topic.told === (topic.switching !== undefined)) continue;
      topic.told = topic.switching !== undefined;
      changed.push(topic);
    }
    return changed;
  }

  /**
   * Takes the rows of topics that have another count by now out of their lanes, where no request is unanswered: they wait for the
   * topic to be described. True when there were some; the caller then takes back in what was left out, before any page arrives.
   */
  reroute(): boolean {
    let moved = false;
    for (const topic of this.#topics.values()) {
      if (!topic.outdated || [...topic.lanes.values()].some((lane) => lane.inFlight > 0)) continue;
      // The rows of a key are all in one lane, so their order is kept.
      const rows = [...topic.lanes.values()].flatMap((lane) => lane.takeAll());
      for (const lane of topic.lanes.values()) this.#filled.delete(lane);
      topic.lanes.clear();
      topic.partitions = undefined;
      topic.outdated = false;
      topic.reason = undefined;
      topic.retryAt = 0;
      for (const row of rows) this.enqueue(topic.unresolved, row);
      moved = true;
    }
    return moved;
  }

  /** Nothing of the topic is sent until a description succeeds (P-R10). */
  holdTopic(topic: TopicLanes, reason: HoldReason, now: number, random: () => number): void {
    topic.askedAt = undefined;
    topic.attempts += 1;
    topic.reason = reason;
    topic.retryAt = now + backoffMs(this.#topicBackoff, topic.attempts, random);
  }

  /** A lane that may begin a request now, among those given. */
  isReady(lane: RelayLane, now: number): boolean {
    return lane.partition !== UNRESOLVED && !this.topicOf(lane).isHeld && lane.ready(now);
  }

  /** Begins the lane's next request; the lane comes last when the next one is looked for. */
  next(lane: RelayLane, now: number, room: RequestRoom): readonly QueuedRow[] | undefined {
    this.#filled.delete(lane);
    this.#filled.add(lane);
    return lane.next(now, room);
  }

  acknowledge(lane: RelayLane): readonly QueuedRow[] {
    const rows = lane.acknowledge();
    this.#topic(lane.topic).attempts = 0;
    if (lane.size === 0) this.#filled.delete(lane);
    return rows;
  }

  /** A request's single row was parked, with its key, or skipped alone: what leaves memory is read again (P-R4). */
  giveUp(lane: RelayLane, row: QueuedRow, withKey: boolean): void {
    const { key } = row.row;
    const leaves = (other: QueuedRow): boolean =>
      other === row || (withKey && key !== null && other.row.key !== null && key.equals(other.row.key));
    const gone = lane.giveUp(leaves);
    if (lane.size === 0) this.#filled.delete(lane);
    for (const [queue, rows] of Map.groupBy(gone, (one) => one.queue)) queue.readAgain(rows);
  }

  /** When, by the monotonic clock, something that waits may be tried again; infinity = nothing waits. */
  nextTryAt(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const topic of this.#topics.values()) {
      if (topic.askedAt === undefined && this.#isOpenQuestion(topic)) next = Math.min(next, topic.retryAt);
    }
    // Lanes of a topic that is held wait for the topic.
    for (const lane of this.#filled) {
      if (lane.inFlight === 0 && lane.reason && !this.topicOf(lane).isHeld) next = Math.min(next, lane.retryAt);
    }
    return next;
  }

  /** Rows of all unanswered requests. */
  inFlight(): Set<QueuedRow> {
    return new Set([...this.#filled].flatMap((lane) => lane.inFlightRows()));
  }

  /** Drops abandoned rows of every lane that are not in flight; returns them. */
  forgetAbandoned(): QueuedRow[] {
    const gone: QueuedRow[] = [];
    for (const lane of this.#filled) {
      gone.push(...lane.forgetAbandoned());
      if (lane.size === 0) this.#filled.delete(lane);
    }
    return gone;
  }

  /** True for a lane that does not move: held more than once, or of a held topic, or without an answer for long. */
  isStuck(lane: RelayLane, now: number): boolean {
    const topic = this.#topic(lane.topic);
    if (topic.isHeld) return true;
    if (topic.askedAt !== undefined && now - topic.askedAt > this.#bounds.afterMs) return true;
    return lane.attempts >= 2 || (lane.inFlight > 0 && now - lane.sentAt > this.#bounds.afterMs);
  }

  /** Finds the lanes that do not move and leaves what exceeds their share out of memory (P-R10). */
  review(now: number): void {
    const stuck = new Set<RelayLane>();
    for (const lane of this.#filled) if (this.isStuck(lane, now)) stuck.add(lane);
    this.#stuck = stuck;
    for (const lane of stuck) {
      const gone = lane.trim(this.#allowedRows(), this.#allowedBytes());
      const byQueue = Map.groupBy(gone, (row) => row.queue);
      for (const [queue, rows] of byQueue) queue.leaveOut(lane, rows);
    }
  }

  /** Lanes of which rows were left out and that have room for them again. */
  lanesWithRoom(queues: Iterable<ShardQueue>): Map<ShardQueue, RelayLane[]> {
    const found = new Map<ShardQueue, RelayLane[]>();
    for (const queue of queues) {
      if (queue.lowestLeftOut === undefined) continue;
      const lanes = [...queue.leftOutLanes()].filter((lane) => this.#hasRoom(lane));
      if (lanes.length > 0) found.set(queue, lanes);
    }
    return found;
  }

  /** Where the publisher is seen to work again, transient back-offs are cut to a second at most. */
  hasten(now: number, random: () => number): void {
    for (const lane of this.#filled) lane.hasten(now + random() * 1_000);
  }

  #hasRoom(lane: RelayLane): boolean {
    const topic = this.topicOf(lane);
    // A lane without a known partition has none any more once its topic is resolved.
    if (lane.partition === UNRESOLVED) return topic.partitions !== undefined;
    // A lane of an earlier count: its keys are in others now.
    if (topic.lanes.get(lane.partition) !== lane) return true;
    return !this.#stuck.has(lane) && lane.size <= this.#policy.limits.rows;
  }

  #isOpenQuestion(topic: TopicLanes): boolean {
    if (topic.switching || topic.outdated) return false;
    return topic.reason !== undefined || (topic.partitions === undefined && topic.unresolved.size > 0);
  }

  // Unanswered requests may take half of the memory, and what else stuck lanes hold a quarter; each keeps its first row.
  #allowedRows(): number {
    return Math.min(this.#policy.limits.rows, Math.floor(this.#bounds.rows / 4 / Math.max(1, this.#stuck.size)));
  }

  #allowedBytes(): number {
    return Math.min(this.#policy.limits.bytes, Math.floor(this.#bounds.bytes / 4 / Math.max(1, this.#stuck.size)));
  }

  #topic(name: string): TopicLanes {
    let topic = this.#topics.get(name);
    if (!topic) {
      topic = new TopicLanes(name, this.#policy);
      this.#topics.set(name, topic);
      this.#apply(topic);
    }
    return topic;
  }

  #apply(topic: TopicLanes): void {
    const pin = this.#pins.get(topic.topic);
    if (!pin) return;
    // Whatever a description said meanwhile is asked again at once.
    if (topic.switching && !pin.switching) topic.retryAt = 0;
    topic.switching = pin.switching ? { kind: 'topic', code: 'TOPIC_SWITCHING', message: switchingText(pin) } : undefined;
    topic.outdated = topic.partitions !== undefined && topic.partitions !== pin.partitions;
  }

  #lane(topic: TopicLanes, partition: number): RelayLane {
    let lane = topic.lanes.get(partition);
    if (!lane) {
      lane = new Lane<QueuedRow>(topic.topic, partition, this.#policy);
      topic.lanes.set(partition, lane);
    }
    return lane;
  }
}
