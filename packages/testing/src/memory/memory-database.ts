import { type SqlResult, type SqlRow, type SqlSession, type SqlValue, sqliteDialect, TxboxError } from '@txbox/core/spi';

/** The part of Node's `node:sqlite` that is used. */
interface SqliteConnection {
  exec(sql: string): void;
  prepare(sql: string): SqliteStatement;
  close(): void;
}

interface SqliteStatement {
  setReturnArrays(on: boolean): void;
  all(...values: readonly SqlValue[]): unknown[];
  run(...values: readonly SqlValue[]): { readonly changes: number | bigint };
}

/** Names that `sqliteDialect` knows, by SQLite's extended result code. */
const CODES: Readonly<Record<number, string>> = {
  1: 'SQLITE_ERROR',
  2067: 'SQLITE_CONSTRAINT_UNIQUE',
  1555: 'SQLITE_CONSTRAINT_PRIMARYKEY',
  2579: 'SQLITE_CONSTRAINT_ROWID',
};

/** A database in memory with one connection, by the SQLite that Node brings. Its statements run in the caller's stack. */
export class MemoryDatabase {
  readonly #connection: SqliteConnection = connect();

  query(sql: string, values: readonly SqlValue[] = []): SqlRow[] {
    return translated(() => {
      const statement = this.#connection.prepare(sql);
      statement.setReturnArrays(true);
      return (statement.all(...values) as unknown[][]).map((row) => row.map(sqlValueOf));
    });
  }

  execute(sql: string, values: readonly SqlValue[] = []): SqlResult {
    return translated(() => ({ affectedRows: Number(this.#connection.prepare(sql).run(...values).changes) }));
  }

  /** Statements each in its own transaction, or in the one that is open. */
  session(): SqlSession {
    return {
      dialect: sqliteDialect,
      query: async (sql, values) => this.query(sql, values),
      execute: async (sql, values) => this.execute(sql, values),
    };
  }
}

function connect(): SqliteConnection {
  // Neither a static import, which would warn on Node 22 wherever this package is loaded, nor one by specifier, which Jest 29
  // cannot resolve.
  const sqlite = process.getBuiltinModule('node:sqlite') as { DatabaseSync: new (path: string) => SqliteConnection } | undefined;
  if (sqlite) return new sqlite.DatabaseSync(':memory:');
  throw new TxboxError(
    'DEPENDENCY_MISSING',
    'createMemoryOutbox needs the module node:sqlite, and this build of Node has none. Use an official build, or createOutbox of @txbox/outbox/sqlite.',
  );
}

function sqlValueOf(value: unknown): string | number | Buffer | null {
  return value instanceof Uint8Array
    ? Buffer.from(value.buffer, value.byteOffset, value.byteLength)
    : (value as string | number | Buffer | null);
}

function translated<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    const { errcode } = error as { errcode?: unknown };
    if (typeof errcode === 'number') Object.assign(error as object, { code: CODES[errcode] ?? `SQLITE_${errcode}` });
    throw error;
  }
}
