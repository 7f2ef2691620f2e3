import { type Clock, isTxboxError, type Publisher } from '@txbox/core/spi';
import { describeError } from './foreign-error.ts';

/** An answer of the broker's counts for so long. */
const KNOWN_FOR_MS = 10_000;
/** A question that is unanswered for longer says that the broker is away. */
const PATIENCE_MS = 2_000;

/** Why the broker counts as away. */
export interface BrokerSilence {
  readonly code: string;
  readonly message: string;
}

/**
 * Knows whether the broker answers, also while there is nothing to send: asks for one topic, at most every ten seconds, and
 * only while somebody wants to know.
 *
 * ```
 * answered ── ten seconds old, asked for ──► asking ── an answer, or a request was acknowledged ──► answered
 *                                              └── failed, or two seconds without answer ──► silent ── asked for ──► asking
 * ```
 */
export class BrokerProbe {
  readonly #publisher: Pick<Publisher, 'describeTopic' | 'classify'>;
  readonly #clock: Clock;
  #answeredAt: number;
  #askedAt: number | undefined;
  #silence: BrokerSilence | undefined;

  /** The broker has answered just now: the publisher is connected. */
  constructor(publisher: Pick<Publisher, 'describeTopic' | 'classify'>, clock: Clock) {
    this.#publisher = publisher;
    this.#clock = clock;
    this.#answeredAt = clock.monotonic();
  }

  /** The broker has answered something. */
  answered(): void {
    this.#answeredAt = this.#clock.monotonic();
    this.#silence = undefined;
  }

  /** What is known now; begins to ask when that is old. Without a topic there is nothing to ask for. */
  look(topic: string | undefined): BrokerSilence | undefined {
    const now = this.#clock.monotonic();
    if (this.#askedAt === undefined && topic !== undefined && now - this.#answeredAt >= KNOWN_FOR_MS) void this.#ask(topic, now);
    if (this.#askedAt !== undefined && now - this.#askedAt > PATIENCE_MS) {
      return this.#silence ?? { code: 'BROKER_UNAVAILABLE', message: `No broker has answered for ${Math.round(now - this.#askedAt)} ms.` };
    }
    return this.#silence;
  }

  async #ask(topic: string, now: number): Promise<void> {
    this.#askedAt = now;
    try {
      await this.#publisher.describeTopic(topic);
      this.answered();
    } catch (error) {
      // Whoever refuses a topic is there.
      if (this.#publisher.classify(error) === 'transient' || isTxboxError(error, 'BROKER_UNAVAILABLE'))
        this.#silence = describeError(error);
      else this.answered();
    } finally {
      this.#askedAt = undefined;
    }
  }
}
