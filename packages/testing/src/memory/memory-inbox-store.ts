import { type Dialect, type SqlResult, type SqlRow, type SqlSession, sqliteDialect } from '@txbox/core/spi';
import type { InboxStore, RecordOutcome } from '@txbox/inbox/store';

/**
 * An inbox in memory. Ids belong to the transaction that recorded them until it ends; another that wants one of them
 * hears `in-progress` at once instead of waiting.
 */
export class MemoryInboxStore implements InboxStore {
  readonly #committed: Set<string> = new Set();
  readonly #open: Map<string, MemoryInboxTransaction> = new Map();

  /** Opens a transaction, which is the session to call `record` and `known` with. */
  begin(): MemoryInboxTransaction {
    return new MemoryInboxTransaction((transaction, outcome) => {
      for (const [entry, owner] of this.#open) {
        if (owner !== transaction) continue;
        this.#open.delete(entry);
        if (outcome === 'committed') this.#committed.add(entry);
      }
    });
  }

  record(session: SqlSession, group: string, ids: readonly Buffer[]): Promise<RecordOutcome> {
    if (!(session instanceof MemoryInboxTransaction)) throw new Error('A memory inbox records in its own transactions only: begin().');
    const entries = ids.map((id) => entryOf(group, id));
    if (entries.some((entry) => this.#committed.has(entry) || this.#open.get(entry) === session)) return Promise.resolve('duplicate');
    if (entries.some((entry) => this.#open.has(entry))) return Promise.resolve('in-progress');
    for (const entry of entries) this.#open.set(entry, session);
    return Promise.resolve('recorded');
  }

  known(_session: SqlSession, group: string, ids: readonly Buffer[]): Promise<Buffer[]> {
    return Promise.resolve(ids.filter((id) => this.#committed.has(entryOf(group, id))));
  }

  forget(_session: SqlSession, group: string, ids: readonly Buffer[]): Promise<void> {
    for (const id of ids) this.#committed.delete(entryOf(group, id));
    return Promise.resolve();
  }
}

/** A transaction of a {@link MemoryInboxStore}; it ends once and runs no SQL. */
export class MemoryInboxTransaction implements SqlSession {
  readonly dialect: Dialect = sqliteDialect;
  readonly #end: (transaction: MemoryInboxTransaction, outcome: 'committed' | 'rolled-back') => void;

  constructor(end: (transaction: MemoryInboxTransaction, outcome: 'committed' | 'rolled-back') => void) {
    this.#end = end;
  }

  commit(): void {
    this.#end(this, 'committed');
  }

  rollback(): void {
    this.#end(this, 'rolled-back');
  }

  query(): Promise<SqlRow[]> {
    return Promise.reject(new Error('A memory inbox has no SQL.'));
  }

  execute(): Promise<SqlResult> {
    return Promise.reject(new Error('A memory inbox has no SQL.'));
  }
}

function entryOf(group: string, id: Buffer): string {
  return `${id.toString('hex')} ${group}`;
}
