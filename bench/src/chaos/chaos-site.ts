import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createOutbox, type Mysql2Outbox } from '@txbox/outbox/mysql2';
import { type Admin, Kafka, logLevel } from 'kafkajs';
import { createPool, type Pool, type RowDataPacket } from 'mysql2/promise';

/** Partitions of a topic. */
const PARTITIONS = 6;
/** Above what a relay puts into one request, below what is too large. */
const LIMIT_BYTES = 600_000;
/** What a topic refuses as long as its limit stands. */
export const TOO_LARGE_BYTES = 650_000;
const RAISED_LIMIT_BYTES = 1_048_576;
const CONNECTIONS = 24;

/** A service's database with its outbox, and its topics, for as long as a run of chaos lasts. */
export class ChaosSite implements AsyncDisposable {
  readonly databaseUrl: string;
  readonly brokers: readonly string[];
  readonly topics: readonly string[];
  readonly pool: Pool;
  readonly outbox: Mysql2Outbox;
  /** Of `txbox`. */
  readonly configFile: string;
  readonly #name: string;
  readonly #folder: string;
  readonly #admin: Admin;

  private constructor(name: string, databaseUrl: string, brokers: readonly string[], topics: readonly string[], folder: string) {
    this.#name = name;
    this.#folder = folder;
    this.databaseUrl = databaseUrl;
    this.brokers = brokers;
    this.topics = topics;
    this.configFile = join(folder, 'txbox.config.json');
    this.pool = createPool({ uri: databaseUrl, connectionLimit: CONNECTIONS });
    this.outbox = createOutbox({ pool: this.pool });
    this.#admin = new Kafka({ brokers: [...brokers], clientId: 'chaos', logLevel: logLevel.NOTHING }).admin();
  }

  /** With a topic for each of the names. */
  static async open(where: { readonly url: string; readonly brokers: readonly string[] }, suffixes: readonly string[]): Promise<ChaosSite> {
    const name = `txbox_chaos_${randomBytes(4).toString('hex')}`;
    const pool = createPool({ uri: where.url, connectionLimit: 1 });
    await pool.query(`CREATE DATABASE ${name}`);
    await pool.end();
    const url = Object.assign(new URL(where.url), { pathname: `/${name}` }).href;
    const folder = await mkdtemp(join(tmpdir(), 'txbox-chaos-'));
    const topics = suffixes.map((suffix) => `${name}.${suffix}`);
    const site = new ChaosSite(name, url, where.brokers, topics, folder);
    try {
      await site.outbox.migrate();
      await site.#admin.connect();
      const configEntries = [{ name: 'max.message.bytes', value: String(LIMIT_BYTES) }];
      const replicationFactor = Math.min(3, (await site.#admin.describeCluster()).brokers.length);
      await site.#admin.createTopics({
        topics: topics.map((topic) => ({ topic, numPartitions: PARTITIONS, replicationFactor, configEntries })),
        waitForLeaders: true,
      });
      const publisher = { kind: 'kafkajs', brokers: where.brokers };
      await writeFile(site.configFile, JSON.stringify({ database: { url }, publisher }));
      return site;
    } catch (error) {
      await site[Symbol.asyncDispose]();
      throw error;
    }
  }

  async rows(sql: string): Promise<RowDataPacket[]> {
    const [found] = await this.pool.query<RowDataPacket[]>(sql);
    return found;
  }

  async count(table: 'txbox_outbox' | 'txbox_dead_letter' | 'txbox_parked_key'): Promise<number> {
    return Number((await this.rows(`SELECT COUNT(*) AS n FROM ${table}`))[0]?.['n']);
  }

  /** From now on the topics take large messages, or refuse them again. */
  async takeLarge(taken: boolean): Promise<void> {
    const configEntries = [{ name: 'max.message.bytes', value: String(taken ? RAISED_LIMIT_BYTES : LIMIT_BYTES) }];
    const resources = this.topics.map((name) => ({ type: 2, name, configEntries }));
    await this.#admin.alterConfigs({ validateOnly: false, resources });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.outbox.close();
    await this.pool.query(`DROP DATABASE ${this.#name}`);
    await this.pool.end();
    await this.#admin.deleteTopics({ topics: [...this.topics] }).catch(() => undefined);
    await this.#admin.disconnect();
    await rm(this.#folder, { recursive: true });
  }
}
