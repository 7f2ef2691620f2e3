import type { Database } from '@txbox/core/spi';
import type { TopicPins } from '../outbox-store.ts';

/** Pinned partition counts in the table `txbox_topic` (P-R12). */
export class SqlTopicPins implements TopicPins {
  readonly #database: Database;
  readonly #table: string;

  constructor(database: Database, table: string) {
    this.#database = database;
    this.#table = table;
  }

  async pin(topic: string, partitions: number): Promise<number> {
    const session = await this.#database.session();
    try {
      const read = `SELECT partitions FROM ${this.#table} WHERE topic = ?`;
      const [known] = await session.query(read, [topic]);
      if (known) return Number(known[0]);
      // Two relays may come here at once: the first row stands, and both read it.
      await session.execute(`${session.dialect.insertIgnore} INTO ${this.#table} (topic, partitions, generation) VALUES (?, ?, 1)`, [
        topic,
        partitions,
      ]);
      const [pinned] = await session.query(read, [topic]);
      return Number(pinned?.[0] ?? partitions);
    } finally {
      await session.release();
    }
  }
}
