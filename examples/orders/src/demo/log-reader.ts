import Database from 'better-sqlite3';
import type { Settings } from '../settings.ts';
import type { Entry } from './ledger.ts';

/** A record of the topic: what it says, and the lane it lies in. Listed lane by lane, in the order of the log. */
export interface LogEntry extends Entry {
  readonly partition: number;
}

/**
 * Reads the whole topic independently of the framework: plain SQL on a read-only connection for the embedded log, and
 * for Kafka another client than the one the services use.
 */
export function readLog(settings: Settings): Promise<LogEntry[]> {
  const { broker, topic } = settings;
  return broker.kind === 'embedded' ? readEmbedded(broker.path, topic) : readKafka([...broker.brokers], topic);
}

async function readEmbedded(path: string, topic: string): Promise<LogEntry[]> {
  const database = new Database(path, { readonly: true, timeout: 5_000 });
  try {
    // A record's place is its lane's number × 2^36 + its offset.
    const rows = database
      .prepare(
        `SELECT lane.partition AS partition, record.value AS value FROM topic
         JOIN lane ON lane.topic = topic.id
         JOIN record ON record.place BETWEEN lane.id * 68719476736 AND lane.id * 68719476736 + 68719476735
         WHERE topic.name = ? ORDER BY record.place`,
      )
      .all(topic) as { partition: number; value: Buffer }[];
    return rows.map(toEntry);
  } finally {
    database.close();
  }
}

async function readKafka(brokers: string[], topic: string): Promise<LogEntry[]> {
  const { Consumer } = await import('@platformatic/kafka');
  const consumer = new Consumer({ groupId: `${topic}.audit`, clientId: 'audit', bootstrapBrokers: brokers });
  const ends = (await consumer.listOffsets({ topics: [topic] })).get(topic) ?? [];
  const records: { partition: number; offset: bigint; value: Buffer }[] = [];
  const waiting = new Set(ends.flatMap((end, partition) => (end > 0n ? [partition] : [])));
  try {
    if (waiting.size > 0) {
      const stream = await consumer.consume({ topics: [topic], mode: 'earliest', maxWaitTime: 100, autocommit: false });
      for await (const { partition, offset, value } of stream) {
        records.push({ partition, offset, value });
        if (offset + 1n >= (ends[partition] ?? 0n)) waiting.delete(partition);
        if (waiting.size === 0) break;
      }
    }
  } finally {
    await consumer.close(true);
  }
  records.sort((a, b) => a.partition - b.partition || Number(a.offset - b.offset));
  return records.map(toEntry);
}

function toEntry(record: { partition: number; value: Buffer }): LogEntry {
  const { orderId, customerId, version } = JSON.parse(record.value.toString()) as Entry;
  return { partition: record.partition, orderId, customerId, version };
}
