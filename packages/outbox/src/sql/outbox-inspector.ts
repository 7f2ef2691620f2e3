import type { Database, SqlRow, SqlValue } from '@txbox/core/spi';
import type { OutboxBacklog, OutboxInspector, ShardBacklog } from '../outbox-store.ts';

/** So many rows of a shard are counted; what lies beyond is estimated. */
const COUNTED_ROWS = 2_000;

/** What is waiting, for status and metrics. */
export class SqlOutboxInspector implements OutboxInspector {
  readonly #database: Database;
  readonly #table: string;

  constructor(database: Database, table: string) {
    this.#database = database;
    this.#table = table;
  }

  async backlog(): Promise<OutboxBacklog> {
    const { dialect } = this.#database;
    const [row] = await this.#query(
      `SELECT COUNT(*), COALESCE(SUM(bytes), 0), COALESCE(${dialect.msSince('MIN(created_at)')}, 0) FROM ${this.#table}`,
    );
    return { rows: Number(row?.[0]), bytes: Number(row?.[1]), oldestAgeMs: Math.max(0, Math.round(Number(row?.[2]))) };
  }

  async shardBacklogs(requests: readonly { readonly shard: number; readonly from: number }[]): Promise<ShardBacklog[]> {
    if (requests.length === 0) return [];
    const { dialect } = this.#database;
    const parts = requests.map(
      (_request, index) =>
        `SELECT ${index}, COUNT(*), COALESCE(SUM(p.bytes), 0), COALESCE(${dialect.msSince('MIN(p.created_at)')}, 0), MIN(p.position), MAX(p.position), ` +
        `(SELECT MAX(position) FROM ${this.#table} WHERE shard = ?) ` +
        `FROM (SELECT position, bytes, created_at FROM ${this.#table} WHERE shard = ? AND position >= ? ORDER BY position LIMIT ${COUNTED_ROWS}) p`,
    );
    const found = await this.#query(
      parts.join(' UNION ALL '),
      requests.flatMap(({ shard, from }) => [shard, shard, from]),
    );
    const byIndex = new Map(found.map((row) => [Number(row[0]), row]));
    return requests.map(({ shard }, index) => backlogOf(shard, byIndex.get(index)));
  }

  async isSettledUpTo(position: number): Promise<boolean> {
    return (await this.#query(`SELECT 1 FROM ${this.#table} WHERE position <= ? LIMIT 1`, [position])).length === 0;
  }

  async #query(sql: string, values: readonly SqlValue[] = []): Promise<SqlRow[]> {
    const session = await this.#database.session();
    try {
      return await session.query(sql, values);
    } finally {
      await session.release();
    }
  }
}

/** Keys are spread over the shards by their hash, so a shard's rows lie about evenly among its positions. */
function backlogOf(shard: number, row: SqlRow | undefined): ShardBacklog {
  const [, rows = 0, bytes = 0, ageMs = 0, first = 0, last = 0, highest = 0] = (row ?? []).map(Number);
  const exact = rows < COUNTED_ROWS || highest <= last;
  const factor = exact ? 1 : (highest - first + 1) / (last - first + 1);
  return { shard, rows: Math.round(rows * factor), bytes: Math.round(bytes * factor), oldestAgeMs: Math.max(0, Math.round(ageMs)), exact };
}
