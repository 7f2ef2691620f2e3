import {
  type BackoffOptions,
  backoffMs,
  bucketOf,
  type Clock,
  HEADER,
  type MessageId,
  messageIdFromBytes,
  type Publisher,
  type PublishFailureKind,
  TxboxError,
} from '@txbox/core/spi';
import type { ArchivedMessage, ArchiveFilter, ArchiveSpan, OutboxArchive, TopicPins } from '@txbox/outbox/store';
import { type BatchLimits, batchLength } from '../batch.ts';
import { confirmedPublish, failureKind } from '../confirmed-publish.ts';
import { describeError } from '../foreign-error.ts';
import { PinnedCounts } from '../pinned-partitions.ts';
import { publishedAtHeader, wireRecord } from '../wire-record.ts';

/** What a replay works with. */
export interface ReplayPlan {
  readonly archive: Pick<OutboxArchive, 'read'>;
  readonly publisher: Publisher;
  readonly pins: TopicPins;
  readonly clock: Clock;
  readonly random: () => number;
  readonly filter: ArchiveFilter;
  readonly span: ArchiveSpan;
  readonly messagesPerSecond: number;
  /** Stands in the header `txbox-replay` of every record. */
  readonly replayId: MessageId;
  /** Aborted: nothing new is sent. */
  readonly signal: AbortSignal;
  readonly onProgress: (progress: ReplayProgress) => void;
}

/** How far a replay is. */
export interface ReplayProgress {
  /** Messages whose publishing was acknowledged. */
  readonly sent: number;
  /** Everything that matches up to this place is sent: a later replay may go on after it. */
  readonly after: number;
}

/** What a replay did. */
export interface ReplayOutcome extends ReplayProgress {
  /** `complete`: the whole span; `interrupted`: the signal was aborted; `failed`: see `failure`. */
  readonly ended: 'complete' | 'interrupted' | 'failed';
  readonly failure?: ReplayFailure;
}

/** Why a replay could not go on. */
interface ReplayFailure {
  readonly code: string;
  readonly message: string;
  /** The first message of the request that failed; left out when the archive could not be read. */
  readonly id?: MessageId;
  readonly topic?: string;
}

/** Messages of a page: of a quarter of a second, so that none is sent much too early. */
const PAGES_PER_SECOND = 4;
const MAX_PAGE_MESSAGES = 500;
const PAGE_BYTES = 8_388_608;
const BATCH_BYTES = 524_288;
/** Unanswered requests, each of another lane. */
const MAX_REQUESTS = 32;
const RETRY: BackoffOptions = { baseMs: 200, capMs: 5_000 };
const MAX_ATTEMPTS = 6;

/**
 * Publishes archived messages again, in the archive's order: page after page, of a page the lanes side by side, and in each lane
 * one unacknowledged request at a time (P-R4). So each key's order is kept however often a request is repeated, and whoever goes
 * on after `after`, also of a replay that was killed, sends some twice and leaves none out. Never rejects.
 */
export async function replay(plan: ReplayPlan): Promise<ReplayOutcome> {
  return await new Replay(plan).run();
}

/** Messages of one lane in one page. */
interface LanePart {
  readonly topic: string;
  readonly partition: number;
  readonly messages: ArchivedMessage[];
  /** So many are acknowledged. */
  sent: number;
}

class Replay {
  readonly #plan: ReplayPlan;
  readonly #counts: PinnedCounts;
  /** The counts by which the present page is sent. */
  readonly #partitions: Map<string, number> = new Map();
  readonly #limits: BatchLimits;
  /** Aborted by the first failure: the other lanes begin nothing new. */
  readonly #failed = new AbortController();
  readonly #ending: AbortSignal;
  #failure: ReplayFailure | undefined;
  #sent = 0;
  #after: number;
  #dueAt: number;

  constructor(plan: ReplayPlan) {
    this.#plan = plan;
    this.#after = plan.span.after;
    this.#counts = new PinnedCounts(plan.publisher, plan.pins, plan.clock);
    this.#dueAt = plan.clock.monotonic();
    const bytes = Math.min(BATCH_BYTES, plan.publisher.maxRecordBytes);
    this.#limits = { rows: MAX_PAGE_MESSAGES, bytes, loneRowBytes: bytes };
    this.#ending = AbortSignal.any([plan.signal, this.#failed.signal]);
  }

