import { type Database, pruneOlder, type SqlRow, type SqlSession, type SqlValue, tableNames } from '@txbox/core/spi';
import type { ArchivedMessage, ArchivedTopic, ArchiveFilter, ArchiveSpan, OutboxArchive } from '../outbox-archive.ts';

/** Places of one look: bounds a statement that finds few of many. */
const LOOK_PLACES = 20_000;

/** The archive of a MySQL, MariaDB or SQLite database. Each call uses a session of its own for its length. */
export function outboxArchive(database: Database, options: { readonly tablePrefix?: string | undefined } = {}): OutboxArchive {
  return new SqlOutboxArchive(database, tableNames(options.tablePrefix).archive);
}

class SqlOutboxArchive implements OutboxArchive {
  readonly #database: Database;
  readonly #table: string;

  constructor(database: Database, table: string) {
    this.#database = database;
    this.#table = table;
  }

  span({ since, until }: ArchiveFilter): Promise<ArchiveSpan> {
    // By time alone, which has an index that holds the places: what else is asked for may be anywhere.
    const { where, values } = conditionsOf({ ...(since && { since }), ...(until && { until }) });
    return this.#with(async (session) => {
      const [row] = await session.query(`SELECT MIN(place), MAX(place) FROM ${this.#table} WHERE 1 = 1${where}`, values);
      const first = row?.[0] ?? null;
      return first === null ? { after: 0, upTo: 0 } : { after: Number(first) - 1, upTo: Number(row?.[1]) };
    });
  }

  count(filter: ArchiveFilter, span: ArchiveSpan): Promise<{ topics: ArchivedTopic[]; upTo: number }> {
    const { where, values } = conditionsOf(filter);
    const upTo = Math.min(span.upTo, span.after + LOOK_PLACES);
    return this.#with(async (session) => {
      const rows = await session.query(
        `SELECT topic, COUNT(*), SUM(bytes), MIN(published_at), MAX(published_at) FROM ${this.#table}
         WHERE place > ? AND place <= ?${where} GROUP BY topic`,
        [span.after, upTo, ...values],
      );
      return { topics: rows.map(topicOf), upTo };
    });
  }

  read(filter: ArchiveFilter, span: ArchiveSpan, limit: number, bytes: number): Promise<{ messages: ArchivedMessage[]; upTo: number }> {
    const { where, values } = conditionsOf(filter);
    const end = Math.min(span.upTo, span.after + LOOK_PLACES);
    return this.#with(async (session) => {
      const sizes = await session.query(
        `SELECT place, bytes FROM ${this.#table} WHERE place > ? AND place <= ?${where} ORDER BY place LIMIT ${limit}`,
        [span.after, end, ...values],
      );
      if (sizes.length === 0) return { messages: [], upTo: end };
      let sum = 0;
      const beyond = sizes.findIndex(([, size], index) => {
        sum += Number(size);
        return index > 0 && sum > bytes;
      });
      const last = sizes[(beyond < 0 ? sizes.length : beyond) - 1];
      const whole = await session.query(
        `SELECT place, id, topic, message_key, type, sequence, headers, payload, bytes, published_at FROM ${this.#table}
         WHERE place > ? AND place <= ?${where} ORDER BY place`,
        [span.after, Number(last?.[0]), ...values],
      );
      return { messages: whole.map(messageOf), upTo: beyond < 0 && sizes.length < limit ? end : Number(last?.[0]) };
    });
  }

  prune(ageMs: number, limit: number): Promise<number> {
    return this.#with((session) => pruneOlder(session, { table: this.#table, key: 'place', time: 'published_at' }, ageMs, limit));
  }

  async #with<T>(work: (session: SqlSession) => Promise<T>): Promise<T> {
    const session = await this.#database.session();
    try {
      return await work(session);
    } finally {
      await session.release();
    }
  }
}

function topicOf([topic, messages, bytes, first, last]: SqlRow): ArchivedTopic {
  return {
    topic: topic as string,
    messages: Number(messages),
    bytes: Number(bytes),
    firstPublishedAt: first as string,
    lastPublishedAt: last as string,
  };
}

function messageOf(row: SqlRow): ArchivedMessage {
  return {
    place: Number(row[0]),
    id: row[1] as Buffer,
    topic: row[2] as string,
    key: row[3] as Buffer | null,
    type: row[4] as string,
    sequence: row[5] === null ? null : Number(row[5]),
    headers: row[6] as Buffer,
    payload: row[7] as Buffer,
    bytes: Number(row[8]),
    publishedAt: row[9] as string,
  };
}

function conditionsOf({ id, topic, key, type, since, until }: ArchiveFilter): { where: string; values: SqlValue[] } {
  const conditions: readonly (readonly [string, SqlValue | undefined])[] = [
    ['id = ?', id],
    ['topic = ?', topic],
    ['message_key = ?', key],
    ['type = ?', type],
    ['published_at >= ?', since],
    ['published_at < ?', until],
  ];
  const given = conditions.filter(([, value]) => value !== undefined);
  return { where: given.map(([text]) => ` AND ${text}`).join(''), values: given.map(([, value]) => value as SqlValue) };
}
