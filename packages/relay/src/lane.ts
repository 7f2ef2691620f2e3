import { type BackoffOptions, backoffMs, type PublishFailureKind } from '@txbox/core/spi';
import { type BatchLimits, batchLength } from './batch.ts';

/** What a lane must know of a row. */
export interface LaneRow {
  readonly shard: number;
  /** Bytes of key, headers and payload. */
  readonly bytes: number;
  /** Set when the relay gave the row's shard up: a row that is not acknowledged is forgotten then. */
  abandoned: boolean;
  /** Set when a request with this row ended without a certain answer. */
  mayBePublished: boolean;
}

/** Why a lane or topic does not move. */
export interface HoldReason {
  readonly kind: PublishFailureKind;
  /** An error code of the framework, or the foreign error's own. */
  readonly code: string;
  readonly message: string;
}

/** What is left for one more request. */
export interface RequestRoom {
  readonly rows: number;
  readonly bytes: number;
}

/** What a lane decides with; the same for all lanes of a relay. */
export interface LanePolicy {
  readonly limits: BatchLimits;
  /** Delays after transient failures. */
  readonly backoff: BackoffOptions;
  /** Delays while a single row is refused for what it is. */
  readonly refusedBackoff: BackoffOptions;
  readonly random: () => number;
}

/**
 * One ordered stream of a topic: a partition (P-R4). Decides what is sent next; does no I/O and reads no clock.
 *
 * ```
 * idle ── next ──► sending ── acknowledge ──────────────► idle
 *  ▲                  ├── fail transient ───────────────► waiting ── next, after retryAt ──► sending (the same rows)
 *  │                  ├── fail record, several rows ────► idle, narrowing: the next requests halve the suspects
 *  │                  ├── fail record, a single row ────► waiting, slowly, where keys are not parked
 *  │                  └── giveUp, a single row ─────────► idle without the row, and without others of its key
 *  └───────────────────── rows were abandoned: those that are not acknowledged vanish when the answer is there
 * ```
 *
 * Rows leave from the front, and only when acknowledged; at most one request is unanswered. So event n of a key is
 * sent only after n−1 of that key is acknowledged, whatever fails in between.
 */
export class Lane<Row extends LaneRow> {
  readonly topic: string;
  readonly partition: number;
  readonly #policy: LanePolicy;
  #rows: Row[] = [];
  /** Index of the first row that is not acknowledged. */
  #head = 0;
  #bytes = 0;
  #inFlight = 0;
  #inFlightBytes = 0;
  /** After a transient failure: the size of the request that is sent again. */
  #repeat = 0;
  /** Rows at the front of which at least one was refused, 0 = none. */
  #suspects = 0;
  /** Rows were left out of memory that may be published: which of those that come they are is not known any more. */
  #doubt = false;
  readonly #ofShard: number[] = [];
  /** Rows of each shard in the newest request. */
  #inFlightOfShard: number[] = [];

  /** Consecutive failures of what stands at the front. */
  attempts = 0;
  /** Nothing is sent before this instant of the monotonic clock. */
  retryAt = 0;
  /** When the unanswered request was begun, by the monotonic clock. */
  sentAt = 0;
  reason: HoldReason | undefined;

  constructor(topic: string, partition: number, policy: LanePolicy) {
    this.topic = topic;
    this.partition = partition;
    this.#policy = policy;
  }

  /** Rows that are not acknowledged. */
  get size(): number {
    return this.#rows.length - this.#head;
  }

  /** Bytes of the rows that are not acknowledged. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Rows in the unanswered request, 0 = there is none. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** Their bytes. */
  get inFlightBytes(): number {
    return this.#inFlight === 0 ? 0 : this.#inFlightBytes;
  }

  inFlightRows(): readonly Row[] {
    return this.#rows.slice(this.#head, this.#head + this.#inFlight);
  }

  /** Rows of one shard that are not acknowledged. */
  sizeOf(shard: number): number {
    return this.#ofShard[shard] ?? 0;
  }

  /** Rows of one shard in the unanswered request. */
  inFlightOf(shard: number): number {
    return this.#inFlight === 0 ? 0 : (this.#inFlightOfShard[shard] ?? 0);
  }

  enqueue(row: Row): void {
    row.mayBePublished ||= this.#doubt;
    this.#rows.push(row);
    this.#count(row, 1);
  }

  /** True when `next` would begin a request. */
  ready(now: number): boolean {
    return this.#inFlight === 0 && this.size > 0 && now >= this.retryAt;
  }

  /** Begins a request, of one row at least: the rows it consists of, or `undefined` when there is nothing to send now. */
  next(now: number, room: RequestRoom): readonly Row[] | undefined {
    if (!this.ready(now)) return undefined;
    const { limits } = this.#policy;
    const within = { ...limits, bytes: Math.min(limits.bytes, room.bytes) };
    this.#inFlight = batchLength(this.#rows, this.#head, within, Math.max(1, Math.min(this.#atMost(), room.rows)));
    this.sentAt = now;
    const rows = this.#rows.slice(this.#head, this.#head + this.#inFlight);
    this.#inFlightBytes = rows.reduce((sum, row) => sum + row.bytes, 0);
    this.#inFlightOfShard = [];
    for (const { shard } of rows) this.#inFlightOfShard[shard] = (this.#inFlightOfShard[shard] ?? 0) + 1;
    return rows;
  }

