import {
  type BackoffOptions,
  backoffMs,
  bucketOf,
  type Clock,
  type DeadLetter,
  type DeadLetterHead,
  type DeadLetterStore,
  instantOfSqlTime,
  type Publisher,
  parkingReason,
  type WireHeader,
} from '@txbox/core/spi';
import type { TopicPins } from '@txbox/outbox/store';
import { confirmedPublish, failureKind } from '../confirmed-publish.ts';
import { describeError } from '../foreign-error.ts';
import { PinnedCounts, type TrustedCount } from '../pinned-partitions.ts';
import { publishedAtHeader, wireRecord } from '../wire-record.ts';

/** What a sender of dead letters works with. */
export interface LetterSenderPlan {
  readonly letters: DeadLetterStore;
  readonly publisher: Publisher;
  readonly pins: TopicPins;
  readonly clock: Clock;
  readonly random: () => number;
  /** Who decided it, for the audit. */
  readonly actor: string;
  /** Send also what may have been published longer ago than consumers remember. */
  readonly force: boolean;
  readonly signal: AbortSignal;
  readonly onSent: (letters: readonly DeadLetterHead[]) => void;
}

/** Why the rest of a key stays where it is. */
export interface KeyStop {
  /**
   * `waits`: it was not asked for, and stands before what was. `refused`: the broker refuses it still. `topic`: nothing can be sent
   * to its topic. `too-old`: it may have been published too long ago. `ended`: the work was ended.
   */
  readonly why: 'waits' | 'refused' | 'topic' | 'too-old' | 'ended';
  readonly letter: DeadLetterHead;
  readonly code?: string;
  readonly message?: string;
}

/** What became of a key's front. */
export interface FrontOutcome {
  readonly sent: number;
  readonly stopped?: KeyStop;
}

/** How many of the letters at a key's front may go, given by place. */
export type MayGo = (front: readonly DeadLetterHead[]) => Promise<number>;

/** Most letters and bytes of one request. */
export const FRONT_LETTERS = 100;
const FRONT_BYTES = 524_288;
/** A letter is sent so soon after the table says so, or the table says it again: who discards trusts it. */
const MARK_MS = 10_000;
const RETRY: BackoffOptions = { baseMs: 200, capMs: 5_000 };
const MAX_ATTEMPTS = 6;
/** Consumers remember messages for a week at least (P-I9): what may have been published before that is sent on demand only. */
const HORIZON_MS = 7 * 86_400_000;

/** A letter that was never tried itself: it waits behind others of its key, and for nothing once it stands first. */
export function onlyWaits({ attempts }: DeadLetterHead): boolean {
  return attempts === 0;
}

/** True when the letter may have been published longer ago than consumers remember. */
export function isBeyondHorizon({ publishedAt, parkedAt, ageMs }: DeadLetterHead): boolean {
  if (publishedAt === null) return false;
  return ageMs + (instantOfSqlTime(parkedAt) - instantOfSqlTime(publishedAt)) > HORIZON_MS;
}

/**
 * Sends the dead letters of a key again, from its front (P-R11). One request is unanswered at a time, and what is acknowledged is
 * removed before the next one begins, so the order is kept whoever else does the same, and whenever this process dies: it may only
 * send some a second time. The last letter un-parks the key.
 */
export class LetterSender {
  readonly #plan: LetterSenderPlan;
  readonly #counts: PinnedCounts;

  constructor(plan: LetterSenderPlan) {
    this.#plan = plan;
    this.#counts = new PinnedCounts(plan.publisher, plan.pins, plan.clock);
  }

  /** Sends as far as `mayGo` says. Rejects when the broker or the database stays away. */
  async sendFront(parkedKeyId: Buffer, mayGo: MayGo): Promise<FrontOutcome> {
    const { letters, signal, actor, onSent } = this.#plan;
    let sent = 0;
    let atMost = FRONT_LETTERS;
    // Of a request that was refused whole nothing is in the log, though the table says by then that it may be.
    let refused: ReadonlyMap<string, string | null> = new Map();
    for (;;) {
      const front = (await letters.front(parkedKeyId, atMost, FRONT_BYTES)).map((letter) => {
        const publishedAt = refused.get(letter.id.toString('hex'));
        return publishedAt === undefined ? letter : { ...letter, publishedAt };
      });
      const [first] = front;
      if (!first) return { sent };
      if (signal.aborted) return { sent, stopped: { why: 'ended', letter: first } };
      const allowed = await mayGo(front);
      if (allowed === 0) return { sent, stopped: { why: 'waits', letter: first } };
      const old = this.#plan.force ? -1 : front.findIndex(isBeyondHorizon);
      if (old === 0) return { sent, stopped: { why: 'too-old', letter: first } };
      const batch = front.slice(0, old < 0 ? allowed : Math.min(allowed, old));
      const stopped = await this.#publish(batch);
      if (stopped === 'narrow') {
        atMost = 1;
        refused = new Map(batch.map(({ id, publishedAt }) => [id.toString('hex'), publishedAt]));
        continue;
      }
      if (stopped) return { sent, stopped };
      await letters.remove(batch, { action: 'redrive', actor });
      sent += batch.length;
      onSent(batch);
    }
  }

  /** Nothing when all are in the log; `narrow` when one of several is refused. */
  async #publish(batch: readonly DeadLetter[]): Promise<KeyStop | 'narrow' | undefined> {
    const { publisher, letters, clock, random, signal } = this.#plan;
    const [letter] = batch as [DeadLetter];
    for (let attempts = 1; ; attempts++) {
      try {
        const records = batch.map((one) => wireRecord(one, one.payload, publishedBefore(one)));
        let marked: number;
        let count: TrustedCount;
        do {
          marked = clock.monotonic();
          count = await this.#counts.of(letter.topic);
          await letters.beginSending(batch);
        } while (clock.monotonic() - marked > MARK_MS || clock.monotonic() >= count.until);
        const partition = bucketOf(letter.key ?? letter.id, count.partitions);
        await confirmedPublish(publisher, { topic: letter.topic, partition, records });
        return undefined;
      } catch (error) {
        const kind = failureKind(publisher, error);
        const { code, message } = describeError(error);
        if (kind === 'record' && batch.length > 1) return 'narrow';
        if (kind === 'record') {
          await letters.refused(letter, parkingReason(code, message));
          return { why: 'refused', letter, code, message };
        }
        if (kind === 'topic') return { why: 'topic', letter, code, message };
        if (attempts >= MAX_ATTEMPTS) throw error;
      }
      if (signal.aborted) return { why: 'ended', letter };
      await clock.sleep(backoffMs(RETRY, attempts, random), signal);
    }
  }
}

function publishedBefore({ publishedAt }: DeadLetterHead): readonly WireHeader[] {
  return publishedAt === null ? [] : [publishedAtHeader(publishedAt)];
}
