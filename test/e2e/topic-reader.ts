import { randomUUID } from 'node:crypto';
import { Consumer } from '@platformatic/kafka';
import type { WireHeader } from '@txbox/core/spi';

/** A record as an independent reader finds it in the topic. */
export interface LoggedRecord {
  readonly partition: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: readonly WireHeader[];
}

/** Reads a topic with another client than the one the framework's adapters use. */
export async function readTopic(brokers: string[], topic: string): Promise<LoggedRecord[]> {
  const consumer = new Consumer({ groupId: `${topic}.reader.${randomUUID()}`, clientId: 'reader', bootstrapBrokers: brokers });
  const ends = (await consumer.listOffsets({ topics: [topic] })).get(topic) ?? [];
  const waiting = new Set(ends.flatMap((end, partition) => (end > 0n ? [partition] : [])));
  const records: (LoggedRecord & { offset: bigint })[] = [];
  if (waiting.size > 0) {
    const stream = await consumer.consume({ topics: [topic], mode: 'earliest', maxWaitTime: 100, autocommit: false });
    for await (const { partition, offset, key, value, headers } of stream) {
      const named = [...headers].map(([name, bytes]): WireHeader => [String(name), bytes]);
      records.push({ partition, offset, key: key ?? null, value: value ?? null, headers: named });
      if (offset + 1n >= (ends[partition] ?? 0n)) waiting.delete(partition);
      if (waiting.size === 0) break;
    }
  }
  await consumer.close(true);
  return records.sort((a, b) => a.partition - b.partition || Number(a.offset - b.offset));
}
