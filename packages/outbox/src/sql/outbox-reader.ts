import type { Database, SqlRow, SqlValue, TableNames } from '@txbox/core/spi';
import { type CompactHeads, compactHeadOf, compactHeads } from '../compact-heads.ts';
import {
  type OutboxReader,
  type Page,
  type PageHead,
  type PageRequest,
  type PendingRow,
  RELAY_SCOPE,
  type RowHead,
} from '../outbox-store.ts';

/** Stands in the column `bytes` of rows that come as heads. */
const HEAD_ONLY = -1;
/** Stands in the column `bytes` where the heads of a shard come as a block; `position` is their number then. */
const COMPACT = -2;
/** Stands in the column `page` of parked keys. */
const PARKED_KEY = -1;
/** So many parked keys are listed beside the pages; where there are more, each row looks its key up. */
const LISTED_KEYS = 200;
/** Low marks further apart than this are not read from in one range of positions. */
const TAIL_POSITIONS = 10_000;
/** A look at no more positions than these lists all that are there. */
const LOOK_POSITIONS = 5_000;
/** After a tail that was longer than expected so many reads do without one. */
const READS_WITHOUT_TAIL = 16;

/** A shard, and the positions of it to look at. */
interface DirtyRequest {
  readonly shard: number;
  readonly low: number;
  readonly upTo: number;
  readonly limit: number;
}

/** Reading without locks (P-R1). */
export class SqlOutboxReader implements OutboxReader {
  readonly #database: Database;
  readonly #table: string;
  readonly #parkedKeys: string;
  /** Whether the last pages left out payloads: chooses the cheaper text for the next ones. */
  #largeSeen = false;
  #manyParked = false;
  /** Whether the last pages saw parked keys: which rows have one, a block of heads does not say. */
  #headsInFull = false;
  #readsWithoutTail = 0;
  #mariadb: boolean | undefined;

  constructor(database: Database, tables: TableNames) {
    this.#database = database;
    this.#table = tables.outbox;
    this.#parkedKeys = tables.parkedKey;
  }

