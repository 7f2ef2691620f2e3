// Leaders move while lanes are being published: nothing acknowledged is lost, and no lane loses its order (P-R4, P-R5).
import { randomBytes } from 'node:crypto';
import type { Publisher } from '@txbox/core/spi';
import { kafkajs } from '@txbox/kafka/kafkajs';
import { platformatic } from '@txbox/kafka/platformatic';
import { type Admin, Kafka, logLevel } from 'kafkajs';
import { expect, it, onTestFinished } from 'vitest';
import { backendUrl } from '../conformance/backend-url.ts';

const BROKERS = backendUrl('TXBOX_TEST_KAFKA_THREE_BROKERS', 'kafka-three').split(',');
const LANES = 6;
const MOVES = 8;

const client = new Kafka({ brokers: BROKERS, clientId: 'leader-moves', logLevel: logLevel.NOTHING });

it.each([
  ['kafkajs', kafkajs],
  ['platformatic', platformatic],
] as const)(
  '%s follows leaders that move',
  async (_, newPublisher) => {
    const admin = client.admin();
    await admin.connect();
    const topic = `moves-${randomBytes(6).toString('hex')}`;
    await admin.createTopics({ topics: [{ topic, numPartitions: LANES, replicationFactor: 1 }], waitForLeaders: true });
    const publisher = newPublisher({ brokers: BROKERS, connectionTimeoutMs: 2_000, requestTimeoutMs: 5_000 });
    onTestFinished(async () => {
      await publisher.close();
      await admin.deleteTopics({ topics: [topic] });
      await admin.disconnect();
    });
    const moved = new AbortController();
    const lanes = Array.from({ length: LANES }, async (_, lane) => await publishLane(publisher, topic, lane, moved.signal));
    await moveLeaders(admin, topic).finally(() => moved.abort());
    const acknowledged = await Promise.all(lanes);
    const found = await firstOccurrences(admin, topic);
    for (const [lane, values] of acknowledged.entries()) expect([lane, found[lane]]).toEqual([lane, values]);
    expect(Math.min(...acknowledged.map(({ length }) => length))).toBeGreaterThan(MOVES);
  },
  120_000,
);

/** As the relay does: one request at a time, and the same again until it is acknowledged. */
async function publishLane(publisher: Publisher, topic: string, partition: number, ended: AbortSignal): Promise<string[]> {
  const acknowledged: string[] = [];
  while (!ended.aborted) {
    const values = [0, 1, 2].map((n) => String(acknowledged.length + n));
    const records = values.map((value) => ({ key: null, value: Buffer.from(value), headers: [] }));
    for (let sent = false; !sent; ) {
      sent = await publisher.publish({ topic, partition, records }).then(
        () => true,
        (error: unknown) => {
          expect(publisher.classify(error)).not.toBe('record');
          return false;
        },
      );
    }
    acknowledged.push(...values);
  }
  return acknowledged;
}

/** Every partition goes to the next broker, again and again; with its only replica goes the leader. */
async function moveLeaders(admin: Admin, topic: string): Promise<void> {
  const { brokers } = await admin.describeCluster();
  const ids = brokers.map(({ nodeId }) => nodeId).sort();
  for (let move = 0; move < MOVES; move++) {
    const partitionAssignment = Array.from({ length: LANES }, (_, partition) => ({
      partition,
      replicas: [ids[(partition + move) % ids.length] as number],
    }));
    await admin.alterPartitionReassignments({ topics: [{ topic, partitionAssignment }] });
    await expect.poll(async () => (await admin.listPartitionReassignments({})).topics, { timeout: 20_000, interval: 50 }).toEqual([]);
  }
}

/** Values of each lane, repeats left out. */
async function firstOccurrences(admin: Admin, topic: string): Promise<string[][]> {
  const found = Array.from({ length: LANES }, () => new Set<string>());
  let missing = (await admin.fetchTopicOffsets(topic)).reduce((sum, { high }) => sum + Number(high), 0);
  const consumer = client.consumer({ groupId: `read-${topic}` });
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  const complete = Promise.withResolvers<void>();
  await consumer.run({
    autoCommit: false,
    eachMessage: async ({ partition, message }) => {
      found[partition]?.add(String(message.value));
      missing -= 1;
      if (missing === 0) complete.resolve();
    },
  });
  await complete.promise;
  await consumer.disconnect();
  return found.map((values) => [...values]);
}
