import type { Database, Dialect, OwnedSession, SqlResult, SqlRow, SqlValue } from '@txbox/core/spi';

/** What keeping sessions works with. */
export interface KeptSessionsOptions {
  /** A connection that was not used for so long is replaced, before the server closes it (`wait_timeout`). */
  readonly staleAfterMs: number;
  /** The connection on which statements ran before is gone: the server may have been restarted (P-R7). */
  readonly onLost?: () => void;
  readonly now: () => number;
}

/**
 * A database whose sessions are always the same connection, so that one part of the relay has its own (P-R7, P-R8) and
 * learns when it was lost. Releasing keeps it; `close` closes it and leaves the database open.
 */
export class KeptSessions implements Database {
  readonly #database: Database;
  readonly #options: KeptSessionsOptions;
  readonly #kept: Map<boolean, KeptSession> = new Map();
  #hadOne = false;

  constructor(database: Database, options: KeptSessionsOptions) {
    this.#database = database;
    this.#options = options;
  }

  get dialect(): Dialect {
    return this.#database.dialect;
  }

  get description(): string {
    return this.#database.description;
  }

  async session({ dirty = false }: { readonly dirty?: boolean } = {}): Promise<OwnedSession> {
    const { now, onLost, staleAfterMs } = this.#options;
    const kept = this.#kept.get(dirty);
    if (kept && !kept.broken && now() - kept.usedAt < staleAfterMs) return kept;
    kept?.destroy();
    this.#kept.delete(dirty);
    const session = new KeptSession(await this.#database.session({ dirty }), now);
    this.#kept.set(dirty, session);
    // Dirty looks are confirmed by a page on the other connection; only that one's loss matters.
    if (!dirty) {
      if (this.#hadOne) onLost?.();
      this.#hadOne = true;
    }
    return session;
  }

  async close(): Promise<void> {
    for (const session of this.#kept.values()) session.destroy();
    this.#kept.clear();
  }
}

class KeptSession implements OwnedSession {
  readonly #session: OwnedSession;
  readonly #now: () => number;
  broken = false;
  usedAt: number;

  constructor(session: OwnedSession, now: () => number) {
    this.#session = session;
    this.#now = now;
    this.usedAt = now();
  }

  get dialect(): Dialect {
    return this.#session.dialect;
  }

  query(sql: string, values?: readonly SqlValue[]): Promise<SqlRow[]> {
    return this.#watch(this.#session.query(sql, values));
  }

  execute(sql: string, values?: readonly SqlValue[]): Promise<SqlResult> {
    return this.#watch(this.#session.execute(sql, values));
  }

  begin(): Promise<void> {
    return this.#watch(this.#session.begin());
  }

  commit(): Promise<void> {
    return this.#watch(this.#session.commit());
  }

  rollback(): Promise<void> {
    return this.#watch(this.#session.rollback());
  }

  async release(): Promise<void> {
    // Kept for the next call.
  }

  destroy(): void {
    this.broken = true;
    this.#session.destroy();
  }

  async #watch<T>(work: Promise<T>): Promise<T> {
    try {
      const result = await work;
      this.usedAt = this.#now();
      return result;
    } catch (error) {
      if (this.#session.dialect.classify(error) === 'connection-lost') this.broken = true;
      throw error;
    }
  }
}
