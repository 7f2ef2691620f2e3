import { type Clock, type Logger, messageIdFromBytes, type Publisher, parkingReason, TxboxError, type WireRecord } from '@txbox/core/spi';
import type { OutboxParker, OutboxReader, TopicPins } from '@txbox/outbox/store';
import { confirmedPublish, failureKind } from './confirmed-publish.ts';
import { describeError } from './foreign-error.ts';
import type { HoldReason } from './lane.ts';
import type { LaneTable, TopicLanes } from './lane-table.ts';
import { pinnedTopic } from './pinned-partitions.ts';
import type { RelayEmitter } from './relay-event.ts';
import type { QueuedRow, RelayLane } from './shard-queue.ts';
import { wireRecord } from './wire-record.ts';

/** What a sender works with. */
export interface SenderPlan {
  readonly publisher: Publisher;
  readonly payloads: Pick<OutboxReader, 'loadPayloads'>;
  readonly pins: TopicPins;
  readonly parker: OutboxParker;
  readonly onPermanentFailure: OnPermanentFailure;
  readonly lanes: LaneTable;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly events: RelayEmitter;
  readonly random: () => number;
  /** Most unanswered requests that are not stuck. */
  readonly maxRequests: number;
  /** Most bytes in unanswered requests that are not stuck, and half of the most in all; a single request may have more. */
  readonly maxBytes: number;
  /** About the most rows in unanswered requests. */
  readonly maxRows: number;
  /** False while the relay may not trust its leases (P-R8): nothing new is sent. */
  readonly mayAct: () => boolean;
  /** Rows are in the log. */
  readonly onAcknowledged: (rows: readonly QueuedRow[], now: number) => void;
  /** A request or question has ended, rows of given-up shards left their lanes. */
  readonly onProgress: (gone: readonly QueuedRow[]) => void;
}

/** A request takes at most one part in so many of the room that unanswered requests have left. */
const ROOM_SHARE = 4;

/** What becomes of a message that the broker refuses for what it is (P-R10). */
export type OnPermanentFailure = 'park-key' | 'hold' | 'skip-message';

/** Sends what the lanes offer: one request per lane at a time, lanes side by side (P-R4, P-R5). */
export class Sender {
  readonly #plan: SenderPlan;
  readonly #unanswered: Set<Promise<void>> = new Set();
  #requests = 0;
  #rows = 0;
  #bytes = 0;
  #timer: NodeJS.Timeout | undefined;
  #ended = false;
  published = 0;
  failed = 0;
  parked = 0;

  constructor(plan: SenderPlan) {
    this.#plan = plan;
  }

