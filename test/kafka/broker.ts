import { randomBytes } from 'node:crypto';
import type { Delivery, MessageSource, Publisher, Subscription } from '@txbox/core/spi';
import { type KafkajsSourceOptions, kafkajs, kafkajsSource } from '@txbox/kafka/kafkajs';
import { type Admin, Kafka, logLevel } from 'kafkajs';
import { onTestFinished } from 'vitest';
import { backendUrl } from '../conformance/backend-url.ts';

/** Addresses of the newest broker. */
export const BROKERS: string[] = backendUrl('TXBOX_TEST_KAFKA_BROKERS', 'kafka').split(',');

/** Waiting for what a broker does in its own time. */
export const PATIENCE = { timeout: 20_000, interval: 20 };

/** A bare client. */
export function bareClient(): Kafka {
  return new Kafka({ brokers: BROKERS, clientId: 'test', logLevel: logLevel.NOTHING });
}

/** A bare admin, disconnected after the test. */
export async function bareAdmin(): Promise<Admin> {
  const admin = bareClient().admin();
  await admin.connect();
  onTestFinished(async () => await admin.disconnect());
  return admin;
}

/** A topic of the test's own, deleted after it. */
export async function newTopic(numPartitions = 1, config: Readonly<Record<string, string>> = {}): Promise<string> {
  const topic = `kafka-${randomBytes(6).toString('hex')}`;
  const configEntries = Object.entries(config).map(([name, value]) => ({ name, value }));
  const admin = await bareAdmin();
  await admin.createTopics({ topics: [{ topic, numPartitions, replicationFactor: 1, configEntries }], waitForLeaders: true });
  onTestFinished(async () => {
    const deleting = bareClient().admin();
    await deleting.connect();
    await deleting.deleteTopics({ topics: [topic] });
    await deleting.disconnect();
  });
  return topic;
}

/** Publishes texts without keys into one partition. */
export async function fill(
  topic: string,
  values: readonly string[],
  partition = 0,
  publisher: Publisher = kafkajs({ brokers: BROKERS }),
): Promise<void> {
  await publisher.publish({ topic, partition, records: values.map((value) => ({ key: null, value: Buffer.from(value), headers: [] })) });
  await publisher.close();
}

/** A source closed after the test. */
export function newSource(options: Partial<KafkajsSourceOptions> = {}): MessageSource {
  const source = kafkajsSource({ brokers: BROKERS, sessionTimeoutMs: 6_000, ...options });
  onTestFinished(async () => await source.close());
  return source;
}

/** Subscribes a consumer that check-points whole batches. */
export async function consume(
  source: MessageSource,
  group: string,
  topics: readonly string[],
): Promise<{ subscription: Subscription; deliveries: Delivery[]; errors: unknown[]; values(topic?: string): string[] }> {
  const deliveries: Delivery[] = [];
  const errors: unknown[] = [];
  const subscription = await source.subscribe({
    group,
    topics,
    batchSize: 100,
    onBatch: async (batch) => {
      deliveries.push(...batch.deliveries);
      await batch.checkpoint((batch.deliveries.at(-1) as Delivery).offset);
    },
    onError: (error) => errors.push(error),
  });
  const values = (topic = topics[0]): string[] => deliveries.filter((one) => one.topic === topic).map((one) => String(one.value));
  return { subscription, deliveries, errors, values };
}
