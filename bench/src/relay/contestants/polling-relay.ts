import { createPool, type Pool, type PoolConnection, type RowDataPacket } from 'mysql2/promise';
import type { BareClient, ClientMessage } from '../bare-client.ts';
import { BATCH_ROWS } from '../bench-site.ts';
import { type Contestant, machineNow } from '../contestant.ts';

/** What the relays that others have work with. */
export interface PollingRelay {
  readonly databaseUrl: string;
  readonly client: BareClient;
  readonly workers: number;
  /** Pause after a look that found nothing; without it they end when they find nothing. */
  readonly pollMs?: number;
}

interface PolledRow extends RowDataPacket {
  readonly id: number;
  readonly topic: string;
  readonly message_key: string | null;
  readonly headers: string;
  readonly payload: Buffer;
}

const PENDING = `SELECT id, topic, message_key, headers, payload FROM polled_outbox WHERE status = 0 ORDER BY id LIMIT ${BATCH_ROWS}`;
const CONNECTIONS = 4;

/**
 * The usual relay: in one transaction it takes a batch that nobody else has (`FOR UPDATE SKIP LOCKED`), sends it in one
 * request, marks it as sent. READ COMMITTED, so that nobody's INSERT waits for its locks; prepared statements.
 */
export function skipLockedRelay(plan: PollingRelay): Contestant {
  return polling(plan, async (pool, acknowledged) => {
    const connection = await pool.getConnection();
    try {
      await connection.beginTransaction();
      const [rows] = await connection.execute<PolledRow[]>(`${PENDING} FOR UPDATE SKIP LOCKED`);
      if (rows.length > 0) {
        for (const [topic, ofTopic] of Map.groupBy(rows, (row) => row.topic))
          await plan.client.send(topic, messagesOf(plan.client, ofTopic));
        acknowledged(rows.length);
        await markSent(connection, rows);
      }
      await connection.commit();
      return rows.length;
    } catch (error) {
      await connection.rollback();
      if ((error as { code?: string }).code === 'ER_LOCK_DEADLOCK') return BATCH_ROWS;
      throw error;
    } finally {
      connection.release();
    }
  });
}

/** The first relay that one writes: reads a page, sends each row by itself and marks it as sent. */
export function rowByRowRelay(plan: PollingRelay): Contestant {
  return polling(plan, async (pool, acknowledged) => {
    const [rows] = await pool.execute<PolledRow[]>(PENDING);
    for (const row of rows) {
      await plan.client.send(row.topic, messagesOf(plan.client, [row]));
      acknowledged(1);
      await pool.execute('UPDATE polled_outbox SET status = 1, sent_at = UTC_TIMESTAMP(6) WHERE id = ?', [row.id]);
    }
    return rows.length;
  });
}

/** `pass` resolves to the number of rows that it found. */
function polling(plan: PollingRelay, pass: (pool: Pool, acknowledged: (rows: number) => void) => Promise<number>): Contestant {
  const pool = createPool({ uri: plan.databaseUrl, connectionLimit: CONNECTIONS });
  pool.on('connection', (connection) => {
    (connection as unknown as { query(sql: string): void }).query('SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED');
  });
  let acknowledgedAt: number[] = [];
  let running = false;
  let work: Promise<unknown> = Promise.resolve();
  const acknowledged = (rows: number): void => {
    if (plan.pollMs !== undefined) for (let at = 0; at < rows; at += 1) acknowledgedAt.push(machineNow());
  };
  const worker = async (): Promise<void> => {
    while (running) {
      const found = await pass(pool, acknowledged);
      if (found > 0) continue;
      if (plan.pollMs === undefined) return;
      await new Promise((resolve) => setTimeout(resolve, plan.pollMs));
    }
  };
  return {
    begin: async () => {
      const opened = await Promise.all(Array.from({ length: CONNECTIONS }, () => pool.getConnection()));
      for (const connection of opened) connection.release();
      running = true;
      work = Promise.all(Array.from({ length: plan.workers }, worker));
      // Whoever waits for the end hears of a failure.
      work.catch(() => undefined);
    },
    drained: async () => void (await work),
    acknowledgedAt: () => {
      const times = acknowledgedAt;
      acknowledgedAt = [];
      return times;
    },
    end: async () => {
      running = false;
      await work;
    },
  };
}

function messagesOf(client: BareClient, rows: readonly PolledRow[]): ClientMessage[] {
  return rows.map((row) => {
    const headers = Object.entries(JSON.parse(row.headers) as Record<string, string>);
    const key = row.message_key === null ? null : Buffer.from(row.message_key);
    return client.messageOf(row.topic, { key, value: row.payload, headers: headers.map(([name, text]) => [name, Buffer.from(text)]) });
  });
}

async function markSent(connection: PoolConnection, rows: readonly PolledRow[]): Promise<void> {
  const places = rows.map(() => '?').join(', ');
  await connection.execute(
    `UPDATE polled_outbox SET status = 1, sent_at = UTC_TIMESTAMP(6) WHERE id IN (${places})`,
    rows.map((row) => row.id),
  );
}
