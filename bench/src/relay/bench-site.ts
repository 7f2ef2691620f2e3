import { randomBytes } from 'node:crypto';
import { defineEvent, rawCodec } from '@txbox/core';
import { bucketOf, type EventDefinition } from '@txbox/core/spi';
import { createOutbox } from '@txbox/outbox/mysql2';
import { SHARDS } from '@txbox/outbox/store';
import { Kafka, logLevel } from 'kafkajs';
import { type Connection, createConnection, createPool, type RowDataPacket } from 'mysql2/promise';
import { createTables } from '../outbox/usual-transaction.ts';
import { readRecords } from './records.ts';

/** Partitions of a topic, unless a bench asks for another number. */
export const PARTITIONS = 8;
/** Most rows of one request, of one page and of one statement, for all who are compared. */
export const BATCH_ROWS = 500;
const EVENT = 'order.measured';
/** What an event carries. */
export const PAYLOAD: Buffer = randomBytes(300);
const KEYS = 10_000;
/** The key of backlogs that have only one. */
export const THE_KEY = Buffer.from('key-0');

/** The event that is measured, for a topic. */
export function measuredEvent(topic: string): EventDefinition<typeof EVENT, Uint8Array, Uint8Array> {
  return defineEvent(EVENT, { topic, codec: rawCodec, key: (): string | null => null });
}

/** What a backlog consists of. */
export interface Backlog {
  readonly rows: number;
  readonly topic: string;
  /** All events on one key, instead of 10,000. */
  readonly oneKey?: boolean;
}

/**
 * A database with an outbox, an outbox as others have it, and topics, for as long as a bench runs. The events are added once
 * through the framework and then copied within the server, so every backlog holds the same ones, with ids of their own.
 */
export class BenchSite implements AsyncDisposable {
  readonly brokers: readonly string[];
  readonly databaseUrl: string;
  /** Different events; larger backlogs repeat them. */
  readonly distinct: number;
  readonly #name: string;
  readonly #connection: Connection;
  readonly #kafka: Kafka;
  readonly #topics: string[] = [];
  #copies = 0;

  private constructor(name: string, connection: Connection, where: { url: string; brokers: readonly string[] }, distinct: number) {
    this.#name = name;
    this.#connection = connection;
    this.brokers = where.brokers;
    this.databaseUrl = Object.assign(new URL(where.url), { pathname: `/${name}` }).href;
    this.distinct = distinct;
    this.#kafka = new Kafka({ brokers: [...where.brokers], logLevel: logLevel.NOTHING });
  }

  static async open(where: { readonly url: string; readonly brokers: readonly string[] }, distinct: number): Promise<BenchSite> {
    const name = `txbox_bench_${randomBytes(4).toString('hex')}`;
    const connection = await createConnection(where.url);
    const site = new BenchSite(name, connection, where, distinct);
    try {
      await connection.query(`CREATE DATABASE ${name}`);
      await connection.query(`USE ${name}`);
      await site.#install();
    } catch (error) {
      await site[Symbol.asyncDispose]();
      throw error;
    }
    return site;
  }

  /** A topic of its own. */
  async topic(suffix: string, partitions: number = PARTITIONS): Promise<string> {
    const topic = `${this.#name}.${suffix}`;
    const admin = this.#kafka.admin();
    await admin.connect();
    await admin.createTopics({ topics: [{ topic, numPartitions: partitions, replicationFactor: 1 }], waitForLeaders: true });
    await admin.disconnect();
    this.#topics.push(topic);
    return topic;
  }