  async run(): Promise<ReplayOutcome> {
    const { archive, filter, span, messagesPerSecond, onProgress } = this.#plan;
    const limit = Math.max(1, Math.min(MAX_PAGE_MESSAGES, Math.floor(messagesPerSecond / PAGES_PER_SECOND)));
    while (this.#after < span.upTo && !this.#ending.aborted) {
      const page = await this.#patiently(
        () => archive.read(filter, { ...span, after: this.#after }, limit, PAGE_BYTES),
        () => 'transient',
      );
      if (!page) break;
      const { messages, upTo } = page;
      await this.#pace(messages.length);
      if (this.#ending.aborted) break;
      this.#after = Math.min(upTo, (await this.#firstUnsent(messages)) - 1);
      onProgress({ sent: this.#sent, after: this.#after });
    }
    const progress = { sent: this.#sent, after: this.#after };
    if (this.#failure) return { ...progress, ended: 'failed', failure: this.#failure };
    return { ...progress, ended: this.#after < span.upTo ? 'interrupted' : 'complete' };
  }

  /** Waits until a page of so many may go. What was late is not made up for. */
  async #pace(messages: number): Promise<void> {
    if (messages === 0) return;
    const { clock, messagesPerSecond } = this.#plan;
    const left = this.#dueAt - clock.monotonic();
    if (left > 0) await clock.sleep(left, this.#ending);
    this.#dueAt = Math.max(this.#dueAt, clock.monotonic()) + (messages * 1_000) / messagesPerSecond;
  }

  /** Sends a page; the lowest place that is not acknowledged in the end. */
  async #firstUnsent(messages: readonly ArchivedMessage[]): Promise<number> {
    const [first] = messages;
    if (!first) return Number.POSITIVE_INFINITY;
    for (const topic of new Set(messages.map((message) => message.topic))) {
      if (!(await this.#learn(topic, messages))) return first.place;
    }
    const lanes = this.#lanesOf(messages);
    const waiting = [...lanes];
    const work = async (): Promise<void> => {
      for (let lane = waiting.shift(); lane; lane = waiting.shift()) await this.#sendLane(lane);
    };
    await Promise.all(Array.from({ length: Math.min(MAX_REQUESTS, lanes.length) }, work));
    return Math.min(...lanes.map((lane) => lane.messages[lane.sent]?.place ?? Number.POSITIVE_INFINITY));
  }

  /** False when the topic's partitions cannot be had. */
  async #learn(topic: string, messages: readonly ArchivedMessage[]): Promise<boolean> {
    const { publisher } = this.#plan;
    const partitions = await this.#patiently(
      async () => (await this.#counts.of(topic)).partitions,
      (error) => failureKind(publisher, error),
      messages.find((message) => message.topic === topic),
    );
    if (partitions !== undefined) this.#partitions.set(topic, partitions);
    return partitions !== undefined;
  }

  #lanesOf(messages: readonly ArchivedMessage[]): LanePart[] {
    const lanes = new Map<string, LanePart>();
    for (const message of messages) {
      const { topic, key, id } = message;
      const partition = bucketOf(key ?? id, this.#partitions.get(topic) as number);
      const name = `${topic}/${partition}`;
      const lane = lanes.get(name) ?? { topic, partition, messages: [], sent: 0 };
      lanes.set(name, lane);
      lane.messages.push(message);
    }
    return [...lanes.values()];
  }

  async #sendLane(lane: LanePart): Promise<void> {
    let atMost = MAX_PAGE_MESSAGES;
    while (lane.sent < lane.messages.length && !this.#ending.aborted) {
      const length = batchLength(lane.messages, lane.sent, this.#limits, atMost);
      const answer = await this.#send(lane, lane.messages.slice(lane.sent, lane.sent + length));
      if (answer === 'ended') return;
      if (answer === 'refused') {
        // One of several is refused for what it is: what stands before it goes.
        atMost = 1;
        continue;
      }
      lane.sent += length;
      this.#sent += length;
    }
  }

  async #send({ topic, partition }: LanePart, batch: readonly ArchivedMessage[]): Promise<'sent' | 'refused' | 'ended'> {
    const { publisher, replayId } = this.#plan;
    let refused = false;
    const sent = await this.#patiently(
      async () => {
        const mark = [HEADER.replay, Buffer.from(replayId)] as const;
        const records = batch.map((one) => wireRecord(one, one.payload, [publishedAtHeader(one.publishedAt), mark]));
        const { partitions } = await this.#counts.of(topic);
        if (partitions !== this.#partitions.get(topic)) throw grown(topic);
        await confirmedPublish(publisher, { topic, partition, records });
        return true;
      },
      (error) => {
        const kind = failureKind(publisher, error);
        refused = kind === 'record' && batch.length > 1;
        return refused ? 'refused' : kind;
      },
      batch[0],
    );
    return sent ? 'sent' : refused ? 'refused' : 'ended';
  }

  /**
   * Tries again what may pass, a few times. `undefined`: it did not, and is noted as the failure, or the replay is ending, or it is
   * `refused`.
   */
  async #patiently<T>(
    attempt: () => Promise<T>,
    kindOf: (error: unknown) => PublishFailureKind | 'refused',
    message?: ArchivedMessage,
  ): Promise<T | undefined> {
    const { clock, random } = this.#plan;
    for (let attempts = 1; ; attempts++) {
      try {
        return await attempt();
      } catch (error) {
        const kind = kindOf(error);
        if (kind === 'refused') return undefined;
        if (kind !== 'transient' || attempts >= MAX_ATTEMPTS) {
          this.#fail(error, message);
          return undefined;
        }
      }
      if (this.#ending.aborted) return undefined;
      await clock.sleep(backoffMs(RETRY, attempts, random), this.#ending);
      if (this.#ending.aborted) return undefined;
    }
  }

  #fail(error: unknown, message: ArchivedMessage | undefined): void {
    // The first one is the reason; others fail beside it.
    this.#failure ??= {
      ...describeError(error),
      ...(message && { id: messageIdFromBytes(message.id), topic: message.topic }),
    };
    this.#failed.abort();
  }
}

/** In the middle of a page: whoever goes on sends the rest by the new count. */
function grown(topic: string): TxboxError {
  return new TxboxError('TOPIC_SWITCHING', `Topic ${topic} was given other partitions while it was replayed. Go on after the last place.`, {
    details: { topic },
  });
}