  /** Every row of the request is in the log. Returns them. */
  acknowledge(): readonly Row[] {
    const count = this.#inFlight;
    const rows = this.#rows.slice(this.#head, this.#head + count);
    for (const row of rows) this.#count(row, -1);
    this.#head += count;
    if (this.size === 0) this.#doubt = false;
    this.#compact();
    const suspects = Math.max(0, this.#suspects - count);
    this.#clear();
    this.#suspects = suspects;
    return rows;
  }

  /**
   * The request failed or its outcome is unknown (P-R6, P-R10): the rows stay at the front. `topic` failures are
   * treated as transient here; holding the other lanes of the topic is the caller's job. Returns abandoned rows,
   * which are gone now.
   */
  fail(reason: HoldReason, now: number): readonly Row[] {
    const left = this.#rows.slice(this.#head, this.#head + this.#inFlight).filter((row) => !row.abandoned).length;
    const several = left > 1;
    this.#inFlight = 0;
    const gone = this.forgetAbandoned();
    this.reason = reason;
    this.attempts += 1;
    if (reason.kind === 'record') {
      this.#repeat = 0;
      this.#suspects = left;
    } else {
      this.#repeat = left;
      for (const row of this.#rows.slice(this.#head, this.#head + left)) row.mayBePublished ||= reason.kind === 'transient';
    }
    const backoff = reason.kind === 'record' ? this.#policy.refusedBackoff : this.#policy.backoff;
    this.retryAt = reason.kind === 'record' && several ? now : now + backoffMs(backoff, this.attempts, this.#policy.random);
    if (left === 0) this.#clear();
    return gone;
  }

  /**
   * The unanswered request's single row is parked or skipped: the request is over, and the rows that `leaves` says leave the
   * lane. Returns them. The caller reads again what is left of them, and no page from before (P-R4).
   */
  giveUp(leaves: (row: Row) => boolean): readonly Row[] {
    const gone = this.#rows.slice(this.#head).filter(leaves);
    this.#rows = this.#rows.slice(this.#head).filter((row) => !leaves(row));
    this.#head = 0;
    for (const row of gone) this.#count(row, -1);
    this.#clear();
    return gone;
  }

  /** Forgets abandoned rows that are not in the unanswered request; returns them. */
  forgetAbandoned(): readonly Row[] {
    const from = this.#head + this.#inFlight;
    const gone: Row[] = [];
    let kept = from;
    for (let index = from; index < this.#rows.length; index++) {
      const row = this.#rows[index] as Row;
      if (row.abandoned) gone.push(row);
      else this.#rows[kept++] = row;
    }
    this.#rows.length = kept;
    for (const row of gone) this.#count(row, -1);
    if (gone.length > 0 && this.#inFlight === 0) {
      this.#repeat = 0;
      this.#suspects = 0;
      if (this.size === 0) this.#clear();
    }
    return gone;
  }

  /**
   * Forgets the newest rows beyond the bounds (not the unanswered request, nor the very first row) and returns them, also
   * those of a request that failed: what is sent again is smaller then.
   * The caller reads them again later and lets none of their followers in before (P-R10).
   */
  trim(maxRows: number, maxBytes: number): readonly Row[] {
    const least = this.#head + Math.max(1, this.#inFlight);
    let end = this.#rows.length;
    while (end > least && (end - this.#head > maxRows || this.#bytes > maxBytes)) {
      end -= 1;
      this.#count(this.#rows[end] as Row, -1);
    }
    const gone = this.#rows.slice(end);
    this.#rows.length = end;
    this.#repeat = Math.min(this.#repeat, this.size);
    this.#suspects = Math.min(this.#suspects, this.size);
    this.#doubt ||= gone.some((row) => row.mayBePublished);
    return gone;
  }

  /** Takes every row out: they move to other lanes. Only while nothing is in flight. */
  takeAll(): readonly Row[] {
    const rows = this.#rows.slice(this.#head);
    this.#rows = [];
    this.#head = 0;
    for (const row of rows) this.#count(row, -1);
    this.#clear();
    return rows;
  }

  /** Tries earlier than the back-off says, because the publisher is seen to work again. */
  hasten(at: number): void {
    if (this.reason?.kind === 'transient' && this.retryAt > at) this.retryAt = at;
  }

  // The refused record lies among the suspects: halving finds it in log2 of them requests.
  #atMost(): number {
    if (this.#repeat > 0) return this.#repeat;
    return this.#suspects === 0 ? Number.POSITIVE_INFINITY : Math.ceil(this.#suspects / 2);
  }

  #clear(): void {
    this.#inFlight = 0;
    this.#repeat = 0;
    this.#suspects = 0;
    this.attempts = 0;
    this.retryAt = 0;
    this.reason = undefined;
  }

  #count(row: Row, sign: 1 | -1): void {
    this.#bytes += sign * row.bytes;
    this.#ofShard[row.shard] = (this.#ofShard[row.shard] ?? 0) + sign;
  }

  #compact(): void {
    if (this.#head === this.#rows.length) {
      this.#rows = [];
      this.#head = 0;
    } else if (this.#head > 4096 && this.#head * 2 > this.#rows.length) {
      this.#rows = this.#rows.slice(this.#head);
      this.#head = 0;
    }
  }
}
