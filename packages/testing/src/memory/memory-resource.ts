import {
  type Connect,
  type ConnectedUnit,
  coreComponent,
  DEFAULT_UNIT_SETTINGS,
  heldAround,
  migrate,
  runUnit,
  type SqlResult,
  type SqlRow,
  type SqlSession,
  type SqlValue,
  sqliteDialect,
  type TransactionResource,
  TxboxError,
  type UnitConnection,
  type UnitOfWork,
  type UnitSettings,
} from '@txbox/core/spi';
import { inboxComponent } from '@txbox/inbox/store';
import { outboxComponent } from '@txbox/outbox/store';
import { MemoryDatabase } from './memory-database.ts';

/** A database in memory in which units can be opened, with every table of the framework. */
export interface MemoryResource extends TransactionResource {
  readonly kind: 'memory';
}

/**
 * Any number of units may be open at once, as on a server: what they add waits in them, and the database is theirs alone
 * only from their first statement on, which is in most of them the INSERT before COMMIT.
 */
export function memoryResource(settings: Required<Pick<UnitSettings, 'logger' | 'unhandled'>>, tablePrefix: string): MemoryResource {
  const database = new MemoryDatabase();
  const turns = new Turns(database);
  let installed: Promise<unknown> | undefined;
  const install = async (): Promise<void> => {
    installed ??= migrate(database.session(), [coreComponent, outboxComponent, inboxComponent], { tablePrefix });
    await installed;
  };
  const connect: Connect = async (unit) => {
    await install();
    return new MemoryConnection(database, turns, unit);
  };
  const resource: MemoryResource = {
    key: database,
    kind: 'memory',
    dialect: sqliteDialect,
    maxConnections: Number.POSITIVE_INFINITY,
    run: (options, fn, attempt = 1) =>
      runUnit({ resource, connect, options, attempt, settings: { ...DEFAULT_UNIT_SETTINGS, ...settings } }, fn),
    withSession: async (fn) => {
      await install();
      const free = await turns.take(undefined);
      try {
        return await fn(database.session());
      } finally {
        free();
      }
    },
  };
  return resource;
}

/** Who has the one connection: one after another, in the order of asking. */
class Turns {
  readonly #key: object;
  #holder: UnitOfWork | undefined;
  #last: Promise<void> = Promise.resolve();

  constructor(key: object) {
    this.#key = key;
  }

  /** Throws `PROPAGATION_REFUSED` where a unit around the running code has it, and so waits for this. */
  async take(unit: UnitOfWork | undefined): Promise<() => void> {
    if (this.#holder && heldAround(this.#key).includes(this.#holder)) {
      throw new TxboxError(
        'PROPAGATION_REFUSED',
        'A memory outbox has one connection, and the open transaction around this one has written to it already (an idempotencyKey or a handled message). ' +
          'Join that one, or use a real database for this test.',
      );
    }
    const before = this.#last;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#last = promise;
    await before;
    this.#holder = unit;
    return () => {
      if (this.#holder === unit) this.#holder = undefined;
      resolve();
    };
  }
}

/** A unit's way to the database. Nothing is begun there before its first statement. */
class MemoryConnection implements UnitConnection {
  /** There is nothing to work with. */
  readonly handle: object = {};
  readonly session: SqlSession;
  readonly #database: MemoryDatabase;
  readonly #turns: Turns;
  readonly #unit: ConnectedUnit;
  /** Set before anything was begun: there is nothing to undo yet. */
  #savepoints: string[] = [];
  #beginning: Promise<void> | undefined;
  #free: (() => void) | undefined;
  #released = false;

  constructor(database: MemoryDatabase, turns: Turns, unit: ConnectedUnit) {
    this.#database = database;
    this.#turns = turns;
    this.#unit = unit;
    this.session = {
      dialect: sqliteDialect,
      query: (sql, values) => this.#query(sql, values),
      execute: (sql, values) => this.#execute(sql, values),
    };
  }

  async begin(): Promise<void> {
    // At the first statement.
  }

  async quiet(): Promise<void> {
    // Statements are answered in the stack of their caller.
  }

  async commit(): Promise<void> {
    await this.#unit.flush();
    this.#unit.committing();
    if (this.#free) this.#database.execute('COMMIT');
    this.#unit.committed();
  }

  async rollback(): Promise<void> {
    if (this.#free) this.#database.execute('ROLLBACK');
  }

  interrupt(): void {
    // Nothing takes long.
  }

  async release(): Promise<void> {
    this.#released = true;
    this.#free?.();
    this.#free = undefined;
  }

  async #query(sql: string, values?: readonly SqlValue[]): Promise<SqlRow[]> {
    await this.#begun();
    return this.#database.query(sql, values);
  }

  async #execute(sql: string, values?: readonly SqlValue[]): Promise<SqlResult> {
    const [, verb, name] = /^(SAVEPOINT|ROLLBACK TO SAVEPOINT|RELEASE SAVEPOINT) (\w+)$/.exec(sql) ?? [];
    if (name !== undefined && !this.#beginning) {
      const at = this.#savepoints.lastIndexOf(name);
      if (verb === 'SAVEPOINT') this.#savepoints.push(name);
      else this.#savepoints = this.#savepoints.slice(0, verb === 'RELEASE SAVEPOINT' ? at : at + 1);
      return { affectedRows: 0 };
    }
    await this.#begun();
    return this.#database.execute(sql, values);
  }

  #begun(): Promise<void> {
    this.#beginning ??= this.#begin();
    return this.#beginning;
  }

  async #begin(): Promise<void> {
    const free = await this.#turns.take(this.#unit);
    if (this.#released) {
      free();
      throw new TxboxError('UNIT_CLOSED', 'The transaction ended before its statement was sent.');
    }
    this.#free = free;
    this.#database.execute('BEGIN IMMEDIATE');
    for (const name of this.#savepoints) this.#database.execute(`SAVEPOINT ${name}`);
  }
}
