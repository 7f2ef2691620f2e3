import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Delivery, Publisher } from '@txbox/core/spi';
import { kafkajs, kafkajsSource } from '@txbox/kafka/kafkajs';
import { platformatic } from '@txbox/kafka/platformatic';
import { type MessageSourceBackend, messageSourceSuite, type PublisherBackend, publisherSuite } from '@txbox/testing/conformance';
import { type Admin, type IHeaders, Kafka, logLevel } from 'kafkajs';
import { expect } from 'vitest';
import { backendUrl } from './backend-url.ts';
import { readLog } from './kafka-log.ts';

const HEADER_ORDER =
  'kafkajs holds headers in an object by name: values of one name keep their order, names do not keep theirs when one returns';
const TOPIC_ADMIN = 'txbox partitions grow needs the publisher kafkajs in its configuration; relays may use any';

/** The suites of a broker: both publishers and the source. */
export function kafkaSuites(backend: string, variable: string, service: string): void {
  publisherSuite(backend, async () => await publisherBackend(variable, service, kafkajs), { lacks: { 'header-order': HEADER_ORDER } });
  publisherSuite(`${backend}, platformatic`, async () => await publisherBackend(variable, service, platformatic), {
    lacks: { 'topic-admin': TOPIC_ADMIN },
  });
  messageSourceSuite(backend, async () => await sourceBackend(variable, service), { lacks: { 'header-order': HEADER_ORDER } });
}

interface Broker {
  readonly client: Kafka;
  readonly brokers: string[];
  readonly publisher: Publisher;
  createTopic(name: string, partitions: number): Promise<void>;
  dispose(): Promise<void>;
}

type NewPublisher = (options: { readonly brokers: readonly string[] }) => Publisher;

async function open(variable: string, service: string, newPublisher: NewPublisher = kafkajs): Promise<Broker> {
  const brokers = backendUrl(variable, service).split(',');
  const client = new Kafka({ brokers, clientId: 'conformance', logLevel: logLevel.NOTHING });
  const admin = client.admin();
  await admin.connect();
  const publisher = newPublisher({ brokers });
  await publisher.connect();
  const topics: string[] = [];
  return {
    client,
    brokers,
    publisher,
    createTopic: async (topic, numPartitions) => {
      await admin.createTopics({ topics: [{ topic, numPartitions, replicationFactor: 1 }], waitForLeaders: true });
      topics.push(topic);
    },
    dispose: async () => {
      await publisher.close();
      if (topics.length > 0) await admin.deleteTopics({ topics });
      await admin.disconnect();
    },
  };
}

async function publisherBackend(variable: string, service: string, newPublisher: NewPublisher): Promise<PublisherBackend> {
  const { client, brokers, publisher, createTopic, dispose } = await open(variable, service, newPublisher);
  return {
    publisher,
    createTopic,
    readAll: async (topic) => await readByBoth(client, brokers, topic),
    commit: async (groupId, topic, partition, nextOffset) => {
      const admin = client.admin();
      await admin.connect();
      await admin.setOffsets({ groupId, topic, partitions: [{ partition, offset: String(nextOffset) }] });
      await admin.disconnect();
    },
    // A port of the discard service: nothing listens there.
    unreachable: () => newPublisher({ brokers: ['127.0.0.1:9'] }),
    dispose,
  };
}

async function sourceBackend(variable: string, service: string): Promise<MessageSourceBackend> {
  const { client, brokers, publisher, createTopic, dispose } = await open(variable, service);
  return {
    publisher,
    createTopic,
    source: () => kafkajsSource({ brokers, sessionTimeoutMs: 6_000 }),
    // The broker itself puts out a member that does not answer a rebalance in time: the second one's joining begins it.
    expelFirst: async (group) => await untilMembers(client, group, 1),
    dispose,
  };
}

async function untilMembers(client: Kafka, group: string, count: number): Promise<void> {
  const admin: Admin = client.admin();
  await admin.connect();
  for (;;) {
    const { groups } = await admin.describeGroups([group]);
    if ((groups[0]?.members.length ?? 0) >= count) break;
    await sleep(50);
  }
  await admin.disconnect();
}

/** Every record, by both clients: they see the same, but for the order of headers of different names. */
async function readByBoth(client: Kafka, [broker = '']: readonly string[], topic: string): Promise<Delivery[]> {
  const byKafkajs = await readAll(client, topic);
  const admin = client.admin();
  await admin.connect();
  const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
  await admin.disconnect();
  const byPlatformatic = await readLog(broker, topic, topics[0]?.partitions.length ?? 0);
  const withSortedHeaders = (deliveries: Delivery[]): Delivery[] =>
    deliveries.map((one) => ({ ...one, headers: [...one.headers].sort(([a], [b]) => (a < b ? -1 : Number(a > b))) }));
  expect(withSortedHeaders(byPlatformatic)).toEqual(withSortedHeaders(byKafkajs));
  return byPlatformatic;
}

/** Every record, by a bare client in a group of its own. */
async function readAll(client: Kafka, topic: string): Promise<Delivery[]> {
  const admin = client.admin();
  await admin.connect();
  const ends = await admin.fetchTopicOffsets(topic);
  await admin.disconnect();
  let missing = ends.reduce((sum, { high }) => sum + Number(high), 0);
  const deliveries: Delivery[] = [];
  if (missing === 0) return deliveries;
  const consumer = client.consumer({ groupId: `read-${randomUUID()}`, maxBytesPerPartition: 4_000_000, allowAutoTopicCreation: false });
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  const complete = Promise.withResolvers<void>();
  await consumer.run({
    autoCommit: false,
    eachMessage: async ({ partition, message }) => {
      const { key, value, offset, timestamp, headers = {} } = message;
      deliveries.push({ topic, partition, offset: BigInt(offset), key, value, headers: flat(headers), timestamp: Number(timestamp) });
      missing -= 1;
      if (missing === 0) complete.resolve();
    },
  });
  await complete.promise;
  await consumer.disconnect();
  return deliveries.sort((a, b) => a.partition - b.partition || Number(a.offset - b.offset));
}

function flat(headers: IHeaders): [string, Buffer][] {
  return Object.entries(headers).flatMap(([name, values]) =>
    [values ?? []].flat().map((value): [string, Buffer] => [name, Buffer.from(value)]),
  );
}
