import { randomBytes } from 'node:crypto';
import { defineEvent, rawCodec } from '@txbox/core';
import { bucketOf } from '@txbox/core/spi';
import { kafkajs } from '@txbox/kafka/kafkajs';
import { createOutbox } from '@txbox/outbox/mysql2';
import { createRelay } from '@txbox/relay';
import { Kafka, logLevel, type Producer } from 'kafkajs';
import { createConnection, createPool } from 'mysql2/promise';
import { type BenchReport, median, ratioResult } from './bench-result.ts';

/** What is measured: a backlog published by the relay beside the same records sent by the client alone. */
export interface RelayBench {
  readonly url: string;
  readonly brokers: string[];
  readonly rows: number;
  readonly rounds: number;
  readonly keys: number;
  readonly progress: (text: string) => void;
}

const PARTITIONS = 8;
const PAYLOAD_BYTES = 300;
const BATCH_ROWS = 500;

/** Measures in a database and topics of its own, which are removed afterwards. */
export async function benchRelay({ url, brokers, rows, rounds, keys, progress }: RelayBench): Promise<BenchReport> {
  const name = `txbox_bench_${randomBytes(4).toString('hex')}`;
  const connection = await createConnection(url);
  await connection.query(`CREATE DATABASE ${name}`);
  const databaseUrl = Object.assign(new URL(url), { pathname: `/${name}` }).href;
  const pool = createPool({ uri: databaseUrl, connectionLimit: 4 });
  const kafka = new Kafka({ brokers, logLevel: logLevel.NOTHING });
  const admin = kafka.admin();
  await admin.connect();
  const topics = { relay: `${name}.relay`, raw: `${name}.raw` };
  const created = Object.values(topics).map((topic) => ({ topic, numPartitions: PARTITIONS, replicationFactor: 1 }));
  await admin.createTopics({ topics: created, waitForLeaders: true });
  const producer = kafka.producer();
  await producer.connect();
  const outbox = createOutbox({ pool });
  await outbox.migrate();
  const Measured = defineEvent('measured', { topic: topics.relay, codec: rawCodec, key: (): string | null => null });
  const payload = randomBytes(PAYLOAD_BYTES);
  const keyOf = (n: number): string => `key-${n % keys}`;

  const fill = async (): Promise<void> => {
    for (let from = 0; from < rows; from += 1_000) {
      await outbox.transaction(async () => {
        for (let n = from; n < Math.min(rows, from + 1_000); n++) outbox.add(Measured, payload, { key: keyOf(n) });
      });
    }
  };
  const relayed = async (): Promise<number> => {
    const relay = createRelay({ database: { url: databaseUrl }, publisher: kafkajs({ brokers }), batchRows: BATCH_ROWS, wake: false });
    const startedAt = performance.now();
    await relay.start();
    await relay.whenIdle();
    const ms = performance.now() - startedAt;
    const { published } = relay.status();
    await relay.stop();
    if (published !== rows) throw new Error(`the relay published ${published} of ${rows} events`);
    return ms;
  };

  const measured: { relay: number; raw: number }[] = [];
  try {
    for (let round = 0; round <= rounds; round++) {
      await fill();
      const relay = await relayed();
      const raw = await sendAll(producer, topics.raw, rows, (n) => ({ key: keyOf(n), value: payload }));
      // The first round warms up.
      if (round > 0) measured.push({ relay, raw });
      progress(
        `round ${round} of ${rounds}: relay ${perSecond(rows, relay)}/s, raw ${perSecond(rows, raw)}/s, ratio ${(raw / relay).toFixed(2)}`,
      );
    }
  } finally {
    await producer.disconnect();
    await outbox.close();
    await pool.end();
    await connection.query(`DROP DATABASE ${name}`);
    await connection.end();
    await admin.deleteTopics({ topics: Object.values(topics) });
    await admin.disconnect();
  }
  return {
    results: [
      ratioResult(
        {
          id: 'B1',
          floor: 0.6,
          goal: 0.85,
          better: 'higher',
          note: `events per second of the relay / of the bare client, ${rows} rows of ${PAYLOAD_BYTES} bytes on ${keys} keys, kafkajs`,
        },
        measured.map(({ relay, raw }) => raw / relay),
      ),
    ],
    variants: [
      { variant: 'relay', events: rows, eventsPerSecond: perSecond(rows, median(measured.map(({ relay }) => relay))) },
      { variant: 'bare client', events: rows, eventsPerSecond: perSecond(rows, median(measured.map(({ raw }) => raw))) },
    ],
  };
}

/** The same records by the client alone: batches of one partition, one unanswered request a partition, partitions side by side. */
async function sendAll(
  producer: Producer,
  topic: string,
  rows: number,
  recordOf: (n: number) => { key: string; value: Buffer },
): Promise<number> {
  const startedAt = performance.now();
  const lanes: { key: string; value: Buffer; partition: number }[][] = Array.from({ length: PARTITIONS }, () => []);
  for (let n = 0; n < rows; n++) {
    const record = recordOf(n);
    const partition = bucketOf(Buffer.from(record.key), PARTITIONS);
    lanes[partition]?.push({ ...record, partition });
  }
  await Promise.all(
    lanes.map(async (lane) => {
      for (let from = 0; from < lane.length; from += BATCH_ROWS) {
        await producer.send({ topic, acks: -1, messages: lane.slice(from, from + BATCH_ROWS) });
      }
    }),
  );
  return performance.now() - startedAt;
}

function perSecond(rows: number, ms: number): number {
  return Math.round((rows * 1_000) / ms);
}
