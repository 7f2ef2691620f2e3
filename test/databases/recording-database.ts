import type { Database, Dialect, OwnedSession, SqlRow, SqlSession, SqlValue } from '@txbox/core/spi';

/** A database that shows each statement to `before` before it runs, with the session in which it will, and rows that were found to `after`. */
export class RecordingDatabase implements Database {
  readonly #inner: Database;
  readonly #before: (session: SqlSession, sql: string, values: readonly SqlValue[]) => Promise<void>;
  readonly #after: (rows: readonly SqlRow[]) => void;

  constructor(
    inner: Database,
    before: (session: SqlSession, sql: string, values: readonly SqlValue[]) => Promise<void>,
    after: (rows: readonly SqlRow[]) => void = () => undefined,
  ) {
    this.#inner = inner;
    this.#before = before;
    this.#after = after;
  }

  get dialect(): Dialect {
    return this.#inner.dialect;
  }

  get description(): string {
    return this.#inner.description;
  }

  async session(options?: { readonly dirty?: boolean }): Promise<OwnedSession> {
    const session = await this.#inner.session(options);
    return {
      dialect: session.dialect,
      query: async (sql, values = []) => {
        await this.#before(session, sql, values);
        const rows = await session.query(sql, values);
        this.#after(rows);
        return rows;
      },
      execute: async (sql, values = []) => {
        await this.#before(session, sql, values);
        return await session.execute(sql, values);
      },
      begin: () => session.begin(),
      commit: () => session.commit(),
      rollback: () => session.rollback(),
      release: () => session.release(),
      destroy: () => session.destroy(),
    };
  }

  close(): Promise<void> {
    return this.#inner.close();
  }
}
