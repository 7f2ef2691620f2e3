import { randomBytes } from 'node:crypto';
import { type Admin, Kafka, logLevel } from 'kafkajs';
import { onTestFinished } from 'vitest';
import { backendUrl } from '../conformance/backend-url.ts';
import { type KafkaFaultProxy, startKafkaProxy } from './kafka-proxy.ts';

/** The broker itself, past any proxy. */
export const BROKERS: string[] = backendUrl('TXBOX_TEST_KAFKA_BROKERS', 'kafka').split(',');

/**
 * A proxy in front of one of the broker's four listeners that advertise another address than their own: a client that
 * begins there stays there. Each test file takes a listener of its own (0 to 3). Closed after the test.
 */
export async function proxiedBroker(listener: 0 | 1 | 2 | 3): Promise<KafkaFaultProxy & { readonly brokers: string[] }> {
  const at = (variable: string): string => backendUrl(variable, 'kafka').split(',')[listener] as string;
  const address = at('TXBOX_TEST_KAFKA_PROXIED_ADVERTISED');
  const port = Number(address.split(':').at(-1));
  const faulty = await startKafkaProxy({ target: at('TXBOX_TEST_KAFKA_PROXIED_BROKERS'), port });
  onTestFinished(async () => await faulty.proxy.close());
  return Object.assign(faulty, { brokers: [address] });
}

/** A bare admin client on the broker itself; disconnected after the test. */
export async function bareAdmin(): Promise<Admin> {
  const admin = new Kafka({ brokers: BROKERS, clientId: 'faults', logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  onTestFinished(async () => await admin.disconnect());
  return admin;
}

/** A topic of the test's own, deleted after it. */
export async function newTopic(admin: Admin, numPartitions = 1, config: Readonly<Record<string, string>> = {}): Promise<string> {
  const topic = `faults-${randomBytes(6).toString('hex')}`;
  const configEntries = Object.entries(config).map(([name, value]) => ({ name, value }));
  await admin.createTopics({ topics: [{ topic, numPartitions, replicationFactor: 1, configEntries }], waitForLeaders: true });
  onTestFinished(async () => {
    const deleting = new Kafka({ brokers: BROKERS, clientId: 'faults', logLevel: logLevel.NOTHING }).admin();
    await deleting.connect();
    await deleting.deleteTopics({ topics: [topic] }).catch(() => undefined);
    await deleting.disconnect();
  });
  return topic;
}

/** Values of a topic's first partition, in order, by a bare client. */
export async function valuesOf(admin: Admin, topic: string): Promise<string[]> {
  const [bounds] = await admin.fetchTopicOffsets(topic);
  let missing = Number(bounds?.high ?? 0) - Number(bounds?.low ?? 0);
  const values: string[] = [];
  if (missing === 0) return values;
  const consumer = new Kafka({ brokers: BROKERS, clientId: 'faults', logLevel: logLevel.NOTHING }).consumer({
    groupId: `read-${randomBytes(6).toString('hex')}`,
    allowAutoTopicCreation: false,
  });
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  const complete = Promise.withResolvers<void>();
  await consumer.run({
    autoCommit: false,
    eachMessage: async ({ message, partition }) => {
      if (partition !== 0) return;
      values.push(String(message.value));
      missing -= 1;
      if (missing === 0) complete.resolve();
    },
  });
  await complete.promise;
  await consumer.disconnect();
  return values;
}
