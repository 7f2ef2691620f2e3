import { setTimeout as sleep } from 'node:timers/promises';
import { defineEvent, type EventDefinition } from '@txbox/core';
import type { PoolConnection, RowDataPacket } from 'mysql2/promise';
import { readValues } from '../relay/topic-reader.ts';
import { type ChaosSite, TOO_LARGE_BYTES } from './chaos-site.ts';
import { between, type Random, randomOf } from './random.ts';

/** What an event says: an attempt is never used twice, a version again after a rollback. */
interface Raised {
  readonly key: string;
  readonly version: number;
  readonly attempt: string;
  readonly filler?: string;
}

/** What an independent reading of a topic says, held against what was committed. */
export interface Verdict {
  readonly keys: number;
  readonly committed: number;
  readonly records: number;
  readonly duplicates: number;
  /** Committed, and not in the topic. */
  readonly lost: number;
  /** In the topic, and never committed. */
  readonly ghosts: number;
  /** Keys whose events came, for the first time each, in another order than that of their transactions. */
  readonly orderBreaks: number;
  /** Some of the keys that are wrong. */
  readonly examples: readonly { readonly key: string; readonly at: number; readonly committed: string; readonly arrived: string }[];
}

const WRITERS = 4;
/** Parts of all transactions. */
const SLOW = 0.01;
const ROLLED_BACK = 0.05;
const TOO_LARGE = 1 / 300;
const MOST_EVENTS = 3;
const EXAMPLES = 5;

/**
 * Aggregates that writers raise, each a message key of one topic. Who raises one locks its row first, so its versions are the order
 * of its events.
 */
export class KeySpace {
  readonly #site: ChaosSite;
  readonly #topic: string;
  readonly #table: string;
  readonly #keys: number;
  readonly #event: EventDefinition<'raised', Raised, Raised>;
  /** Attempts by key and version. */
  readonly #committed: Map<string, string[]> = new Map();
  committed = 0;
  slow = 0;
  tooLarge = 0;

  private constructor(site: ChaosSite, topic: string, table: string, keys: number) {
    this.#site = site;
    this.#topic = topic;
    this.#table = table;
    this.#keys = keys;
    this.#event = defineEvent('raised', { topic, key: (raised: Raised) => raised.key, maxBytes: 1_000_000 });
  }

  static async create(site: ChaosSite, index: number, keys: number): Promise<KeySpace> {
    const table = `aggregates_${index}`;
    await site.pool.query(`CREATE TABLE ${table} (name VARCHAR(32) PRIMARY KEY, version INT NOT NULL) ENGINE=InnoDB`);
    for (let from = 0; from < keys; from += 1_000) {
      const names = Array.from({ length: Math.min(1_000, keys - from) }, (_, n) => [`key ${from + n}`, 0]);
      await site.pool.query(`INSERT INTO ${table} VALUES ?`, [names]);
    }
    return new KeySpace(site, site.topics[index] as string, table, keys);
  }

  /** Until `signal` is aborted. Rejects with the first writer's error. */
  async write(seed: number, signal: AbortSignal): Promise<void> {
    const write = async (writer: number): Promise<void> => {
      const random = randomOf(seed * 1_000 + writer);
      for (let n = 0; !signal.aborted; n++) {
        await this.#transaction(random, `${writer}.${n}`);
        await sleep(between(random, 0, 30));
      }
    };
    await Promise.all(Array.from({ length: WRITERS }, (_, writer) => write(writer)));
  }

  async verdict(): Promise<Verdict> {
    const values = await readValues(this.#site.brokers, this.#topic);
    const arrived = new Map<string, Set<string>>();
    for (const value of values) {
      const { key, attempt } = JSON.parse(value) as Raised;
      const known = arrived.get(key);
      if (known) known.add(attempt);
      else arrived.set(key, new Set([attempt]));
    }
    const once = [...arrived.values()].reduce((sum, attempts) => sum + attempts.size, 0);
    let [lost, ghosts, orderBreaks] = [0, 0, 0];
    const examples: Verdict['examples'][number][] = [];
    for (const key of new Set([...this.#committed.keys(), ...arrived.keys()])) {
      const expected = this.#committed.get(key) ?? [];
      const found = [...(arrived.get(key) ?? [])];
      const at = expected.findIndex((attempt, index) => attempt !== found[index]);
      if (at < 0 && expected.length === found.length) continue;
      const [expectedOnes, foundOnes] = [new Set(expected), new Set(found)];
      const both = found.filter((attempt) => expectedOnes.has(attempt));
      lost += expectedOnes.size - both.length;
      ghosts += found.length - both.length;
      if (both.join() !== expected.filter((attempt) => foundOnes.has(attempt)).join()) orderBreaks += 1;
      const from = at < 0 ? expected.length : at;
      const part = (attempts: readonly string[]): string => attempts.slice(Math.max(0, from - 3), from + 5).join(' ');
      if (examples.length < EXAMPLES) examples.push({ key, at: from, committed: part(expected), arrived: part(found) });
    }
    const { length: records } = values;
    return { keys: this.#keys, committed: this.committed, records, duplicates: records - once, lost, ghosts, orderBreaks, examples };
  }

  async #transaction(random: Random, attempt: string): Promise<void> {
    const key = `key ${Math.floor(this.#keys * random() ** 3)}`;
    const events = Math.ceil(MOST_EVENTS * random());
    const openMs = random() < SLOW ? between(random, 50, 2_500) : 0;
    const commit = random() >= ROLLED_BACK;
    const tooLarge = random() < TOO_LARGE;
    const connection = await this.#site.pool.getConnection();
    try {
      await connection.beginTransaction();
      const first = await this.#raise(connection, key, events);
      const attempts = Array.from({ length: events }, (_, n) => `${attempt}.${n}`);
      for (const [n, one] of attempts.entries()) {
        const filler = tooLarge && n === 0 ? { filler: 'x'.repeat(TOO_LARGE_BYTES) } : {};
        await this.#site.outbox.addTo(connection, this.#event, { key, version: first + n, attempt: one, ...filler });
      }
      if (openMs > 0) await sleep(openMs);
      await (commit ? connection.commit() : connection.rollback());
      if (!commit) return;
      this.#remember(key, first, attempts);
      if (openMs > 0) this.slow += 1;
      if (tooLarge) this.tooLarge += 1;
    } finally {
      connection.release();
    }
  }

  /** The first of so many new versions. */
  async #raise(connection: PoolConnection, key: string, events: number): Promise<number> {
    await connection.query(`UPDATE ${this.#table} SET version = version + ? WHERE name = ?`, [events, key]);
    const [[row]] = await connection.query<RowDataPacket[]>(`SELECT version FROM ${this.#table} WHERE name = ?`, [key]);
    return Number(row?.['version']) - events + 1;
  }

  #remember(key: string, first: number, attempts: readonly string[]): void {
    let known = this.#committed.get(key);
    if (!known) {
      known = [];
      this.#committed.set(key, known);
    }
    for (const [n, attempt] of attempts.entries()) known[first - 1 + n] = attempt;
    this.committed += attempts.length;
  }
}
