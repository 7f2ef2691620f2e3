import type { Database, SqlRow, SqlValue, TableNames } from '@txbox/core/spi';
import type { OutboxReader, Page, PageRequest, RowHead } from '../outbox-store.ts';
import { COMMON, type PageForm, pageQuery, type ReadPath, wholeNumber } from './page-query.ts';
import { anyCutShort, anyHeadsLeftOut, listedKeysOf, pagesOf } from './page-rows.ts';

/** What is read through one range of positions begins no further apart, and a look through it shows no more. */
const COMMON_POSITIONS = 10_000;

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
  readonly #tables: TableNames;
  readonly #table: string;
  #form: PageForm;
  #mariadb: boolean | undefined;

  constructor(database: Database, tables: TableNames) {
    this.#database = database;
    this.#tables = tables;
    this.#table = tables.outbox;
    this.#form = { large: false, looksUp: false, compact: this.#compactIsKnown };
  }

  async readPages(requests: readonly PageRequest[]): Promise<Page[]> {
    if (requests.length === 0) return [];
    let path = await this.#pathOf(requests);
    for (;;) {
      const form = this.#form;
      const { text, values } = pageQuery(this.#database.dialect, this.#tables, requests, path, form);
      const found = await this.#query(text, values);
      if (path.common.length > 0 && anyHeadsLeftOut(found)) {
        path = { common: [], own: [...requests.keys()] };
        continue;
      }
      const listed = listedKeysOf(found);
      // Which rows have a parked key, a block of heads does not say.
      const compact = this.#compactIsKnown && listed.rows.length === 0 && !anyCutShort(found);
      if ((listed.many && !form.looksUp) || (form.compact && !compact)) {
        // Another text is needed, and with it another snapshot.
        this.#form = { ...form, looksUp: listed.many, compact: false };
        continue;
      }
      const pages = pagesOf(requests, path, found, form.looksUp ? undefined : listed);
      const large = pages.some((page) => page.rows.some((row) => row.payload === null));
      this.#form = { large, looksUp: listed.many, compact };
      return pages;
    }
  }

  /**
   * All shards through one range of positions where little is expected: reading a shard to its end, MariaDB goes on through the
   * deleted rows of the next ones until it meets one that is there, and an old snapshot keeps all of them. MySQL stops in time.
   */
  async #pathOf(requests: readonly PageRequest[]): Promise<ReadPath> {
    const all = [...requests.keys()];
    if (!(await this.#isMariadb())) return { common: [], own: all };
    const glances = all.filter((index) => !(requests[index] as PageRequest).backlog);
    const highest = Math.max(...glances.map((index) => (requests[index] as PageRequest).low));
    const shards = new Set<number>();
    const common = glances.filter((index) => {
      const { shard, low } = requests[index] as PageRequest;
      return low >= highest - COMMON_POSITIONS && shards.size < shards.add(shard).size;
    });
    return { common, own: all.filter((index) => !common.includes(index)) };
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
    const all = [...requests.keys()];
    const isNear = ({ low, upTo }: DirtyRequest): boolean => upTo - low <= COMMON_POSITIONS;
    // See `#pathOf`.
    const near = (await this.#isMariadb()) ? requests.filter(isNear) : [];
    const own = near.length === 0 ? all : all.filter((index) => !isNear(requests[index] as DirtyRequest));
    const parts = own.map((index) => {
      const { limit } = requests[index] as DirtyRequest;
      return `SELECT ${index} AS page, position FROM ${this.#table} WHERE shard = ? AND position >= ? AND position <= ? ORDER BY position LIMIT ${wholeNumber(limit)}`;
    });
    const values = own.flatMap((index) => {
      const { shard, low, upTo } = requests[index] as DirtyRequest;
      return [shard, low, upTo];
    });
    if (near.length > 0) {
      parts.push(`SELECT shard + ${COMMON}, position FROM ${this.#table} FORCE INDEX (position) WHERE position >= ? AND position <= ?`);
      values.push(Math.min(...near.map(({ low }) => low)), Math.max(...near.map(({ upTo }) => upTo)));
    }
    const found = await this.#query(parts.map((part) => this.#database.dialect.unionPart(part)).join(' UNION ALL '), values, true);
    const positions = new Map<number, number[]>();
    for (const [page, position] of found) {
      const shown = positions.get(Number(page));
      if (shown) shown.push(Number(position));
      else positions.set(Number(page), [Number(position)]);
    }
    return requests.map(({ shard, low, upTo, limit }, index) =>
      (positions.get(index) ?? positions.get(COMMON + shard) ?? [])
        .filter((position) => position >= low && position <= upTo)
        .sort((a, b) => a - b)
        .slice(0, limit),
    );
  }

  get #compactIsKnown(): boolean {
    return this.#database.dialect.name !== 'sqlite';
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
