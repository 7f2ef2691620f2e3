import { type Database, inTransaction, type OwnedSession, type TableNames } from '@txbox/core/spi';
import type { OutboxSettler, RowHead } from '../outbox-store.ts';
import { copyPresent, deleteEach, deletePresent, type PresentRow, presentOf, type Statement } from './named-rows.ts';

/** Rows of one statement: bounds its locks and its undo. */
const CHUNK = 1_000;
/** About the most bytes that one transaction archives: bounds its log. */
const ARCHIVED_BYTES = 8_388_608;

/** Removing acknowledged rows by identity (P-R7), or moving them to the archive. */
export class SqlOutboxSettler implements OutboxSettler {
  readonly #database: Database;
  readonly #tables: TableNames;
  readonly #archive: boolean;

  constructor(database: Database, tables: TableNames, archive: boolean) {
    this.#database = database;
    this.#tables = tables;
    this.#archive = archive;
  }

  async settle(rows: readonly RowHead[], form: 'range' | 'each'): Promise<number> {
    if (rows.length === 0) return 0;
    const session = await this.#database.session();
    try {
      let settled = 0;
      // Whoever else settles some of them takes the locks in this order, too.
      const ordered = rows.toSorted((a, b) => a.shard - b.shard || a.position - b.position);
      for (let from = 0; from < rows.length; ) {
        const chunk = ordered.slice(from, from + CHUNK);
        const done = await (this.#archive ? this.#move(session, chunk) : this.#delete(session, chunk, form));
        settled += done.settled;
        from += done.rows;
      }
      return settled;
    } finally {
      await session.release();
    }
  }

  async #delete(session: OwnedSession, rows: readonly RowHead[], form: 'range' | 'each'): Promise<Done> {
    const { outbox } = this.#tables;
    const range = form === 'range' && session.dialect.name !== 'sqlite';
    const [sql, values] = range ? deleteRange(outbox, rows) : deleteEach(session.dialect, outbox, rows);
    return { rows: rows.length, settled: (await session.execute(sql, values)).affectedRows };
  }

  /**
   * Two relays may settle a row: only the first to lock it finds it, so it is archived once. All locks are taken before the
   * archive numbers its rows, and never one of a row that is not named: services do not wait.
   */
  #move(session: OwnedSession, rows: readonly RowHead[]): Promise<Done> {
    const { outbox, archive } = this.#tables;
    return inTransaction(session, async () => {
      const present = await presentOf(session, outbox, rows);
      const moved = present.slice(0, lengthWithin(present, ARCHIVED_BYTES));
      await copyPresent(session, outbox, moved, archive, [
        ['id', 'id'],
        ['created_at', 'created_at'],
        ['published_at', session.dialect.now],
      ]);
      await deletePresent(session, outbox, moved);
      const next = present[moved.length];
      return { rows: next ? rows.findIndex((row) => row.id === next.id) : rows.length, settled: moved.length };
    });
  }
}

/** How many of the given rows are dealt with, and how many of these were there. */
interface Done {
  readonly rows: number;
  readonly settled: number;
}

/** At least 1. */
function lengthWithin(rows: readonly PresentRow[], bytes: number): number {
  let sum = 0;
  const beyond = rows.findIndex((row, index) => {
    sum += row.bytes;
    return index > 0 && sum > bytes;
  });
  return beyond < 0 ? rows.length : beyond;
}

/** Of rows by position. Fast; may wait for an uncommitted row inside the span. The span alone would delete rows that committed late and were never read. */
function deleteRange(table: string, rows: readonly RowHead[]): Statement {
  const [first, last] = [rows[0] as RowHead, rows.at(-1) as RowHead];
  if (first.shard !== last.shard) throw new RangeError('Rows that are settled as a range belong to one shard.');
  return [
    // The hint: now and then a server reads the other index, locks rows of other shards, and two settlers deadlock. The span of one
    // shard: of an equality it may read the whole shard.
    `DELETE o FROM ${table} o FORCE INDEX (PRIMARY) WHERE o.shard BETWEEN ? AND ? AND o.position BETWEEN ? AND ? AND o.id IN (${rows.map(() => '?').join(', ')})`,
    [first.shard, first.shard, first.position, last.position, ...rows.map((row) => row.id)],
  ];
}
