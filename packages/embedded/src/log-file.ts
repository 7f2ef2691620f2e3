import { randomUUID } from 'node:crypto';
import { type Clock, TxboxError } from '@txbox/core/spi';
import type { Database, Statement } from 'better-sqlite3';
import { FILE_MARK, FILE_VERSION, SCHEMA } from './schema.ts';

/** How a file is opened. */
export interface LogFileOptions {
  readonly path: string;
  /** `full`: a commit survives the loss of power; `normal`: it survives the death of every process. */
  readonly synchronous: 'normal' | 'full';
  /** How long an operation waits for other processes before it fails, milliseconds. */
  readonly busyTimeoutMs: number;
  readonly readonly?: boolean;
}

/**
 * One connection to the log's file. Statements are synchronous; only waiting for the file's single writer is not:
 * SQLite's own busy time-out would stop the event loop, so busy operations are tried again from a timer.
 */
export class LogFile {
  readonly #options: LogFileOptions;
  readonly #clock: Clock;
  #database: Database | undefined;
  #opening: Promise<Database> | undefined;
  #closed = false;
  readonly #statements: Map<string, Statement<unknown[]>> = new Map();

  constructor(options: LogFileOptions, clock: Clock) {
    this.#options = options;
    this.#clock = clock;
  }

  /** Opens the file, making it when it is not there. Rejects with `BROKER_UNAVAILABLE`; may be called again. */
  async open(): Promise<void> {
    await this.#ready();
  }

  /** Runs `fn` in one snapshot. */
  async read<T>(fn: (file: LogFile) => T): Promise<T> {
    return await this.#attempt((database) => this.#transaction(database, 'BEGIN', fn));
  }

  /** Runs `fn` as the file's only writer and commits; a throw rolls back. */
  async write<T>(fn: (file: LogFile) => T): Promise<T> {
    return await this.#attempt((database) => this.#transaction(database, 'BEGIN IMMEDIATE', fn));
  }

  /** Changes whenever another connection, of any process, has committed. */
  async version(): Promise<number> {
    return await this.#attempt((database) => database.pragma('data_version', { simple: true }) as number);
  }

