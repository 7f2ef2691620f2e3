import { backoffMs, type DeliveryBatch, isTxboxError, TxboxError } from '@txbox/core/spi';
import { type Entry, readBatch, type Slice, sliceFrom, type Work } from './batch.ts';
import type { HeldMessage, LanePlace } from './inbox-events.ts';
import { applyOnce, type InboxRuntime } from './inbox-runtime.ts';
import type { ProcessOnceOutcome } from './process-once.ts';

/** What a lane shows of itself. */
export interface LaneProgress extends LanePlace {
  /** Offset of the last checkpoint since this inbox has had the lane. */
  checkpoint: bigint | undefined;
  /** The message at which it waits. */
  held: HeldMessage | undefined;
}

/** How a batch is told to end. */
export interface LaneEnding {
  /** True once the inbox is being stopped: what runs may finish, nothing new begins. */
  readonly stopping: () => boolean;
  /** Aborted when the grace of stopping is over. */
  readonly forced: AbortSignal;
}

/** The source limits how often the broker hears of it. */
const HEARTBEAT_EVERY_MS = 250;
/** How long a handler that was told to end may take before its batch is left behind. */
export const LEAVE_AFTER_MS = 500;
/** After so many in a row deadlocks are no accident: first they are told, then they hold the lane like any failure. */
const DEADLOCKS = { told: 3, held: 10 };
/** Pauses after a deadlock or a lock of somebody else. */
const CONTENTION = { baseMs: 20, capMs: 2_000 };

/**
 * Applies one batch of a lane, slice by slice, each with a checkpoint behind its commit (P-I1). States and what moves
 * between them:
 *
 * ```
 * slice of all ── deadlock ──► slices of half ──► … ──► one by one
 *    │   ▲    └── any other failure ───────────────────►    │
 *    │   └ same again after a pause: contended, unknown     ├── failure ──► held: pause, again
 *    ▼                                                      ▼
 * committed ──► check-pointed ──► next slice ──► … ──► end of the batch
 * ```
 *
 * Sizes never grow again within a batch. Lost lane, stop and broken checkpoint end it at any point; whatever was
 * committed and not check-pointed is delivered again and recognised as duplicate.
 */
export class LaneBatch {
  readonly #runtime: InboxRuntime;
  readonly #batch: DeliveryBatch;
  readonly #lane: LaneProgress;
  readonly #ending: LaneEnding;
  /** Handlers end, nothing is committed any more: the lane is lost, or the grace is over. */
  readonly #abandon = new AbortController();
  /** No new transaction begins and no pause lasts. */
  readonly #noMore: AbortSignal;
  #size: number;
  /** Outcomes in a row that are nobody's failure. */
  #setbacks = 0;

  constructor(runtime: InboxRuntime, batch: DeliveryBatch, lane: LaneProgress, ending: LaneEnding) {
    this.#runtime = runtime;
    this.#batch = batch;
    this.#lane = lane;
    this.#ending = ending;
    this.#size = batch.deliveries.length;
    this.#noMore = AbortSignal.any([batch.signal, ending.forced, this.#abandon.signal]);
  }