  /** Begins everything that may begin now, and arranges to be called when a back-off has passed. */
  pump(): void {
    if (this.#ended) return;
    const { lanes, clock, mayAct, maxRequests, maxRows, maxBytes } = this.#plan;
    if (!mayAct()) return;
    const now = clock.monotonic();
    for (const topic of lanes.takeQuestions(now)) this.#track(this.#ask(topic));
    const stuck = this.#stuckRequests();
    for (const lane of lanes.filled) {
      // Asked for each: the process may be frozen at any moment, and awake when its shards are another's.
      if (!mayAct()) return;
      if (this.#requests - stuck.requests >= maxRequests) break;
      if (this.#bytes - stuck.bytes >= maxBytes || this.#bytes >= 2 * maxBytes) break;
      if (!lanes.isReady(lane, now)) continue;
      // A share of what is left, so that any number of requests without an answer leaves some for others.
      const room = { rows: Math.floor((maxRows - this.#rows) / ROOM_SHARE), bytes: (2 * maxBytes - this.#bytes) / ROOM_SHARE };
      const rows = lanes.next(lane, now, room);
      if (rows) this.#track(this.#send(lane, rows, now));
    }
    this.#arrange(now);
  }

  /** Resolves when no request and no question is unanswered. */
  async quiet(): Promise<void> {
    while (this.#unanswered.size > 0) await Promise.all(this.#unanswered);
  }

  /** Begins nothing any more. */
  end(): void {
    this.#ended = true;
    clearTimeout(this.#timer);
  }

  async #send(lane: RelayLane, rows: readonly QueuedRow[], sentAt: number): Promise<void> {
    const { lanes, clock, events, onAcknowledged, onProgress } = this.#plan;
    const bytes = lane.inFlightBytes;
    this.#requests += 1;
    this.#rows += rows.length;
    this.#bytes += bytes;
    const held = lane.attempts > 0;
    try {
      await this.#publish(lane, rows);
      const now = clock.monotonic();
      const acknowledged = lanes.acknowledge(lane);
      this.published += acknowledged.length;
      onAcknowledged(acknowledged, now);
      if (held) this.#recovered(lane, now);
      events.emit('published', { topic: lane.topic, partition: lane.partition, messages: rows.length, sendMs: now - sentAt });
      onProgress([]);
    } catch (error) {
      onProgress(await this.#refused(lane, error));
    } finally {
      this.#requests -= 1;
      this.#rows -= rows.length;
      this.#bytes -= bytes;
    }
    this.pump();
  }

  async #publish(lane: RelayLane, rows: readonly QueuedRow[]): Promise<void> {
    const { lanes, mayAct } = this.#plan;
    const { topic, partition } = lane;
    const absent = rows.filter(({ row }) => row.payload === null);
    const loaded = absent.length === 0 ? undefined : await this.#load(absent);
    const records: WireRecord[] = [];
    for (const queued of rows) {
      const value = queued.row.payload ?? loaded?.get(queued);
      // Gone from the outbox: another relay published and settled it, or an operator took it away.
      if (value !== undefined) records.push(wireRecord(queued.row, value));
    }
    if (records.length === 0) return;
    // Loading may have taken long; whoever counts on silence counts from when leases and pins were looked at (P-R11, P-R12).
    if (loaded && (!mayAct() || lanes.topicOf(lane).isHeld)) {
      throw new TxboxError('PUBLISH_UNKNOWN', `Payloads for topic ${topic} were loaded too late to be sent, and are sent again.`);
    }
    await confirmedPublish(this.#plan.publisher, { topic, partition, records });
  }

  async #load(rows: readonly QueuedRow[]): Promise<Map<QueuedRow, Buffer>> {
    const payloads = new Map<QueuedRow, Buffer>();
    for (const [, ofShard] of Map.groupBy(rows, (row) => row.shard)) {
      const found = await this.#plan.payloads.loadPayloads(ofShard.map(({ row }) => row));
      for (const row of ofShard) {
        const payload = found.get(row.row.position);
        if (payload) payloads.set(row, payload);
      }
    }
    return payloads;
  }

  /** P-R10: what failed stays at the head of its lane, but a message that is refused for what it is. */
  async #refused(lane: RelayLane, error: unknown): Promise<readonly QueuedRow[]> {
    const { lanes, clock, events, logger, onPermanentFailure } = this.#plan;
    const reason = { kind: failureKind(this.#plan.publisher, error), ...describeError(error) };
    this.failed += 1;
    const several = lane.inFlight > 1;
    const { topic, partition, inFlight: messages } = lane;
    events.emit('retried', { topic, partition, messages, reason, sendMs: clock.monotonic() - lane.sentAt });
    const [row] = lane.inFlightRows();
    if (reason.kind === 'record' && !several && row && !row.abandoned && onPermanentFailure !== 'hold') {
      if (await this.#parked(lane, row, reason)) return [];
    }
    const now = clock.monotonic();
    const gone = lane.fail(reason, now);
    if (reason.kind === 'topic') this.#holdTopic(lanes.topicOf(lane), reason);
    else if (reason.kind === 'transient' || !several) {
      const { attempts } = lane;
      const retryInMs = Math.max(0, lane.retryAt - now);
      logger.warn(
        { topic, partition, code: reason.code, attempts, retryInMs: Math.ceil(retryInMs), reason: reason.message },
        'A lane is held.',
      );
      events.emit('held', { topic, partition, reason, attempts, retryInMs });
    }
    return gone;
  }

  /** P-R9, P-R11: the message becomes a dead letter while its lane still waits. False when the database did not take it. */
  async #parked(lane: RelayLane, queued: QueuedRow, reason: HoldReason): Promise<boolean> {
    const { parker, lanes, events, logger, onPermanentFailure } = this.#plan;
    const { row } = queued;
    const { topic, partition } = lane;
    const attempts = lane.attempts + 1;
    const keyGoesOn = onPermanentFailure === 'skip-message';
    const failure = { reason: parkingReason(reason.code, reason.message), attempts, partition, mayBePublished: queued.mayBePublished };
    try {
      await (keyGoesOn ? parker.skip(row, failure) : parker.park(row, failure));
    } catch (error) {
      const { code, message } = describeError(error);
      logger.warn({ topic, partition, code, reason: message }, 'A refused message could not be set aside, and is tried again.');
      events.emit('failed', { what: 'park', code, message });
      return false;
    }
    // A number's gap marker stands in the message's place: what follows is read again, behind it.
    lanes.giveUp(lane, queued, !keyGoesOn || row.sequence !== null);
    this.parked += 1;
    const id = messageIdFromBytes(row.id);
    logger.error({ topic, partition, id, code: reason.code, attempts, keyGoesOn, reason: reason.message }, 'A message is a dead letter.');
    events.emit('parked', { topic, partition, id: row.id, key: row.key, reason, attempts, keyGoesOn });
    return true;
  }

  /** P-R12: the count is pinned at first sight; rows go by the pinned count, whatever the broker says later. */
  async #ask(topic: TopicLanes): Promise<void> {
    const { publisher, pins, lanes, events, logger, onProgress } = this.#plan;
    try {
      const pin = await pinnedTopic(publisher, pins, topic.topic);
      const wasHeld = topic.reason !== undefined;
      lanes.resolve(topic, pin);
      if (wasHeld) {
        logger.info({ topic: topic.topic }, 'A topic moves again.');
        events.emit('recovered', { topic: topic.topic });
      }
    } catch (error) {
      this.#holdTopic(topic, { kind: failureKind(publisher, error), ...describeError(error) });
    }
    onProgress([]);
    this.pump();
  }

  #holdTopic(topic: TopicLanes, reason: HoldReason): void {
    const { lanes, clock, events, logger, random } = this.#plan;
    const now = clock.monotonic();
    lanes.holdTopic(topic, reason, now, random);
    const { attempts } = topic;
    const retryInMs = Math.max(0, topic.retryAt - now);
    logger.warn(
      { topic: topic.topic, code: reason.code, attempts, retryInMs: Math.ceil(retryInMs), reason: reason.message },
      'A topic is held.',
    );
    events.emit('held', { topic: topic.topic, reason, attempts, retryInMs });
  }

  #recovered(lane: RelayLane, now: number): void {
    const { topic, partition } = lane;
    this.#plan.logger.info({ topic, partition }, 'A lane moves again.');
    this.#plan.events.emit('recovered', { topic, partition });
    this.#plan.lanes.hasten(now, this.#plan.random);
  }

  #stuckRequests(): { readonly requests: number; readonly bytes: number } {
    let requests = 0;
    let bytes = 0;
    for (const lane of this.#plan.lanes.stuck) {
      if (lane.inFlight === 0) continue;
      requests += 1;
      bytes += lane.inFlightBytes;
    }
    return { requests, bytes };
  }

  #track(work: Promise<void>): void {
    this.#unanswered.add(work);
    void work.finally(() => this.#unanswered.delete(work));
  }

  #arrange(now: number): void {
    clearTimeout(this.#timer);
    const at = this.#plan.lanes.nextTryAt();
    if (!Number.isFinite(at)) return;
    this.#timer = setTimeout(() => this.pump(), Math.max(1, Math.ceil(at - now)));
  }
}
