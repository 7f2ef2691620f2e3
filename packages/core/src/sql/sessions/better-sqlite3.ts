import { setTimeout as sleep } from 'node:timers/promises';
import SqliteConnection from 'better-sqlite3';
import { TxboxError } from '../../runtime/error.ts';
import { sqliteDialect } from '../dialects/sqlite.ts';
import type { Database, OwnedSession, SqlResult, SqlRow, SqlValue } from '../session.ts';

/** Settings of {@link openSqlite}. */
export interface SqliteSettings {
  readonly path: string;
  /** How long a statement waits for another connection's write lock. */
  readonly lockWaitTimeoutMs: number;
}

const MAX_STATEMENTS = 200;

/** The relay's and the tools' own access to a SQLite file: a connection of its own per session (P-W9). */
export async function openSqlite(settings: SqliteSettings): Promise<Database> {
  const database = new SqliteDatabase(settings);
  const session = await database.session();
  await session.release();
  return database;
}

class SqliteDatabase implements Database {
  readonly dialect = sqliteDialect;
  readonly description: string;
  readonly #settings: SqliteSettings;
  readonly #open = new Set<SqliteSession>();
  #idle: SqliteSession[] = [];
  #closed = false;

  constructor(settings: SqliteSettings) {
    this.#settings = settings;
    this.description = `sqlite:${settings.path}`;
  }

  async session(): Promise<OwnedSession> {
    if (this.#closed) throw new TxboxError('STOPPED', `${this.description} was closed.`);
    return this.#idle.pop() ?? (await this.#connect());
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#idle = [];
    for (const session of this.#open) session.destroy();
  }

  async #connect(): Promise<SqliteSession> {
    const { path, lockWaitTimeoutMs } = this.#settings;
    let connection: SqliteConnection.Database | undefined;
    try {
      // No wait inside SQLite: it would stop the event loop, and with it a writer of this very process.
      connection = new SqliteConnection(path, { timeout: 0 });
      const opened = connection;
      await patiently(lockWaitTimeoutMs, () => opened.pragma('journal_mode = WAL'));
      opened.pragma('synchronous = FULL');
    } catch (cause) {
      connection?.close();
      throw new TxboxError(
        'DATABASE_UNAVAILABLE',
        `${this.description} cannot be opened: ${cause instanceof Error ? cause.message : String(cause)}.`,
        { cause },
      );
    }
    const session = new SqliteSession(connection, lockWaitTimeoutMs, {
      release: (released) => {
        if (this.#closed) released.destroy();
        else this.#idle.push(released);
      },
      forget: (gone) => this.#open.delete(gone),
    });
    this.#open.add(session);
    return session;
  }
}

/** What a session tells its database. */
interface SessionOwner {
  release(session: SqliteSession): void;
  forget(session: SqliteSession): void;
}

class SqliteSession implements OwnedSession {
  readonly dialect = sqliteDialect;
  readonly #connection: SqliteConnection.Database;
  readonly #lockWaitTimeoutMs: number;
  readonly #owner: SessionOwner;
  readonly #statements = new Map<string, SqliteConnection.Statement>();

  constructor(connection: SqliteConnection.Database, lockWaitTimeoutMs: number, owner: SessionOwner) {
    this.#connection = connection;
    this.#lockWaitTimeoutMs = lockWaitTimeoutMs;
    this.#owner = owner;
  }

  query(sql: string, values: readonly SqlValue[] = []): Promise<SqlRow[]> {
    return this.#run(() => this.#prepare(sql).raw(true).all(values) as SqlRow[]);
  }

  execute(sql: string, values: readonly SqlValue[] = []): Promise<SqlResult> {
    return this.#run(() => ({ affectedRows: this.#prepare(sql).run(values).changes }));
  }

  async begin(): Promise<void> {
    await this.execute('BEGIN IMMEDIATE');
  }

  async commit(): Promise<void> {
    await this.execute('COMMIT');
  }

  async rollback(): Promise<void> {
    await this.execute('ROLLBACK');
  }

  async release(): Promise<void> {
    if (!this.#connection.open || this.#connection.inTransaction) this.destroy();
    else this.#owner.release(this);
  }

  destroy(): void {
    this.#connection.close();
    this.#owner.forget(this);
  }

  // A transaction has the write lock from its BEGIN IMMEDIATE on, so only single statements and BEGIN ever wait here.
  #run<T>(work: () => T): Promise<T> {
    return patiently(this.#lockWaitTimeoutMs, work);
  }

  #prepare(sql: string): SqliteConnection.Statement {
    let statement = this.#statements.get(sql);
    if (!statement) {
      if (this.#statements.size >= MAX_STATEMENTS) this.#statements.clear();
      statement = this.#connection.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }
}

/** Runs `work` until no other connection is in its way, without stopping the event loop; at last throws what SQLite said. */
async function patiently<T>(waitMs: number, work: () => T): Promise<T> {
  const until = performance.now() + waitMs;
  for (let pauseMs = 1; ; pauseMs = Math.min(pauseMs * 2, 20)) {
    try {
      return work();
    } catch (error) {
      if (sqliteDialect.classify(error) !== 'lock-timeout' || performance.now() > until) throw error;
    }
    await sleep(pauseMs * (0.5 + Math.random() / 2));
  }
}
