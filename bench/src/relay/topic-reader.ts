import { randomUUID } from 'node:crypto';
import { Consumer } from '@platformatic/kafka';

/** The values of a topic's records, partition by partition in order, read by another client than the one that wrote them. */
export async function readValues(brokers: readonly string[], topic: string): Promise<string[]> {
  const consumer = new Consumer({ groupId: `${topic}.reader.${randomUUID()}`, clientId: 'bench', bootstrapBrokers: [...brokers] });
  const ends = (await consumer.listOffsets({ topics: [topic] })).get(topic) ?? [];
  const waiting = new Set(ends.flatMap((end, partition) => (end > 0n ? [partition] : [])));
  const values: string[][] = ends.map(() => []);
  if (waiting.size > 0) {
    const stream = await consumer.consume({ topics: [topic], mode: 'earliest', maxWaitTime: 100, autocommit: false });
    for await (const { partition, offset, value } of stream) {
      values[partition]?.push(String(value));
      if (offset + 1n >= (ends[partition] ?? 0n)) waiting.delete(partition);
      if (waiting.size === 0) break;
    }
  }
  await consumer.close(true);
  return values.flat();
}
