import { type Database, inTransaction, type OwnedSession, recordAudit, type SqlRow, type TableNames } from '@txbox/core/spi';
import { type PinNote, RELAY_SCOPE, type TopicPin, type TopicPins, type TopicSwitch, type TopicSwitcher } from '../outbox-store.ts';

const COLUMNS = 'topic, partitions, generation, switch_offsets';

/** Pinned partition counts in the table `txbox_topic` (P-R12); a row whose `switch_offsets` is not NULL is being switched. */
export class SqlTopicPins implements TopicPins, TopicSwitcher {
  readonly #database: Database;
  readonly #tables: TableNames;

  constructor(database: Database, tables: TableNames) {
    this.#database = database;
    this.#tables = tables;
  }

  pin(topic: string, partitions: number): Promise<TopicPin> {
    const { topic: table } = this.#tables;
    return this.#with(async (session) => {
      const read = `SELECT ${COLUMNS} FROM ${table} WHERE topic = ?`;
      const [known] = await session.query(read, [topic]);
      if (known) return pinOf(known);
      // Two relays may come here at once: the first row stands, and both read it.
      await session.execute(`${session.dialect.insertIgnore} INTO ${table} (topic, partitions, generation) VALUES (?, ?, 1)`, [
        topic,
        partitions,
      ]);
      const [pinned] = await session.query(read, [topic]);
      return pinned ? pinOf(pinned) : { topic, partitions, generation: 1, switching: null };
    });
  }

  pins(): Promise<TopicPin[]> {
    return this.#with(async (session) => (await session.query(`SELECT ${COLUMNS} FROM ${this.#tables.topic} ORDER BY topic`)).map(pinOf));
  }

  changePin(known: TopicPin, next: TopicPin, note?: PinNote): Promise<boolean> {
    const { topic: table } = this.#tables;
    const [was, becomes] = [known, next].map(({ switching }) => (switching === null ? null : encodeSwitch(switching)));
    const unchanged = was === null ? 'switch_offsets IS NULL' : 'switch_offsets = ?';
    return this.#with((session) =>
      inTransaction(session, async () => {
        const { affectedRows } = await session.execute(
          `UPDATE ${table} SET partitions = ?, generation = ?, switch_offsets = ? WHERE topic = ? AND partitions = ? AND generation = ? AND ${unchanged}`,
          [
            ...[next.partitions, next.generation, becomes ?? null],
            ...[known.topic, known.partitions, known.generation],
            ...(was === null || was === undefined ? [] : [was]),
          ],
        );
        if (affectedRows === 0) return false;
        if (note) {
          const { action, actor } = note;
          const details = { topic: known.topic, from: noted(known), to: noted(next) };
          await recordAudit(session, this.#tables, { scope: RELAY_SCOPE, action, actor, messageId: null, details });
        }
        return true;
      }),
    );
  }

  databaseTime(): Promise<string> {
    return this.#with(async (session) => String((await session.query(`SELECT ${session.dialect.now}`))[0]?.[0]));
  }

  async #with<T>(work: (session: OwnedSession) => Promise<T>): Promise<T> {
    const session = await this.#database.session();
    try {
      return await work(session);
    } finally {
      await session.release();
    }
  }
}

function pinOf([topic, partitions, generation, text]: SqlRow): TopicPin {
  return {
    topic: String(topic),
    partitions: Number(partitions),
    generation: Number(generation),
    switching: text === null || text === undefined ? null : decodeSwitch(String(text)),
  };
}

/** Always the same text for the same switch: rows are compared by it. */
function encodeSwitch({ partitions, groups, since, offsets }: TopicSwitch): string {
  return JSON.stringify({ partitions, groups, since, offsets: offsets?.map(String) ?? null });
}

interface StoredSwitch {
  readonly partitions?: number;
  readonly groups?: readonly string[];
  readonly since?: string | null;
  readonly offsets?: readonly string[] | null;
}

/** What cannot be read is a switch all the same: nobody sends. */
function decodeSwitch(text: string): TopicSwitch {
  try {
    const { partitions = 0, groups = [], since = null, offsets = null } = JSON.parse(text) as StoredSwitch;
    return { partitions, groups, since, offsets: offsets?.map(BigInt) ?? null };
  } catch {
    return { partitions: 0, groups: [], since: null, offsets: null };
  }
}

/** A pin as the audit names it. */
function noted({ partitions, generation, switching }: TopicPin): object {
  if (switching === null) return { partitions, generation };
  const { groups, offsets } = switching;
  return { partitions, generation, switching: { partitions: switching.partitions, groups, offsets: offsets?.map(String) ?? null } };
}
