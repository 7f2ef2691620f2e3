// Services that write while a relay works: `node writers.process.js <settings as JSON>`. Told `start` and `stop`; answers with what they saw.
import { createOutbox } from '@txbox/outbox/mysql2';
import { createPool } from 'mysql2/promise';
import { purchaseByHand, purchaseOf } from '../outbox/usual-transaction.ts';
import { measuredEvent, PAYLOAD } from './bench-site.ts';
import type { WritersSample, WritersSettings } from './writers-process.ts';

const { databaseUrl, topic, outbox: kind } = JSON.parse(process.argv[2] as string) as WritersSettings;
const WRITERS = 4;
/** Between two transactions of a writer: they are services, not a load test. */
const PAUSE_MS = { least: 2, most: 18 };

const pool = createPool({ uri: databaseUrl, connectionLimit: WRITERS });
const outbox = createOutbox({ pool });
const event = measuredEvent(topic);
const write = kind === 'txbox' ? writeTxbox : writePolled;
let sample: { latencies: number[]; deadlocks: number; lockTimeouts: number } = { latencies: [], deadlocks: 0, lockTimeouts: 0 };
let running = false;
let writers: Promise<unknown> = Promise.resolve();
let n = 0;

process.on('message', (order: 'start' | 'stop' | 'close') => {
  if (order === 'close') process.exit();
  if (order === 'start') {
    sample = { latencies: [], deadlocks: 0, lockTimeouts: 0 };
    running = true;
    writers = Promise.all(Array.from({ length: WRITERS }, work));
    writers.catch((error: unknown) => {
      process.stderr.write(`writers: ${String(error)}\n`);
      process.exit(1);
    });
    process.send?.('started');
  } else {
    running = false;
    void writers.then(() => process.send?.(sample satisfies WritersSample));
  }
});
process.on('disconnect', () => process.exit());
process.send?.('ready');

async function work(): Promise<void> {
  while (running) {
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS.least + Math.random() * (PAUSE_MS.most - PAUSE_MS.least)));
    const startedAt = performance.now();
    try {
      await write(n++);
      sample.latencies.push(performance.now() - startedAt);
    } catch (error) {
      const code = (error as { code?: string; cause?: { code?: string } }).cause?.code ?? (error as { code?: string }).code;
      if (code === 'ER_LOCK_DEADLOCK') sample.deadlocks += 1;
      else if (code === 'ER_LOCK_WAIT_TIMEOUT') sample.lockTimeouts += 1;
      else throw error;
    }
  }
}

async function writeTxbox(at: number): Promise<void> {
  await outbox.transaction(async (tx) => {
    await purchaseByHand(tx.connection, purchaseOf(at));
    tx.add(event, PAYLOAD, { key: `key-${at % 10_000}` });
  });
}

async function writePolled(at: number): Promise<void> {
  const connection = await pool.getConnection();
  try {
    await connection.beginTransaction();
    await purchaseByHand(connection, purchaseOf(at));
    await connection.query(
      "INSERT INTO polled_outbox (topic, message_key, type, headers, payload, created_at) VALUES (?, ?, 'order.measured', '{}', ?, UTC_TIMESTAMP(6))",
      [topic, `key-${at % 10_000}`, PAYLOAD],
    );
    await connection.commit();
  } catch (error) {
    await connection.rollback();
    throw error;
  } finally {
    connection.release();
  }
}