  /** A prepared statement, for use inside `read` and `write`. Rows come as arrays. */
  prepare(sql: string): Statement<unknown[]> {
    const known = this.#statements.get(sql);
    if (known) return known;
    if (!this.#database) throw closed(this.#options.path);
    const statement = this.#database.prepare<unknown[]>(sql);
    if (statement.reader) statement.raw(true);
    this.#statements.set(sql, statement);
    return statement;
  }

  /** Rows of a query, for use inside `read` and `write`. */
  rows<R extends readonly unknown[]>(sql: string, ...values: unknown[]): R[] {
    return this.prepare(sql).all(...values) as unknown as R[];
  }

  /** The first row of a query, if any, for use inside `read` and `write`. */
  row<R extends readonly unknown[]>(sql: string, ...values: unknown[]): R | undefined {
    return this.prepare(sql).get(...values) as R | undefined;
  }

  /** Runs a statement without rows and says how many rows it changed, for use inside `write`. */
  run(sql: string, ...values: unknown[]): number {
    return this.prepare(sql).run(...values).changes;
  }

  /** Closes the connection. May be called twice. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#opening?.catch(() => undefined);
    this.#database?.close();
    this.#database = undefined;
    this.#statements.clear();
  }

  async #ready(): Promise<Database> {
    if (this.#closed) throw closed(this.#options.path);
    if (this.#database) return this.#database;
    this.#opening ??= this.#connect().finally(() => {
      this.#opening = undefined;
    });
    return await this.#opening;
  }

  async #connect(): Promise<Database> {
    const { path, readonly = false } = this.#options;
    const Sqlite = await loadDriver();
    return await this.#retried(() => {
      const database = new Sqlite(path, { timeout: 0, readonly, fileMustExist: readonly });
      try {
        if (!readonly) prepareFile(database, path, this.#options.synchronous);
        this.#database = database;
        return database;
      } catch (error) {
        database.close();
        throw error;
      }
    });
  }

  async #attempt<T>(operation: (database: Database) => T): Promise<T> {
    const database = await this.#ready();
    return await this.#retried(() => {
      if (this.#closed) throw closed(this.#options.path);
      return operation(database);
    });
  }

  async #retried<T>(operation: () => T): Promise<T> {
    const giveUpAt = this.#clock.monotonic() + this.#options.busyTimeoutMs;
    for (;;) {
      try {
        return operation();
      } catch (error) {
        const code = sqliteCode(error);
        if (code === undefined) throw error;
        if (!/^SQLITE_(?:BUSY|LOCKED|PROTOCOL)/.test(code) || this.#clock.monotonic() >= giveUpAt)
          throw unavailable(this.#options.path, error);
      }
      await this.#clock.sleep(1 + Math.floor(Math.random() * 5));
    }
  }

  #transaction<T>(database: Database, begin: 'BEGIN' | 'BEGIN IMMEDIATE', fn: (file: LogFile) => T): T {
    this.prepare(begin).run();
    try {
      const result = fn(this);
      this.prepare('COMMIT').run();
      return result;
    } catch (error) {
      if (database.inTransaction) this.prepare('ROLLBACK').run();
      throw error;
    }
  }
}

async function loadDriver(): Promise<typeof import('better-sqlite3')> {
  try {
    return (await import('better-sqlite3')).default;
  } catch (cause) {
    throw new TxboxError(
      'DEPENDENCY_MISSING',
      '@txbox/embedded keeps its log in a SQLite file and needs the package better-sqlite3 (12 or 13): install it beside @txbox/embedded.',
      { cause, details: { package: 'better-sqlite3' } },
    );
  }
}

function prepareFile(database: Database, path: string, synchronous: 'normal' | 'full'): void {
  database.pragma('journal_mode = WAL');
  database.pragma(`synchronous = ${synchronous.toUpperCase()}`);
  database.pragma('foreign_keys = ON');
  database.pragma('trusted_schema = OFF');
  if (database.pragma('user_version', { simple: true }) === 0) install(database, path);
  const mark = database.pragma('application_id', { simple: true });
  const version = database.pragma('user_version', { simple: true });
  if (mark !== FILE_MARK || version !== FILE_VERSION) {
    throw new TxboxError(
      'BROKER_UNAVAILABLE',
      `${path} is not a log of this release: its mark is ${String(mark)} and its version ${String(version)}, expected ${FILE_MARK} and ${FILE_VERSION}. Name another file, or delete this one.`,
      { retryable: false, details: { path } },
    );
  }
}

function install(database: Database, path: string): void {
  database.exec('BEGIN IMMEDIATE');
  try {
    // Another process may have installed it between our look and our lock.
    if (database.pragma('user_version', { simple: true }) === 0) {
      const others = database.prepare('SELECT count(*) FROM sqlite_schema').pluck().get() as number;
      if (others > 0) {
        throw new TxboxError('BROKER_UNAVAILABLE', `${path} holds another application's tables. The log needs a file of its own.`, {
          retryable: false,
          details: { path },
        });
      }
      database.exec(SCHEMA);
      database.prepare('INSERT INTO meta (cluster_id) VALUES (?)').run(randomUUID());
      database.pragma(`application_id = ${FILE_MARK}`);
      database.pragma(`user_version = ${FILE_VERSION}`);
    }
    database.exec('COMMIT');
  } catch (error) {
    if (database.inTransaction) database.exec('ROLLBACK');
    throw error;
  }
}

/** SQLite's own result code, or the driver's complaint about the path. */
function sqliteCode(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const code = (error as { code?: unknown }).code;
  if (typeof code === 'string' && code.startsWith('SQLITE_')) return code;
  return error instanceof TypeError && error.message.includes('directory does not exist') ? 'SQLITE_CANTOPEN' : undefined;
}

function unavailable(path: string, cause: unknown): TxboxError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new TxboxError('BROKER_UNAVAILABLE', `The log file ${path} cannot be used: ${reason}.`, { cause, details: { path } });
}

function closed(path: string): TxboxError {
  return new TxboxError('STOPPED', `The log file ${path} was closed by this publisher, source or admin; make a new one.`, {
    details: { path },
  });
}