  async readPages(requests: readonly PageRequest[]): Promise<Page[]> {
    if (requests.length === 0) return [];
    const tail = await this.#readTail(requests);
    if (tail) return tail;
    for (;;) {
      const compact = !this.#headsInFull && this.#database.dialect.name !== 'sqlite';
      const found = await this.#readOnce(requests, compact);
      const listed = found.filter((row) => row[0] === PARKED_KEY);
      const many = listed.length > LISTED_KEYS;
      const inFull = listed.length > 0;
      // Another text is needed, and with it another snapshot.
      if ((many && !this.#manyParked) || (compact && (inFull || found.some(isCutShort)))) {
        this.#manyParked ||= many;
        this.#headsInFull = true;
        continue;
      }
      const pages = pagesOf(requests, found, this.#manyParked ? undefined : listed);
      this.#manyParked = many;
      this.#headsInFull = inFull;
      this.#largeSeen = pages.some((page) => page.rows.some((row) => row.payload === null));
      return pages;
    }
  }

  /**
   * All shards in one range of positions, where little is expected: reading a shard to its end, MariaDB goes on through the
   * deleted rows of the next ones until it meets one that is there, and an old snapshot keeps all of them. MySQL stops in time.
   * `undefined` where more was found, or is to be expected. Again one statement (P-R2, P-R9).
   */
  async #readTail(requests: readonly PageRequest[]): Promise<Page[] | undefined> {
    if (this.#largeSeen || this.#manyParked || !isTail(requests) || !(await this.#isMariadb())) return undefined;
    if (this.#readsWithoutTail > 0) {
      this.#readsWithoutTail -= 1;
      return undefined;
    }
    const most = requests.reduce((sum, { limit }) => sum + limit, 0);
    const { dialect } = this.#database;
    const { payload } = withSmallRows(this.#table);
    const parts = [
      dialect.unionPart(
        `SELECT v.shard AS page, o.position, o.id, o.topic, o.message_key, o.bytes, o.sequence, o.headers, ${payload} AS payload, o.created_at ` +
          `FROM (SELECT shard, position FROM ${this.#table} FORCE INDEX (position) WHERE position >= ? LIMIT ${wholeNumber(most)}) v ` +
          // Those of other relays only count.
          `LEFT JOIN ${this.#table} o ON o.shard = v.shard AND o.position = v.position AND v.shard IN (${requests.map(() => '?').join(', ')})`,
      ),
      dialect.unionPart(
        `SELECT ${PARKED_KEY}, 0, id, topic, message_key, 0, NULL, NULL, NULL, NULL FROM ${this.#parkedKeys} ` +
          `WHERE scope = ? AND message_key IS NOT NULL LIMIT ${LISTED_KEYS + 1}`,
      ),
    ];
    const inlineBytes = Math.min(...requests.map((request) => request.inlineBytes));
    const lows = requests.map(({ low }) => low);
    const pageOfShard = new Map(requests.map(({ shard }, index) => [shard, index]));
    const found = await this.#query(parts.join(' UNION ALL '), [inlineBytes, Math.min(...lows), ...pageOfShard.keys(), RELAY_SCOPE]);
    const listed = found.filter((row) => row[0] === PARKED_KEY);
    if (listed.length > LISTED_KEYS || found.length - listed.length >= most) {
      this.#readsWithoutTail = READS_WITHOUT_TAIL;
      return undefined;
    }
    const rows = found.flatMap((row) => {
      const page = row[0] === PARKED_KEY ? undefined : pageOfShard.get(row[0] as number);
      return page === undefined || (row[1] as number) < (lows[page] as number) ? [] : [[page, ...row.slice(1)]];
    });
    rows.sort((a, b) => (a[1] as number) - (b[1] as number));
    const pages = pagesOf(requests, rows, listed);
    this.#headsInFull = listed.length > 0;
    this.#largeSeen = pages.some((page) => page.rows.some((row) => row.payload === null));
    return pages;
  }

  /** One statement, so that a snapshot that shows a row also shows whether its key is parked (P-R9). */
  async #readOnce(requests: readonly PageRequest[], compact: boolean): Promise<SqlRow[]> {
    const parts: string[] = [];
    const values: SqlValue[] = [];
    const { dialect } = this.#database;
    const { payload, from } = this.#largeSeen ? withLargeRows(this.#table) : withSmallRows(this.#table);
    const looksUp = this.#manyParked;
    const parked = looksUp
      ? { column: ', k.id IS NOT NULL', join: lookUp(this.#parkedKeys), blank: ', 0' }
      : { column: '', join: '', blank: '' };
    // The parts with payloads come first: they give the union its column types.
    for (const [index, { shard, start, limit, inlineBytes }] of requests.entries()) {
      parts.push(
        dialect.unionPart(
          `SELECT ${index} AS page, o.position, o.id, o.topic, o.message_key, o.bytes, o.sequence, o.headers, ${payload} AS payload, o.created_at${parked.column} ` +
            `FROM ${from}${parked.join} WHERE o.shard = ? AND o.position >= ? ORDER BY o.position LIMIT ${wholeNumber(limit)}`,
        ),
      );
      values.push(inlineBytes, ...(looksUp ? [RELAY_SCOPE] : []), shard, start);
    }
    for (const [index, { shard, low, start, compactHeads }] of requests.entries()) {
      if (low >= start) continue;
      if (compact && compactHeads) {
        parts.push(
          dialect.unionPart(
            `SELECT ${index}, COUNT(*), NULL, '', NULL, ${COMPACT}, NULL, NULL, GROUP_CONCAT(${compactHeadOf('o.position', 'o.id')} SEPARATOR ''), NULL${parked.blank} ` +
              `FROM ${this.#table} o WHERE o.shard = ? AND o.position >= ? AND o.position < ?`,
          ),
        );
        values.push(shard, low, start);
        continue;
      }
      parts.push(
        dialect.unionPart(
          `SELECT ${index}, o.position, o.id, o.topic, o.message_key, ${HEAD_ONLY}, NULL, NULL, NULL, NULL${parked.column} FROM ${this.#table} o${parked.join} WHERE o.shard = ? AND o.position >= ? AND o.position < ? ORDER BY o.position`,
        ),
      );
      values.push(...(looksUp ? [RELAY_SCOPE] : []), shard, low, start);
    }
    parts.push(
      dialect.unionPart(
        `SELECT ${PARKED_KEY}, 0, id, topic, message_key, 0, NULL, NULL, NULL, NULL${parked.blank} FROM ${this.#parkedKeys} ` +
          `WHERE scope = ? AND message_key IS NOT NULL LIMIT ${LISTED_KEYS + 1}`,
      ),
    );
    values.push(RELAY_SCOPE);
    return await this.#query(parts.join(' UNION ALL '), values);
  }

  async loadPayloads(rows: readonly RowHead[]): Promise<Map<number, Buffer>> {
    const payloads = new Map<number, Buffer>();
    for (const shard of new Set(rows.map((row) => row.shard))) {
      const heads = rows.filter((row) => row.shard === shard);
      const known = new Map(heads.map((head) => [head.position, head.id]));
      const found = await this.#query(
        `SELECT position, id, payload FROM ${this.#table} WHERE shard = ? AND position IN (${heads.map(() => '?').join(', ')})`,
        [shard, ...heads.map((head) => head.position)],
      );
      for (const [position, id, payload] of found) {
        // A number may have been issued again (P-T3): only the id says that it is the same row.
        if (known.get(Number(position))?.equals(id as Buffer)) payloads.set(Number(position), payload as Buffer);
      }
    }
    return payloads;
  }

  async highestPosition(): Promise<number> {
    const [row] = await this.#query(`SELECT MAX(position) FROM ${this.#table}`);
    return Number(row?.[0] ?? 0);
  }

  async dirtyPositions(requests: readonly DirtyRequest[]): Promise<number[][]> {
    if (requests.length === 0) return [];
    const from = Math.min(...requests.map(({ low }) => low));
    const to = Math.max(...requests.map(({ upTo }) => upTo));
    if (to - from <= LOOK_POSITIONS && (await this.#isMariadb())) return await this.#dirtyTail(requests, from, to);
    const parts = requests.map(({ limit }, index) =>
      this.#database.dialect.unionPart(
        `SELECT ${index} AS page, position FROM ${this.#table} WHERE shard = ? AND position >= ? AND position <= ? ORDER BY position LIMIT ${wholeNumber(limit)}`,
      ),
    );
    const values = requests.flatMap(({ shard, low, upTo }) => [shard, low, upTo]);
    const found = await this.#query(parts.join(' UNION ALL '), values, true);
    const positions: number[][] = requests.map(() => []);
    for (const [index, position] of found) positions[Number(index)]?.push(Number(position));
    return positions;
  }

  /** The same, through all shards at once: see `#readTail`. */
  async #dirtyTail(requests: readonly DirtyRequest[], from: number, to: number): Promise<number[][]> {
    const found = await this.#query(
      `SELECT shard, position FROM ${this.#table} FORCE INDEX (position) WHERE position >= ? AND position <= ? ORDER BY position`,
      [from, to],
      true,
    );
    const positions = new Map<number, number[]>(requests.map(({ shard }) => [shard, []]));
    for (const [shard, position] of found) positions.get(shard as number)?.push(position as number);
    return requests.map(({ shard, low, upTo, limit }) =>
      (positions.get(shard) ?? []).filter((position) => position >= low && position <= upTo).slice(0, limit),
    );
  }

  async #isMariadb(): Promise<boolean> {
    if (this.#mariadb === undefined) {
      const mysql = this.#database.dialect.name === 'mysql';
      this.#mariadb = mysql && /mariadb/i.test(String((await this.#query('SELECT VERSION()'))[0]?.[0]));
    }
    return this.#mariadb;
  }

  async #query(sql: string, values: readonly SqlValue[] = [], dirty = false): Promise<SqlRow[]> {
    const session = await this.#database.session({ dirty });
    try {
      return await session.query(sql, values);
    } finally {
      await session.release();
    }
  }
}

