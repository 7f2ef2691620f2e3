import type { SqlSession } from './session.ts';

/** What went wrong, as far as protocols must know (one classifier per driver, P-W3, P-I2). */
export type SqlErrorKind =
  | 'duplicate' // a unique key refused the row (1062)
  | 'deadlock' // the transaction was rolled back (1213, 1206; MariaDB also 1020)
  | 'lock-timeout' // the statement gave up waiting (1205, 3572, SQLITE_BUSY)
  | 'connection-lost' // no answer will come; the outcome of the statement is unknown
  | 'missing-table' // no schema is installed (1146)
  | 'read-only' // the server or user takes no writes
  | 'other';

/** What differs in the text of CREATE TABLE; see `createTable`. */
interface DdlFragments {
  /** Type and properties of a column that counts upwards. */
  readonly serial: string;
  /** The key of a counting column, behind another column or alone; '' when its own properties say it all. */
  serialKey(column: string, after: string | undefined): string;
  /** True where indexes are part of CREATE TABLE, false where they are statements of their own. */
  readonly inlineIndexes: boolean;
  /** Appended to CREATE TABLE. */
  readonly tableOptions: string;
}

/**
 * What differs between databases, as fragments that the SQL texts are made of. SQL texts use nothing newer than
 * MySQL 5.7 and MariaDB 10.5 (P-T8).
 */
export interface Dialect {
  readonly name: 'mysql' | 'sqlite';
  /** The database's own clock, UTC, microseconds where it has them (P-T7). */
  readonly now: string;
  /** An expression: the database's clock plus a placeholder's number of milliseconds (may be negative). */
  readonly nowPlusMs: string;
  /** An expression: milliseconds from the time in `column` until now by the database's clock. */
  msSince(column: string): string;
  /** Appended to a SELECT that locks its rows; empty where a writer locks everything anyway. */
  readonly forUpdate: string;
  /** `INSERT IGNORE` or `INSERT OR IGNORE`: only for rows whose every value is ours and short (it hides truncation, P-I2). */
  readonly insertIgnore: string;
  /** An expression: the name of the database, or its file. */
  readonly databaseName: string;
  /** What CREATE TABLE needs. */
  readonly ddl: DdlFragments;
  /** An ordered and limited SELECT as a part of UNION ALL, without copying its rows. */
  unionPart(select: string): string;
  /** Most bytes one statement may have, 0 = no limit known. */
  readonly maxStatementBytes: number;
  /** Most placeholders one statement may have. */
  readonly maxPlaceholders: number;
  classify(error: unknown): SqlErrorKind;
  /**
   * Runs `work` while nobody else runs any under that name in this database, waiting at most `waitMs`. Statements of
   * `work` go to `session`, which has no open transaction. Rejects with `MIGRATION_FAILED` when the wait ends in vain.
   */
  exclusively<T>(session: SqlSession, name: string, waitMs: number, work: () => Promise<T>): Promise<T>;
}
