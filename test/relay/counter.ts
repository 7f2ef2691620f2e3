import { setTimeout as sleep } from 'node:timers/promises';
import { defineEvent, type EventDefinition } from '@txbox/core';
import type { PoolConnection, RowDataPacket } from 'mysql2/promise';
import { readTopic } from '../e2e/topic-reader.ts';
import { BROKERS } from '../faults/kafka-cluster.ts';
import type { ServiceDatabase } from './service-database.ts';

/** What a counter's event says. A version is used again after a rollback, an attempt never. */
export interface Raised {
  readonly counter: string;
  readonly version: number;
  readonly attempt: string;
}

/** How counters are raised. */
export interface Load {
  readonly seed: number;
  readonly writers: number;
  /** How many, or until this is aborted. */
  readonly transactions: number | AbortSignal;
  readonly counters: number;
  /** Share of the transactions that stay open for 50 to 1,500 ms after their INSERT into the outbox. */
  readonly slow: number;
  /** Share of the transactions that are rolled back. */
  readonly rolledBack: number;
}

/** What an independent reading of the topic says, held against the service's own tables. */
export interface Verdict {
  /** Counters whose events did not arrive, for the first time each, exactly as they were committed. */
  readonly wrong: readonly { readonly counter: string; readonly committed: readonly string[]; readonly arrived: readonly string[] }[];
  readonly committed: number;
  readonly duplicates: number;
}

/**
 * Counters in a service's database. Who raises one locks its row, writes the new version and adds an event of it, so the
 * versions of a counter are the order of its events.
 */
export class Counters {
  readonly #service: ServiceDatabase;
  readonly #event: EventDefinition<string, Raised, Raised>;
  readonly #topic: string;
  #done = 0;

  private constructor(service: ServiceDatabase, topic: string) {
    this.#service = service;
    this.#topic = topic;
    this.#event = defineEvent('counter.raised', { topic, key: (raised: Raised) => raised.counter });
  }

  static async create(service: ServiceDatabase, topic: string, counters: number): Promise<Counters> {
    const { pool } = service;
    await pool.query('CREATE TABLE counters (name VARCHAR(32) PRIMARY KEY, version INT NOT NULL) ENGINE=InnoDB');
    await pool.query(
      'CREATE TABLE raises (counter VARCHAR(32), version INT, attempt VARCHAR(32), PRIMARY KEY (counter, version)) ENGINE=InnoDB',
    );
    await pool.query('INSERT INTO counters VALUES ?', [Array.from({ length: counters }, (_, n) => [nameOf(n), 0])]);
    return new Counters(service, topic);
  }

  /** Transactions ended so far. */
  get done(): number {
    return this.#done;
  }

  /** Raises counters by several writers at once, some of them much more often than others. Rejects with the first writer's error. */
  async raise({ seed, writers, transactions, counters, slow, rolledBack }: Load): Promise<void> {
    let begun = 0;
    const write = async (writer: number): Promise<void> => {
      const random = randomOf(seed * 1_000 + writer);
      while (typeof transactions === 'number' ? begun < transactions : !transactions.aborted) {
        begun += 1;
        const counter = nameOf(Math.floor(counters * random() ** 3));
        const openMs = random() < slow ? slowMs(random()) : 0;
        const attempt = `${seed}-${writer}-${begun}`;
        await this.#transaction(counter, attempt, openMs, random() >= rolledBack);
        this.#done += 1;
      }
    };
    await Promise.all(Array.from({ length: writers }, (_, writer) => write(writer)));
  }

  /** Resolves when so many transactions have ended. */
  async until(done: number): Promise<void> {
    while (this.#done < done) await sleep(5);
  }

  /** `seen`: what a consumer saw, in the order in which it did; default: the topic, partition by partition. */
  async verdict(seen?: readonly Raised[]): Promise<Verdict> {
    const committed = Map.groupBy(
      await this.#service.rows('SELECT counter, attempt FROM raises ORDER BY counter, version'),
      (row) => row['counter'] as string,
    );
    const records = seen ?? (await readTopic(BROKERS, this.#topic)).map(({ value }) => JSON.parse(String(value)) as Raised);
    const arrived = Map.groupBy(records, ({ counter }) => counter);
    const wrong = [...new Set([...committed.keys(), ...arrived.keys()])].flatMap((counter) => {
      const expected = (committed.get(counter) ?? []).map((row) => row['attempt'] as string);
      const found = [...new Set((arrived.get(counter) ?? []).map(({ attempt }) => attempt))];
      return expected.join() === found.join() ? [] : [{ counter, committed: expected, arrived: found }];
    });
    return {
      wrong,
      committed: [...committed.values()].reduce((sum, rows) => sum + rows.length, 0),
      duplicates: records.length - new Set(records.map(({ attempt }) => attempt)).size,
    };
  }

  async #transaction(counter: string, attempt: string, openMs: number, commit: boolean): Promise<void> {
    const connection = await this.#service.pool.getConnection();
    try {
      await connection.beginTransaction();
      await this.#raise(connection, counter, attempt);
      if (openMs > 0) await sleep(openMs);
      await (commit ? connection.commit() : connection.rollback());
    } finally {
      connection.release();
    }
  }

  async #raise(connection: PoolConnection, counter: string, attempt: string): Promise<void> {
    await connection.query('UPDATE counters SET version = version + 1 WHERE name = ?', [counter]);
    const [[row]] = await connection.query<RowDataPacket[]>('SELECT version FROM counters WHERE name = ?', [counter]);
    const version = row?.['version'] as number;
    await connection.query('INSERT INTO raises VALUES (?, ?, ?)', [counter, version, attempt]);
    await this.#service.outbox.addTo(connection, this.#event, { counter, version, attempt });
  }
}

function nameOf(number: number): string {
  return `counter ${number}`;
}

/** Most are open for little, a quarter for longer than a relay lags behind. */
function slowMs(random: number): number {
  return random < 0.75 ? 50 + random * 300 : 900 + (random - 0.75) * 2_400;
}

/** mulberry32: the same seed makes the same choices. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
