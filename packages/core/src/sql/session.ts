import type { Dialect } from './dialect.ts';

/** A value bound to a placeholder (`?`). */
export type SqlValue = string | number | bigint | Buffer | null;

/** A row as an array in the order of the selected columns. Integers are `number`, binaries `Buffer`, times `string` (UTC, `YYYY-MM-DD HH:MM:SS.ffffff`). */
export type SqlRow = readonly (string | number | Buffer | null)[];

/** What a statement that returns no rows did. */
export interface SqlResult {
  /** Rows found by the statement's condition (mysql2's default, `FOUND_ROWS`), or inserted, or deleted. */
  readonly affectedRows: number;
}

/**
 * One connection to a database, seen by protocol code. Statements run one after another in the order of the calls.
 * Errors are thrown as the driver made them; `dialect.classify` says what they are.
 */
export interface SqlSession {
  readonly dialect: Dialect;
  /** Runs a statement that returns rows. */
  query(sql: string, values?: readonly SqlValue[]): Promise<SqlRow[]>;
  /** Runs a statement that returns none. */
  execute(sql: string, values?: readonly SqlValue[]): Promise<SqlResult>;
  /** Only where the database is in this process (units on SQLite): the same in the caller's stack. */
  executeNow?(sql: string, values?: readonly SqlValue[]): SqlResult;
  queryNow?(sql: string, values?: readonly SqlValue[]): SqlRow[];
}

/** A session that belongs to the caller until it is released. */
export interface OwnedSession extends SqlSession {
  /** Begins a transaction at READ COMMITTED (SQLite: BEGIN IMMEDIATE). */
  begin(): Promise<void>;
  commit(): Promise<void>;
  rollback(): Promise<void>;
  /** Gives the connection back. A session with an open transaction, or a broken one, is destroyed instead. */
  release(): Promise<void>;
  /** Closes the connection at once: for one whose answer nobody waits for any more. */
  destroy(): void;
}

/**
 * The relay's and the tools' own access to a database (services use their DataSource or pool instead).
 * Every session is set to UTC, autocommit, READ COMMITTED and a short `innodb_lock_wait_timeout` (P-R1, P-R13).
 */
export interface Database {
  readonly dialect: Dialect;
  /** For logs: scheme, host, port and database, never a secret. */
  readonly description: string;
  /**
   * A session of the caller's own. `dirty`: at READ UNCOMMITTED instead, for looking only (P-R2; a SQLite writer leaves
   * nothing uncommitted to be seen, so there it changes nothing). Rejects with `DATABASE_UNAVAILABLE` when no connection can be had.
   */
  session(options?: { readonly dirty?: boolean }): Promise<OwnedSession>;
  /** Closes all sessions. May be called twice. */
  close(): Promise<void>;
}
