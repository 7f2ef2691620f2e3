import type { PublisherInspection } from '@txbox/core/spi';
import { kafkajs } from '@txbox/kafka/kafkajs';
import { platformatic } from '@txbox/kafka/platformatic';
import { expect, it, onTestFinished } from 'vitest';
import { BROKERS, newTopic } from './broker.ts';

async function inspectBy(
  newPublisher: typeof kafkajs | typeof platformatic,
  topics: readonly string[],
): Promise<PublisherInspection | undefined> {
  const publisher = newPublisher({ brokers: BROKERS, connectionTimeoutMs: 1_000, requestTimeoutMs: 2_000 });
  onTestFinished(async () => await publisher.close());
  return await publisher.inspect?.(topics);
}

it('both clients see the same of topics and broker, and tell how long they send', async () => {
  const plain = await newTopic(3);
  const careless = await newTopic(1, {
    'min.insync.replicas': '2',
    'unclean.leader.election.enable': 'true',
    'max.message.bytes': '5000',
  });
  const topics = [`${plain}-missing`, careless, plain];
  const { givesUpAfterMs: kafkajsMs, ...byKafkajs } = (await inspectBy(kafkajs, topics)) ?? expect.fail('tells nothing');
  const { givesUpAfterMs: platformaticMs, ...byPlatformatic } = (await inspectBy(platformatic, topics)) ?? expect.fail('tells nothing');
  expect(byPlatformatic).toEqual({
    acks: -1,
    createsTopics: false,
    topics: [
      { topic: `${plain}-missing`, state: 'missing' },
      { topic: careless, state: 'there', replicas: 1, minInSyncReplicas: 2, uncleanElection: true, maxBatchBytes: 5_000 },
      { topic: plain, state: 'there', replicas: 1, minInSyncReplicas: 1, uncleanElection: false, maxBatchBytes: expect.any(Number) },
    ],
    unchecked: [],
  });
  expect(byKafkajs).toEqual(byPlatformatic);
  // Four attempts, each after at most a second; a deadline of one connection and one request, and then one request.
  expect([kafkajsMs, platformaticMs]).toEqual([4 * 3_000 + 3_000, 3_000 + 2_000]);
});