/** True when nothing is asked for but what follows low marks that have risen and are near each other. */
function isTail(requests: readonly PageRequest[]): boolean {
  const lows = requests.map(({ low }) => low);
  const shards = new Set(requests.map(({ shard }) => shard));
  return (
    shards.size === requests.length &&
    requests.every(({ low, start }) => low > 0 && low === start) &&
    Math.max(...lows) - Math.min(...lows) <= TAIL_POSITIONS
  );
}

/** One placeholder: the largest payload to read. Cheapest, but InnoDB fetches what it then leaves out: 200 rows of 900 kB take half a second. */
function withSmallRows(table: string): { payload: string; from: string } {
  return { payload: 'CASE WHEN o.bytes <= ? THEN o.payload END', from: `${table} o` };
}

/** One placeholder, the same one. Looks each small row up a second time, and never touches a large payload. */
function withLargeRows(table: string): { payload: string; from: string } {
  return {
    payload: 'p.payload',
    from: `${table} o LEFT JOIN ${table} p ON p.shard = o.shard AND p.position = o.position AND o.bytes <= ?`,
  };
}

/** One placeholder: the scope. */
function lookUp(parkedKeys: string): string {
  return ` LEFT JOIN ${parkedKeys} k ON k.scope = ? AND k.topic = o.topic AND k.message_key = o.message_key`;
}