  /** Commits a backlog to the empty outbox at once. */
  async fill({ rows, topic, oneKey = false }: Backlog): Promise<void> {
    await this.#mustBeEmpty('txbox_outbox', '1 = 1');
    for (let left = rows; left > 0; left -= this.distinct) {
      const [shard, key] = oneKey ? [String(bucketOf(THE_KEY, SHARDS)), `x'${THE_KEY.toString('hex')}'`] : ['shard', 'message_key'];
      await this.#connection.query(
        `INSERT INTO txbox_outbox (shard, id, topic, message_key, aggregate_type, aggregate_id, type, sequence, headers, payload, bytes, created_at)
         SELECT ${shard}, ${this.#newId()}, ?, ${key}, aggregate_type, aggregate_id, type, sequence, headers, payload, bytes, UTC_TIMESTAMP(6)
         FROM filled WHERE place <= ? ORDER BY place`,
        [topic, left],
      );
    }
  }

  /** Outboxes in which nothing ever was. Nobody may be working. */
  async clear(): Promise<void> {
    await this.#connection.query('TRUNCATE TABLE txbox_outbox');
    await this.#connection.query('TRUNCATE TABLE polled_outbox');
  }

  /** The tables of a service. */
  async createServiceTables(): Promise<void> {
    await createTables(this.#connection);
  }

  /** The same events in the outbox of the others. */
  async fillPolled({ rows, topic }: Backlog): Promise<void> {
    await this.#mustBeEmpty('polled_outbox', 'status = 0');
    // What was sent would be archived now and then: it is gone here, so that every round finds the same.
    await this.#connection.query('TRUNCATE TABLE polled_outbox');
    for (let left = rows; left > 0; left -= this.distinct) {
      await this.#connection.query(
        `INSERT INTO polled_outbox (topic, message_key, type, headers, payload, created_at)
         SELECT ?, message_key, type, headers, payload, UTC_TIMESTAMP(6) FROM polled_filled WHERE place <= ? ORDER BY place`,
        [topic, left],
      );
    }
  }

  /** Waits, with an end, until the server has removed what was deleted: or one contestant's work slows the next one down. */
  async rest(): Promise<void> {
    const until = performance.now() + MOST_REST_MS;
    do {
      await new Promise((resolve) => setTimeout(resolve, 200));
    } while ((await this.#history()) > RESTED_HISTORY && performance.now() < until);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#connection.query(`DROP DATABASE IF EXISTS ${this.#name}`);
    await this.#connection.end();
    if (this.#topics.length === 0) return;
    const admin = this.#kafka.admin();
    await admin.connect();
    await admin.deleteTopics({ topics: this.#topics });
    await admin.disconnect();
  }

  async #install(): Promise<void> {
    const pool = createPool({ uri: this.databaseUrl, connectionLimit: 4 });
    const outbox = createOutbox({ pool });
    await outbox.migrate();
    // Its topic is set where the rows are copied.
    const event = measuredEvent('measured');
    for (let from = 0; from < this.distinct; from += 1_000) {
      await outbox.transaction(async () => {
        for (let n = from; n < Math.min(this.distinct, from + 1_000); n += 1) outbox.add(event, PAYLOAD, { key: `key-${n % KEYS}` });
      });
    }
    await outbox.close();
    await pool.end();
    await this.#connection.query('SET @place := 0');
    await this.#connection.query('SET SESSION max_statement_time = 0');
    await this.#connection.query(
      'CREATE TABLE filled (PRIMARY KEY (place)) SELECT CAST(@place := @place + 1 AS UNSIGNED) AS place, o.* FROM txbox_outbox o ORDER BY o.position',
    );
    await this.#connection.query('TRUNCATE TABLE txbox_outbox');
    await this.#connection.query(POLLED_OUTBOX);
    await this.#fillPolledTemplate();
  }

  async #fillPolledTemplate(): Promise<void> {
    await this.#connection.query(
      'CREATE TABLE polled_filled (place INT PRIMARY KEY, message_key VARCHAR(255) NULL, type VARCHAR(255) NOT NULL, headers TEXT NOT NULL, payload LONGBLOB NOT NULL)',
    );
    const records = await readRecords(this.databaseUrl);
    for (let from = 0; from < records.length; from += 1_000) {
      const rows = records.slice(from, from + 1_000).map(({ key, value, headers }, at) => {
        // Ids as text, as others have them.
        const texts = headers.map(([name, bytes]) => [name, name.endsWith('-id') ? bytes.toString('hex') : bytes.toString()]);
        return [from + at + 1, key?.toString() ?? null, EVENT, JSON.stringify(Object.fromEntries(texts)), value];
      });
      await this.#connection.query('INSERT INTO polled_filled (place, message_key, type, headers, payload) VALUES ?', [rows]);
    }
  }

  #newId(): string {
    const copy = this.#copies++;
    return `CONCAT(UNHEX(LPAD(HEX(${copy}), 8, '0')), UNHEX(LPAD(HEX(place), 8, '0')), RIGHT(id, 8))`;
  }

  async #mustBeEmpty(table: string, pending: string): Promise<void> {
    const [rows] = await this.#connection.query<RowDataPacket[]>(`SELECT 1 FROM ${table} WHERE ${pending} LIMIT 1`);
    if (rows.length > 0) throw new Error(`${table} is not empty: what was measured last has not finished`);
  }

  async #history(): Promise<number> {
    try {
      const [rows] = await this.#connection.query<RowDataPacket[]>(
        "SELECT count FROM information_schema.INNODB_METRICS WHERE name = 'trx_rseg_history_len'",
      );
      return Number(rows[0]?.['count'] ?? 0);
    } catch {
      return 0;
    }
  }
}

const MOST_REST_MS = 15_000;
/** Transactions whose remains may be left. */
const RESTED_HISTORY = 100;

/** An outbox as one finds it in articles: a status, and an index that finds what is pending. */
const POLLED_OUTBOX = `CREATE TABLE polled_outbox (
  id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY,
  topic VARCHAR(249) NOT NULL,
  message_key VARCHAR(255) NULL,
  type VARCHAR(255) NOT NULL,
  headers TEXT NOT NULL,
  payload LONGBLOB NOT NULL,
  status TINYINT NOT NULL DEFAULT 0,
  created_at DATETIME(6) NOT NULL,
  sent_at DATETIME(6) NULL,
  KEY by_status (status, id)
)`;
