import { type Clock, type Publisher, TxboxError } from '@txbox/core/spi';
import type { TopicPin, TopicPins } from '@txbox/outbox/store';

type Describing = Pick<Publisher, 'describeTopic'>;

/**
 * The topic's pin: the number of partitions that its keys are spread over, pinned at first sight, whatever the broker says later
 * (P-R12). Rejects with `TOPIC_SHRUNK` when the topic has fewer by now, with `TOPIC_SWITCHING` while it is being given more, and as
 * `describeTopic` does.
 */
export async function pinnedTopic(publisher: Describing, pins: TopicPins, topic: string): Promise<TopicPin> {
  const { partitions } = await publisher.describeTopic(topic);
  const pin = await pins.pin(topic, partitions);
  if (pin.switching) throw new TxboxError('TOPIC_SWITCHING', switchingText(pin), { details: { topic } });
  if (partitions >= pin.partitions) return pin;
  throw new TxboxError(
    'TOPIC_SHRUNK',
    `Topic ${topic} has ${partitions} partitions, fewer than the ${pin.partitions} that its keys were spread over. Give it ${pin.partitions} again.`,
    { details: { topic, partitions, pinned: pin.partitions } },
  );
}

/** Why nothing is sent to a topic, for people. */
export function switchingText({ topic, partitions, switching }: TopicPin): string {
  return (
    `Topic ${topic} is on its way from ${partitions} to ${switching?.partitions} partitions, and held until then: ` +
    `"txbox partitions grow --topic ${topic}" goes on with it, --cancel gives it up.`
  );
}

/** Dead letters and replays use a count for so long, and whoever changes it waits at least as long (P-R12). */
export const TRUSTED_COUNT_MS = 10_000;

/** A pinned count and until when (monotonic) records may be sent by it. */
export interface TrustedCount {
  readonly partitions: number;
  readonly until: number;
}

/** Pinned counts for those who send beside the relay's lanes: each is asked for again in time. */
export class PinnedCounts {
  readonly #publisher: Describing;
  readonly #pins: TopicPins;
  readonly #clock: Clock;
  readonly #known: Map<string, TrustedCount> = new Map();

  constructor(publisher: Describing, pins: TopicPins, clock: Clock) {
    this.#publisher = publisher;
    this.#pins = pins;
    this.#clock = clock;
  }

  /** Rejects like {@link pinnedTopic}. */
  async of(topic: string): Promise<TrustedCount> {
    const known = this.#known.get(topic);
    const now = this.#clock.monotonic();
    if (known && now < known.until) return known;
    const { partitions } = await pinnedTopic(this.#publisher, this.#pins, topic);
    const count = { partitions, until: now + TRUSTED_COUNT_MS };
    this.#known.set(topic, count);
    return count;
  }
}