/** `listed`: all parked keys; without it each row says for itself whether its key is one. */
function pagesOf(requests: readonly PageRequest[], found: readonly SqlRow[], listed: readonly SqlRow[] | undefined): Page[] {
  const pages: { shard: number; heads: PageHead[]; compactHeads?: CompactHeads; rows: PendingRow[] }[] = requests.map(({ shard }) => ({
    shard,
    heads: [],
    rows: [],
  }));
  const parkedKeys = new Set(listed?.map((row) => nameOf(row[3] as string, row[4] as Buffer)));
  const isParked = (row: SqlRow): boolean => {
    if (!listed) return Number(row[10]) === 1;
    return parkedKeys.size > 0 && row[4] !== null && parkedKeys.has(nameOf(row[3] as string, row[4] as Buffer));
  };
  // By index and without spreading: this runs for every row that is ever published.
  for (const row of found) {
    const page = pages[row[0] as number];
    if (!page) continue;
    const { shard } = page;
    const position = row[1] as number;
    const id = row[2] as Buffer;
    const topic = row[3] as string;
    const key = row[4] as Buffer | null;
    const bytes = row[5] as number;
    if (bytes === COMPACT) {
      const block = compactHeads(position, row[8] as Buffer | null);
      if (block && block.length > 0) page.compactHeads = block;
    } else if (bytes === HEAD_ONLY) page.heads.push({ shard, position, id, topic, key, parked: isParked(row) });
    else {
      page.rows.push({
        shard,
        position,
        id,
        topic,
        key,
        bytes,
        sequence: row[6] as number | null,
        headers: row[7] as Buffer,
        payload: row[8] as Buffer | null,
        createdAt: row[9] as string,
        parked: isParked(row),
      });
    }
  }
  // MySQL drops an ORDER BY without LIMIT inside a union; its rows come by the clustered key, which is not a promise.
  for (const page of pages) page.heads.sort((a, b) => a.position - b.position);
  return pages;
}

/** True for a block of heads that the server did not hand out whole (`group_concat_max_len`). */
function isCutShort(row: SqlRow): boolean {
  return row[5] === COMPACT && compactHeads(row[1] as number, row[8] as Buffer | null) === undefined;
}

function nameOf(topic: string, key: Buffer): string {
  return `${topic}\0${key.toString('latin1')}`;
}

// A LIMIT cannot be a placeholder of every kind of statement, so it becomes text: digits and nothing else.
function wholeNumber(limit: number): number {
  if (!Number.isSafeInteger(limit) || limit < 1) throw new RangeError(`A look shows at least one row, got ${limit}.`);
  return limit;
}
