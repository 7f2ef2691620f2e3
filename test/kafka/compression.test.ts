// What one side packs, the other unpacks: both publishers, the source, and the broker, which is Java.
import { randomBytes } from 'node:crypto';
import type { WireRecord } from '@txbox/core/spi';
import type { KafkaCompression } from '@txbox/kafka';
import { kafkajs } from '@txbox/kafka/kafkajs';
import { platformatic } from '@txbox/kafka/platformatic';
import { describe, expect, it, onTestFinished } from 'vitest';
import { readBatches } from '../conformance/kafka-log.ts';
import { BROKERS, consume, newSource, newTopic, PATIENCE } from './broker.ts';

const PUBLISHERS = [
  ['kafkajs', kafkajs],
  ['platformatic', platformatic],
] as const;

/** By Kafka's number, which is the partition here. */
const COMPRESSIONS: readonly KafkaCompression[] = ['none', 'gzip', 'snappy', 'lz4', 'zstd'];
const CODEC_BITS = 0b111;

/** What shrinks well, over several blocks of every codec, and what does not shrink at all. */
const VALUES = ['the same again '.repeat(20_000), randomBytes(100_000).toString('base64'), 'short'];
const records: WireRecord[] = VALUES.map((value) => ({ key: Buffer.from('k'), value: Buffer.from(value), headers: [] }));

async function publishAll(newPublisher: (typeof PUBLISHERS)[number][1], topic: string): Promise<void> {
  await Promise.all(
    COMPRESSIONS.map(async (compression, partition) => {
      const publisher = newPublisher({ brokers: BROKERS, compression });
      await publisher.publish({ topic, partition, records });
      await publisher.close();
    }),
  );
}

async function lanesOf(topic: string, partitions = COMPRESSIONS.length): Promise<{ codecs: number[]; values: string[] }[]> {
  const lanes = await readBatches(BROKERS[0] as string, topic, partitions);
  return lanes.map((batches) => ({
    codecs: batches.map(({ attributes }) => attributes & CODEC_BITS),
    values: batches.flatMap((batch) => batch.records.map(({ value }) => String(value))),
  }));
}

describe.each(PUBLISHERS)('what %s packs', (_, newPublisher) => {
  it('is read by both clients, and was packed as told', async () => {
    const topic = await newTopic(COMPRESSIONS.length);
    await publishAll(newPublisher, topic);
    expect(await lanesOf(topic)).toEqual(COMPRESSIONS.map((_, number) => ({ codecs: [number], values: VALUES })));
    const { deliveries } = await consume(newSource(), `group-${topic}`, [topic]);
    await expect.poll(() => deliveries.length, PATIENCE).toBe(COMPRESSIONS.length * VALUES.length);
    for (const partition of COMPRESSIONS.keys())
      expect(deliveries.filter((one) => one.partition === partition).map(({ value }) => String(value))).toEqual(VALUES);
  });

  it('is unpacked by the broker for a topic that wants it unpacked', async () => {
    const topic = await newTopic(COMPRESSIONS.length, { 'compression.type': 'uncompressed' });
    await publishAll(newPublisher, topic);
    expect(await lanesOf(topic)).toEqual(COMPRESSIONS.map(() => ({ codecs: [0], values: VALUES })));
  });
});

it.each(COMPRESSIONS.slice(1))('what the broker packs by %s is read by both clients', async (compression) => {
  const topic = await newTopic(1, { 'compression.type': compression });
  const publisher = kafkajs({ brokers: BROKERS });
  onTestFinished(async () => await publisher.close());
  await publisher.publish({ topic, partition: 0, records });
  expect((await lanesOf(topic, 1))[0]).toEqual({ codecs: [COMPRESSIONS.indexOf(compression)], values: VALUES });
  const { values } = await consume(newSource(), `group-${topic}`, [topic]);
  await expect.poll(() => values(), PATIENCE).toEqual(VALUES);
});
