import { systemClock } from '../../runtime/clock.ts';
import { sqliteDialect } from '../../sql/dialects/sqlite.ts';
import type { SqlRow, SqlSession } from '../../sql/session.ts';

/** better-sqlite3's Database, as far as units need it. */
export interface SqliteDatabase {
  readonly inTransaction: boolean;
  prepare(sql: string): SqliteStatement;
  exec(sql: string): unknown;
  pragma(sql: string, options?: { simple?: boolean }): unknown;
}

interface SqliteStatement {
  raw(on: boolean): SqliteStatement;
  all(...values: unknown[]): unknown[];
  run(...values: unknown[]): { changes: number };
}

/** Begins a unit. One that only reads takes no lock that writers wait for, and the connection writes nothing until {@link endReadOnly}. */
export async function beginSqlite(database: SqliteDatabase, readOnly: boolean): Promise<void> {
  if (!readOnly) {
    await beginImmediate(database);
    return;
  }
  database.pragma('query_only = ON');
  database.exec('BEGIN');
}

/** The connection may write again. */
export function endReadOnly(database: SqliteDatabase): void {
  database.pragma('query_only = OFF');
}

/**
 * BEGIN IMMEDIATE that waits for other connections without stopping the event loop, since the one in the way may be in
 * this process (P-W9). Waits as long as the connection's own `timeout` says, then throws what SQLite said.
 */
async function beginImmediate(database: SqliteDatabase): Promise<void> {
  const waitMs = Number(database.pragma('busy_timeout', { simple: true }));
  const until = performance.now() + waitMs;
  for (let pauseMs = 1; ; pauseMs = Math.min(pauseMs * 2, 20)) {
    try {
      database.pragma('busy_timeout = 0');
      database.exec('BEGIN IMMEDIATE');
      return;
    } catch (error) {
      if (sqliteDialect.classify(error) !== 'lock-timeout' || performance.now() > until) throw error;
    } finally {
      database.pragma(`busy_timeout = ${waitMs}`);
    }
    await systemClock.sleep(pauseMs * (0.5 + Math.random() / 2));
  }
}

/** The framework's statements without a unit: outside of any transaction, or in one that somebody else ends. */
export function sessionOfDatabase(database: SqliteDatabase): SqlSession {
  return {
    dialect: sqliteDialect,
    query: async (sql, values = []) =>
      database
        .prepare(sql)
        .raw(true)
        .all(...values) as SqlRow[],
    execute: async (sql, values = []) => ({ affectedRows: database.prepare(sql).run(...values).changes }),
  };
}
