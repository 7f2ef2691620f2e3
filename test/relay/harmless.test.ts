// Writers never wait for a relay, wherever their open transactions lie (P-R1, P-R7).
import { setTimeout as sleep } from 'node:timers/promises';
import { defineEvent } from '@txbox/core';
import { bucketOf } from '@txbox/core/spi';
import { SHARDS } from '@txbox/outbox/store';
import type { RelayOptions } from '@txbox/relay';
import { createConnection, type PoolConnection, type RowDataPacket } from 'mysql2/promise';
import { expect, it, onTestFinished, vi } from 'vitest';
import { backendUrl } from '../conformance/backend-url.ts';
import { bareAdmin, newTopic } from '../faults/kafka-cluster.ts';
import { PATIENCE, startRelay, textsIn } from './note.ts';
import { SERVERS, serviceDatabase } from './service-database.ts';

/** One shard, so that everybody meets. */
const KEYS = Array.from({ length: 500 }, (_, n) => `key ${n}`).filter((key) => bucketOf(Buffer.from(key), SHARDS) === 3);

/** Connections that wait for a row. MariaDB shows a copy that it renews when nobody has looked for a tenth of a second. */
const MARIADB_WAITS = "SELECT trx_mysql_thread_id AS id FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'";
/**
 * MySQL names the thread that made a row lock's record, which may be the other party's; a transaction's lock on the table is always made
 * by its own thread.
 */
const MYSQL_WAITS = `SELECT t.processlist_id AS id FROM performance_schema.data_lock_waits w
  JOIN performance_schema.data_locks own ON own.engine_transaction_id = w.requesting_engine_transaction_id AND own.lock_type = 'TABLE'
  JOIN performance_schema.threads t ON t.thread_id = own.thread_id`;

const DELETES: Partial<RelayOptions> = {};
/** What is archived is forgotten again meanwhile. */
const ARCHIVES: Partial<RelayOptions> = { archive: { retentionMs: 1 } };
const FULL = process.env['TXBOX_TEST_FULL'] === '1';

it.each([
  ...SERVERS.map(([name, ...server]) => [name, 'deletes', ...server, DELETES] as const),
  ...SERVERS.slice(0, FULL ? undefined : 1).map(([name, ...server]) => [name, 'archives', ...server, ARCHIVES] as const),
])(
  'writers on %s never wait while a relay publishes and settles between their open transactions, and %s',
  async (_name, does, variable, service, options) => {
    const database = await serviceDatabase(variable, service);
    const topic = await newTopic(await bareAdmin(), 2);
    const isMariadb = service.startsWith('mariadb');
    const Noted = defineEvent('noted', { topic, key: (note: { key: string; text: string }) => note.key });
    const committed: string[] = [];
    const writers = new Set<number>();
    let texts = 0;

    /** A transaction that adds one event at once and one before its end; the keys are its own. */
    const begin = async (key: string): Promise<{ end(commit: boolean): Promise<void> }> => {
      const connection: PoolConnection = await database.pool.getConnection();
      // MariaDB does not wait at all with 0; MySQL knows no less than a second.
      await connection.query(`SET SESSION innodb_lock_wait_timeout = ${isMariadb ? 0 : 1}`);
      writers.add(connection.threadId as number);
      await connection.beginTransaction();
      const added: string[] = [];
      const add = async (): Promise<void> => {
        texts += 1;
        const text = `text ${texts}`;
        await database.outbox.addTo(connection, Noted, { key, text });
        added.push(text);
      };
      await add();
      return {
        end: async (commit) => {
          await add();
          await (commit ? connection.commit() : connection.rollback());
          if (commit) committed.push(...added);
          connection.release();
        },
      };
    };

    const admin = await createConnection(backendUrl(variable, service).replace(/^mariadb:/, 'mysql:'));
    onTestFinished(() => admin.end());
    const waiting = new Set<number>();
    let watched = true;
    const watch = async (): Promise<void> => {
      while (watched) {
        const [rows] = await admin.query<RowDataPacket[]>(isMariadb || service === 'mysql57' ? MARIADB_WAITS : MYSQL_WAITS);
        for (const row of rows) waiting.add(Number(row['id']));
        await sleep(isMariadb ? 110 : 5);
      }
    };
    const writersWaiting = (): number[] => [...waiting].filter((id) => writers.has(id));

    const write = async (writer: number, transactions: number): Promise<void> => {
      for (let n = 0; n < transactions; n++) {
        const transaction = await begin(KEYS[2 + writer] as string);
        if (n % 10 === 0) await sleep(10 * writer);
        await transaction.end(n % 10 !== 9);
      }
    };
    const watching = watch();
    const endWatching = async (): Promise<void> => {
      watched = false;
      await watching;
    };
    onTestFinished(endWatching);
    let relay = await startRelay(database, options);
    await Promise.all([0, 1, 2, 3, 4].map((writer) => write(writer, 60)));
    await relay.stop();
    // Two that stay open among rows that are settled as a range, and writers that go on.
    await write(0, 120);
    const open = [await begin(KEYS[0] as string), await begin(KEYS[1] as string)];
    await write(0, 120);
    const before = relay.status().settled;
    relay = await startRelay(database, options);
    await Promise.all([0, 1, 2, 3, 4].map((writer) => write(writer, 40)));
    await vi.waitFor(() => expect(before + relay.status().settled).toBe(committed.length), PATIENCE);
    for (const transaction of open) await transaction.end(true);
    await relay.whenIdle();
    await endWatching();

    expect(writersWaiting()).toEqual([]);
    // The relay did, where it settles by a range: it met the open transactions.
    if (does === 'deletes') expect(waiting.size).toBeGreaterThan(0);
    expect(await database.pending()).toBe(0);
    expect((await textsIn(topic)).sort()).toEqual(committed.sort());
  },
);
