import type { Database, Dialect, OwnedSession, SqlResult, SqlRow, SqlValue } from '@txbox/core/spi';
import type { PageReads } from './contestant.ts';

/** What only the relay's read of pages has. */
const PAGE_READ = 'AS payload, ';

/** A database that notes how long pages take to be read. */
export class TimedDatabase implements Database {
  readonly #database: Database;
  #withRows: number[] = [];
  #empty: number[] = [];

  constructor(database: Database) {
    this.#database = database;
  }

  get dialect(): Dialect {
    return this.#database.dialect;
  }

  get description(): string {
    return this.#database.description;
  }

  async session(options?: { readonly dirty?: boolean }): Promise<OwnedSession> {
    return new TimedSession(await this.#database.session(options), (ms, rows) => (rows > 0 ? this.#withRows : this.#empty).push(ms));
  }

  /** What was noted since the last question. */
  takePageReads(): PageReads {
    const reads = { withRows: this.#withRows, empty: this.#empty };
    this.#withRows = [];
    this.#empty = [];
    return reads;
  }

  close(): Promise<void> {
    return this.#database.close();
  }
}

class TimedSession implements OwnedSession {
  readonly #session: OwnedSession;
  readonly #note: (ms: number, rows: number) => void;

  constructor(session: OwnedSession, note: (ms: number, rows: number) => void) {
    this.#session = session;
    this.#note = note;
  }

  get dialect(): Dialect {
    return this.#session.dialect;
  }

  async query(sql: string, values?: readonly SqlValue[]): Promise<SqlRow[]> {
    if (!sql.includes(PAGE_READ)) return this.#session.query(sql, values);
    const startedAt = performance.now();
    const rows = await this.#session.query(sql, values);
    this.#note(performance.now() - startedAt, rows.length);
    return rows;
  }

  execute(sql: string, values?: readonly SqlValue[]): Promise<SqlResult> {
    return this.#session.execute(sql, values);
  }

  begin(): Promise<void> {
    return this.#session.begin();
  }

  commit(): Promise<void> {
    return this.#session.commit();
  }

  rollback(): Promise<void> {
    return this.#session.rollback();
  }

  release(): Promise<void> {
    return this.#session.release();
  }

  destroy(): void {
    this.#session.destroy();
  }
}
