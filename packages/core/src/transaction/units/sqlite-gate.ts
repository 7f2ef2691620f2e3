import { sqliteDialect } from '../../sql/dialects/sqlite.ts';
import type { SqlRow, SqlSession } from '../../sql/session.ts';
import { SERVER_STATUS_IN_TRANS } from '../doom.ts';
import type { ConnectedUnit } from '../unit-connection.ts';
import type { SqliteDatabase } from './sqlite-wire.ts';
import type { Sender, StatementWatch } from './statement-watch.ts';

/**
 * Where the statements of a unit on SQLite are judged (P-W3). They run one after another by themselves; what the gate
 * remembers is which of them are still on their way through the client.
 */
export class SqliteGate {
  readonly session: SqlSession;
  readonly #database: SqliteDatabase;
  readonly #unit: ConnectedUnit;
  readonly #watch: StatementWatch;
  readonly #inFlight = new Set<Promise<unknown>>();

  constructor(database: SqliteDatabase, unit: ConnectedUnit, watch: StatementWatch) {
    this.#database = database;
    this.#unit = unit;
    this.#watch = watch;
    this.session = {
      dialect: sqliteDialect,
      query: (sql, values = []) =>
        this.run(
          sql,
          async () =>
            database
              .prepare(sql)
              .raw(true)
              .all(...values) as SqlRow[],
          'framework',
        ),
      execute: (sql, values = []) =>
        this.run(sql, async () => ({ affectedRows: database.prepare(sql).run(...values).changes }), 'framework'),
      executeNow: (sql, values = []) => {
        this.doomUnlessOpen();
        watch.admit(sql, watch.origin('framework'));
        return { affectedRows: database.prepare(sql).run(...values).changes };
      },
      queryNow: (sql, values = []) =>
        database
          .prepare(sql)
          .raw(true)
          .all(...values) as SqlRow[],
    };
  }

  /** Judges a statement, and runs it by `send`, which may take its time. */
  async run<T>(sql: string, send: () => Promise<T>, sender?: Sender): Promise<T> {
    const origin = this.#watch.origin(sender);
    const passage = this.#watch.admit(sql, origin);
    if (passage === 'COMMIT') {
      await this.commit();
      return undefined as T;
    }
    const answer = send();
    this.#inFlight.add(answer);
    try {
      const result = await answer;
      this.#watch.succeeded(sql, passage, this.#status, origin.branch);
      return result;
    } catch (error) {
      this.#watch.failed(sql, passage, error);
      // Some errors roll everything back: ON CONFLICT ROLLBACK, RAISE(ROLLBACK), a full disk.
      if (passage !== 'unwatched') this.doomUnlessOpen();
      throw error;
    } finally {
      this.#inFlight.delete(answer);
    }
  }

  async quiet(): Promise<void> {
    await Promise.allSettled(this.#inFlight);
    this.doomUnlessOpen();
  }

  /** Past every client, so that its answer is the database's own. */
  async commit(): Promise<void> {
    await this.#unit.flush();
    this.#unit.committing();
    this.#database.exec('COMMIT');
    this.#watch.succeeded('COMMIT', 'COMMIT', undefined, undefined);
    this.#unit.committed();
  }

  /** The users' own database object is not watched; its state tells what they did with it. */
  doomUnlessOpen(): void {
    if (this.#database.inTransaction) return;
    this.#unit.doomWith({
      reason: 'the transaction was ended on its own connection (COMMIT, ROLLBACK, or an error that rolled everything back)',
      half: true,
    });
  }

  get #status(): number {
    return this.#database.inTransaction ? SERVER_STATUS_IN_TRANS : 0;
  }
}