  /** Resolves when the batch is done or given up. Rejects when a checkpoint could not be stored. */
  async run(): Promise<void> {
    const onAbort = (): void => {
      // A lane that is being handed over because the inbox stops may finish what it runs.
      if (!this.#ending.stopping()) this.#abandon.abort();
    };
    const onForced = (): void => this.#abandon.abort();
    this.#batch.signal.addEventListener('abort', onAbort);
    this.#ending.forced.addEventListener('abort', onForced);
    // P-I10: also during handlers and pauses.
    const heartbeats = setInterval(() => void this.#heartbeat(), HEARTBEAT_EVERY_MS);
    try {
      await this.#applyAll();
    } catch (error) {
      // P-I1: never an offset for a lost lane; whoever has it now finds the recorded ids.
      if (!isTxboxError(error, 'ASSIGNMENT_LOST')) throw error;
    } finally {
      clearInterval(heartbeats);
      this.#batch.signal.removeEventListener('abort', onAbort);
      this.#ending.forced.removeEventListener('abort', onForced);
      this.#lane.held = undefined;
    }
  }

  async #applyAll(): Promise<void> {
    const { handlers, options } = this.#runtime;
    const entries = readBatch(this.#batch.deliveries, handlers, options.onUnknown);
    let at = 0;
    while (at < entries.length && !this.#noMore.aborted) {
      const slice = sliceFrom(entries, at, this.#size);
      if (slice.end === at) await this.#holdUnreadable(entries[at] as Extract<Entry, { kind: 'hold' }>);
      else if (await this.#apply(slice)) at = slice.end;
    }
  }

  /** True when the slice is committed and check-pointed. */
  async #apply(slice: Slice): Promise<boolean> {
    const startedAt = this.#runtime.clock.monotonic();
    const outcome: ProcessOnceOutcome =
      slice.works.length === 0
        ? { kind: 'applied', duplicates: [] }
        : await this.#untilLeft(applyOnce(this.#runtime, slice.works, this.#abandon.signal));
    switch (outcome.kind) {
      case 'applied':
        await this.#batch.checkpoint((slice.entries.at(-1) as Entry).offset);
        this.#committed(slice, outcome.duplicates.length, this.#runtime.clock.monotonic() - startedAt);
        return true;
      case 'stopped':
        this.#abandon.abort();
        return false;
      case 'deadlock':
        this.#size = Math.max(1, Math.floor(slice.works.length / 2));
        if (this.#setbacks >= DEADLOCKS.told) this.#trouble(outcome.error);
        if (slice.works.length === 1 && this.#setbacks >= DEADLOCKS.held) await this.#holdFailed(slice.works[0] as Work, outcome.error);
        else await this.#setback(CONTENTION);
        return false;
      case 'contended':
        this.#trouble(new TxboxError('MESSAGE_IN_PROGRESS', 'Another transaction holds what this batch needs; it is waited for.'));
        await this.#setback(CONTENTION);
        return false;
      case 'unknown':
      case 'unavailable':
        this.#trouble(outcome.error);
        await this.#setback(this.#runtime.options.retry);
        return false;
      case 'failed':
        // P-I3: the one that fails must be found, and must not take the others with it.
        if (slice.works.length > 1) this.#size = 1;
        else await this.#holdFailed(slice.works[0] as Work, outcome.error);
        return false;
    }
  }

  /** A handler that goes on although it was told to end is left behind: its transaction ends by itself, and the recorded ids keep it harmless. */
  async #untilLeft(outcome: Promise<ProcessOnceOutcome>): Promise<ProcessOnceOutcome> {
    const left = new AbortController();
    const leave = (async (): Promise<ProcessOnceOutcome> => {
      await aborted(this.#ending.forced, left.signal);
      await this.#runtime.clock.sleep(LEAVE_AFTER_MS, left.signal);
      return { kind: 'stopped' };
    })();
    try {
      return await Promise.race([outcome, leave]);
    } finally {
      left.abort();
    }
  }

  #committed(slice: Slice, duplicatesKnown: number, durationMs: number): void {
    const { events, logger } = this.#runtime;
    const { topic, partition } = this.#batch;
    const { offset } = slice.entries.at(-1) as Entry;
    this.#setbacks = 0;
    this.#lane.checkpoint = offset;
    const repeats = slice.entries.filter(({ kind }) => kind === 'repeat').length;
    let skipped = 0;
    for (const entry of slice.entries) {
      if (entry.kind !== 'skip') continue;
      skipped += 1;
      if (entry.error === undefined) continue;
      logger.warn({ topic, partition, offset: entry.offset, code: entry.error.code, err: entry.error }, 'unreadable message skipped');
      events.emit('unreadable', { topic, partition, offset: entry.offset, error: entry.error });
    }
    events.emit('applied', {
      topic,
      partition,
      applied: slice.works.length - duplicatesKnown,
      duplicates: duplicatesKnown + repeats,
      skipped,
      durationMs,
    });
    if (!this.#lane.held) return;
    events.emit('released', { topic, partition, offset: this.#lane.held.offset });
    logger.info({ topic, partition, offset: this.#lane.held.offset, attempts: this.#lane.held.attempts }, 'lane goes on');
    this.#lane.held = undefined;
  }

  async #holdFailed({ message, handler }: Work, error: unknown): Promise<void> {
    this.#runtime.attempts.failed(message.id);
    const code = isTxboxError(error) ? error.code : 'HANDLER_FAILED';
    await this.#hold({ offset: message.offset, messageId: message.id, type: message.type, code }, error, { handler: handler.name });
  }

  async #holdUnreadable(entry: Extract<Entry, { kind: 'hold' }>): Promise<void> {
    const { offset, message, error } = entry;
    await this.#hold({ offset, messageId: message?.id, type: message?.type, code: error.code }, error, {});
  }

  async #hold(
    what: Pick<HeldMessage, 'offset' | 'messageId' | 'type' | 'code'>,
    error: unknown,
    facts: { readonly handler?: string },
  ): Promise<void> {
    const { clock, options, logger, events } = this.#runtime;
    const { topic, partition } = this.#batch;
    const before = this.#lane.held?.offset === what.offset ? this.#lane.held : undefined;
    const attempts = (before?.attempts ?? 0) + 1;
    const delayMs = backoffMs(options.retry, attempts);
    const held: HeldMessage = {
      ...what,
      reason: error instanceof Error ? error.message : String(error),
      attempts,
      since: before?.since ?? new Date(clock.now()),
      nextAttemptAt: new Date(clock.now() + delayMs),
    };
    this.#lane.held = held;
    logger.error(
      { topic, partition, ...facts, ...what, attempts, retryInMs: delayMs, err: error },
      'a message cannot be processed; its lane waits and it is tried again',
    );
    events.emit('held', { topic, partition, ...held });
    await clock.sleep(delayMs, this.#noMore);
  }

  async #setback(backoff: { readonly baseMs: number; readonly capMs: number }): Promise<void> {
    this.#setbacks += 1;
    await this.#runtime.clock.sleep(backoffMs(backoff, this.#setbacks), this.#noMore);
  }

  #trouble(error: unknown): void {
    const { topic, partition } = this.#batch;
    this.#runtime.logger.warn({ topic, partition, err: error }, 'a batch could not be applied now; it is tried again');
    this.#runtime.events.emit('trouble', { error });
  }

  async #heartbeat(): Promise<void> {
    try {
      await this.#batch.heartbeat();
    } catch (error) {
      if (isTxboxError(error, 'ASSIGNMENT_LOST')) this.#abandon.abort();
    }
  }
}

/** Resolves when one of the signals is aborted. */
function aborted(...signals: readonly AbortSignal[]): Promise<void> {
  const any = AbortSignal.any([...signals]);
  if (any.aborted) return Promise.resolve();
  return new Promise((resolve) => any.addEventListener('abort', () => resolve(), { once: true }));
}
