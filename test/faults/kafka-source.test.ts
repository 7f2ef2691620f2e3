import type { Delivery, DeliveryBatch, Subscription } from '@txbox/core/spi';
import { kafkajs, kafkajsSource } from '@txbox/kafka/kafkajs';
import type { Admin } from 'kafkajs';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { BROKERS, bareAdmin, newTopic, proxiedBroker } from './kafka-cluster.ts';
import type { KafkaFaultProxy } from './kafka-proxy.ts';

const LISTENER = 1;
const PATIENCE = { timeout: 40_000, interval: 20 };

let faulty: KafkaFaultProxy & { readonly brokers: string[] };
let admin: Admin;

beforeEach(async () => {
  faulty = await proxiedBroker(LISTENER);
  admin = await bareAdmin();
});

interface Consumer {
  readonly subscription: Subscription;
  readonly errors: { code?: string; details?: { topic?: string } }[];
  values(topic: string, partition?: number): string[];
  ended: boolean;
}

/** A consumer behind the proxy that check-points whole batches, unless told otherwise. */
async function consume(topics: readonly string[], onBatch: (batch: DeliveryBatch) => Promise<void> = checkpointAll): Promise<Consumer> {
  const source = kafkajsSource({ brokers: faulty.brokers, sessionTimeoutMs: 6_000, connectionTimeoutMs: 1_000, requestTimeoutMs: 2_000 });
  const deliveries: Delivery[] = [];
  const errors: Consumer['errors'] = [];
  const subscription = await source.subscribe({
    group: `group-${topics[0]}`,
    topics,
    batchSize: 10,
    onBatch: async (batch) => {
      deliveries.push(...batch.deliveries);
      await onBatch(batch);
    },
    onError: (error) => errors.push(error as Consumer['errors'][number]),
  });
  const values = (topic: string, partition = 0): string[] =>
    deliveries.filter((one) => one.topic === topic && one.partition === partition).map((one) => String(one.value));
  const consumer: Consumer = { subscription, errors, values, ended: false };
  void subscription.done.finally(() => {
    consumer.ended = true;
  });
  onTestFinished(async () => {
    await faulty.proxy.heal();
    await source.close();
  });
  return consumer;
}

async function checkpointAll(batch: DeliveryBatch): Promise<void> {
  await batch.checkpoint((batch.deliveries.at(-1) as Delivery).offset);
}

/** Publishes the numbers [from, to) past the proxy. */
async function fill(topic: string, from: number, to: number, partition = 0): Promise<void> {
  const publisher = kafkajs({ brokers: BROKERS });
  const records = numbers(from, to).map((value) => ({ key: null, value: Buffer.from(value), headers: [] }));
  await publisher.publish({ topic, partition, records });
  await publisher.close();
}

function numbers(from: number, to: number): string[] {
  return Array.from({ length: to - from }, (_, index) => String(from + index));
}

/** First occurrences, in the order they came: duplicates are allowed, holes and reversals are not. */
function firsts(values: readonly string[]): string[] {
  return [...new Set(values)];
}

describe('a source', () => {
  it('goes on when its connections are cut, again and again, and skips nothing', async () => {
    const topic = await newTopic(admin, 2);
    const consumer = await consume([topic]);
    for (let round = 0; round < 4; round++) {
      for (const partition of [0, 1]) await fill(topic, round * 50, (round + 1) * 50, partition);
      await expect.poll(() => consumer.values(topic).length, PATIENCE).toBeGreaterThan(round * 50);
      faulty.proxy.cut();
    }
    for (const partition of [0, 1]) {
      await expect.poll(() => firsts(consumer.values(topic, partition)), PATIENCE).toEqual(numbers(0, 200));
    }
    expect(consumer.ended).toBe(false);
  });

  it('reports a broker that is away, never ends by itself, and goes on when it is back', async () => {
    const topic = await newTopic(admin);
    const consumer = await consume([topic]);
    await fill(topic, 0, 20);
    await expect.poll(() => consumer.values(topic).length, PATIENCE).toBe(20);
    await faulty.proxy.refuse();
    faulty.proxy.cut();
    await expect.poll(() => consumer.errors.map(({ code }) => code), PATIENCE).toContain('BROKER_UNAVAILABLE');
    await fill(topic, 20, 30);
    expect(consumer.ended).toBe(false);
    await faulty.proxy.heal();
    await expect.poll(() => firsts(consumer.values(topic)), PATIENCE).toEqual(numbers(0, 30));
  });

  it('does not wait for ever for a broker that fell silent', async () => {
    const topic = await newTopic(admin);
    const consumer = await consume([topic]);
    await fill(topic, 0, 20);
    await expect.poll(() => consumer.values(topic).length, PATIENCE).toBe(20);
    faulty.proxy.halfOpen();
    await fill(topic, 20, 30);
    await expect.poll(() => consumer.errors.length, PATIENCE).toBeGreaterThan(0);
    await faulty.proxy.heal();
    await expect.poll(() => firsts(consumer.values(topic)), PATIENCE).toEqual(numbers(0, 30));
  });

  it('stops while the broker is silent, and stays so', async () => {
    const topic = await newTopic(admin);
    const consumer = await consume([topic]);
    await fill(topic, 0, 5);
    await expect.poll(() => consumer.values(topic).length, PATIENCE).toBe(5);
    faulty.proxy.halfOpen();
    // Nobody answers any more: whoever waits for an answer without a limit of its own would wait for ever.
    await consumer.subscription.stop();
  });

  it('reads its other topics when one is deleted, and that one when it is made anew', async () => {
    const [gone, other] = [await newTopic(admin), await newTopic(admin)];
    const consumer = await consume([gone, other]);
    for (const topic of [gone, other]) await fill(topic, 0, 5);
    for (const topic of [gone, other]) await expect.poll(() => consumer.values(topic).length, PATIENCE).toBe(5);
    await admin.deleteTopics({ topics: [gone] });
    await fill(other, 5, 10);
    await expect.poll(() => firsts(consumer.values(other)), PATIENCE).toEqual(numbers(0, 10));
    const missing = (): boolean => consumer.errors.some(({ code, details }) => code === 'TOPIC_MISSING' && details?.topic === gone);
    await expect.poll(missing, PATIENCE).toBe(true);
    await fill(other, 10, 15);
    await expect.poll(() => firsts(consumer.values(other)), PATIENCE).toEqual(numbers(0, 15));
    await admin.createTopics({ topics: [{ topic: gone, numPartitions: 1, replicationFactor: 1 }], waitForLeaders: true });
    await fill(gone, 100, 103);
    await expect.poll(() => consumer.values(gone).slice(5), PATIENCE).toEqual(numbers(100, 103));
  }, 90_000);

  it('refuses a checkpoint that was not stored, and delivers again', async () => {
    const topic = await newTopic(admin);
    let failure: unknown;
    const consumer = await consume([topic], async (batch) => {
      if (failure === undefined) {
        await faulty.proxy.refuse();
        faulty.proxy.cut();
        failure = await checkpointAll(batch).catch((error: unknown) => error ?? 'nothing');
        await faulty.proxy.heal();
        throw failure;
      }
      await checkpointAll(batch);
    });
    await fill(topic, 0, 5);
    await expect.poll(() => failure, PATIENCE).toMatchObject({ retryable: true });
    await expect.poll(() => consumer.values(topic), PATIENCE).toEqual([...numbers(0, 5), ...numbers(0, 5)]);
    await expect.poll(async () => await consumer.subscription.lag(), PATIENCE).toBe(0n);
  });
});
