import { type Publisher, TxboxError } from '@txbox/core/spi';
import type { TopicPins } from '@txbox/outbox/store';

/**
 * The number of partitions that the topic's keys are spread over: pinned at first sight, whatever the broker says later
 * (P-R12). Rejects with `TOPIC_SHRUNK` when the topic has fewer by now, and as `describeTopic` does.
 */
export async function pinnedPartitions(publisher: Pick<Publisher, 'describeTopic'>, pins: TopicPins, topic: string): Promise<number> {
  const { partitions } = await publisher.describeTopic(topic);
  const pinned = await pins.pin(topic, partitions);
  if (partitions >= pinned) return pinned;
  throw new TxboxError(
    'TOPIC_SHRUNK',
    `Topic ${topic} has ${partitions} partitions, fewer than the ${pinned} that its keys were spread over. Give it ${pinned} again.`,
    { details: { topic, partitions, pinned } },
  );
}
