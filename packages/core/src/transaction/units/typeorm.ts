import type { DataSource, EntityManager, QueryRunner } from 'typeorm';
import { TxboxError } from '../../runtime/error.ts';
import { mysqlDialect } from '../../sql/dialects/mysql.ts';
import { sqliteDialect } from '../../sql/dialects/sqlite.ts';
import type { SqlSession } from '../../sql/session.ts';
import { currentUnit, insideHooks } from '../current-transaction.ts';
import { runUnit } from '../open-unit.ts';
import type { IsolationLevel } from '../transaction.ts';
import type { Connect, ConnectedUnit, UnitConnection } from '../unit-connection.ts';
import type { TransactionResource, UnitOfWork } from '../unit-of-work.ts';
import { connected } from './database-unavailable.ts';
import { exclusiveTurn } from './exclusive-turn.ts';
import { guardedConnection } from './guarded-connection.ts';
import { Mutex } from './mutex.ts';
import { MysqlGate } from './mysql-gate.ts';
import { plainMysqlSession, type WireConnection } from './mysql-wire.ts';
import { sessionOfConnection } from './mysql2.ts';
import { resourceOf } from './resource-registry.ts';
import type { Runner } from './shared-runner.ts';
import { SqliteGate } from './sqlite-gate.ts';
import { beginSqlite, endReadOnly, type SqliteDatabase, sessionOfDatabase } from './sqlite-wire.ts';
import { StatementWatch } from './statement-watch.ts';
import { ambientUnit, type CurrentManager } from './typeorm-ambient.ts';
import { branchNested, type JoinedRunner, joinedManager, joinedView, joinPlainUse, type PlainRepositories } from './typeorm-joining.ts';
import { DEFAULT_UNIT_SETTINGS, type UnitSettings } from './unit-settings.ts';

/** What may be set for the units of a DataSource. */
export interface TypeormUnitSettings extends UnitSettings {
  /** Default `join`. */
  readonly plainRepositories?: PlainRepositories;
  /** Where another framework opens transactions: the manager of the one that the running code is in. Default: there is none. */
  readonly currentManager?: CurrentManager;
}

/** A TypeORM DataSource in which units can be opened. */
export interface TypeormResource extends TransactionResource {
  readonly kind: 'typeorm';
  configure(settings: TypeormUnitSettings): void;
}

const MYSQL_TYPES = new Set(['mysql', 'mariadb']);

/**
 * The resource of a DataSource of type mysql, mariadb or better-sqlite3; one per DataSource. From here on plain
 * repositories of that DataSource take part in its units. Throws `OPTIONS_INVALID` for other types.
 */
export function typeormResource(dataSource: DataSource): TypeormResource {
  return resourceOf(dataSource, () => makeTypeormResource(dataSource));
}

function makeTypeormResource(dataSource: DataSource): TypeormResource {
  const { type } = dataSource.options;
  const sqlite = type === 'better-sqlite3';
  if (!sqlite && !MYSQL_TYPES.has(type)) {
    throw new TxboxError(
      'OPTIONS_INVALID',
      `A DataSource of type mysql, mariadb or better-sqlite3 is needed, got ${JSON.stringify(type)}.`,
    );
  }
  const dialect = sqlite ? sqliteDialect : mysqlDialect();
  const mutex = sqlite ? new Mutex() : undefined;
  const turn = mutex && (() => exclusiveTurn(mutex, dataSource));
  const joinedOf = (unit: UnitOfWork): JoinedRunner | undefined => unit.kept.get(dataSource) as JoinedRunner | undefined;
  let settings: Required<TypeormUnitSettings> = {
    ...DEFAULT_UNIT_SETTINGS,
    plainRepositories: 'join',
    currentManager: () => undefined,
  };
  const createQueryRunner = joinPlainUse({
    dataSource: dataSource as unknown as { createQueryRunner(mode?: never): Runner },
    mode: () => settings.plainRepositories,
    joinedOf,
    turn,
  });

  branchNested(dataSource.manager, () => {
    const unit = settings.plainRepositories === 'join' ? currentUnit(dataSource) : undefined;
    return unit?.accepts ? joinedOf(unit)?.unit : undefined;
  });

  const join = (unit: ConnectedUnit, runner: Runner): EntityManager => {
    const managerOfView = (view: Runner): EntityManager => joinedManager(managerOf(dataSource, view), unit);
    const joined: JoinedRunner = {
      unit,
      runner,
      managerOf: managerOfView,
      guarded: (native) => (sqlite ? native : guardedConnection(native as object, unit)),
      nested: [],
    };
    unit.kept.set(dataSource, joined);
    return managerOfView(joinedView(joined));
  };

  // It may be initialized after the outbox was created.
  const refuseUninitialized = (): void => {
    if (dataSource.isInitialized) return;
    throw new TxboxError(
      'DATABASE_UNAVAILABLE',
      'The DataSource is not initialized: await dataSource.initialize() first. Nothing was done.',
    );
  };

  const connectMysql: Connect = async (unit) => {
    refuseUninitialized();
    const runner = createQueryRunner();
    try {
      const native = (await runner.connect()) as WireConnection;
      const multipleStatements = native.config?.multipleStatements === true;
      const watch = new StatementWatch({ unit, dialect, onLockTimeout: settings.onLockTimeout, multipleStatements });
      const gate = new MysqlGate(native, unit, watch, dialect);
      return {
        handle: join(unit, runner),
        session: gate.session,
        begin: () =>
          insideHooks(unit, async () => {
            // TypeORM has no option for it; this holds for the next transaction only.
            if (unit.readOnly) await runner.query('SET TRANSACTION READ ONLY');
            await startTransaction(runner, unit.isolationLevel);
            gate.refuseAutocommitOff();
          }),
        quiet: () => gate.quiet(),
        commit: () => insideHooks(unit, () => commitOutermost(runner)),
        rollback: async () => {
          await gate.quietForRollback();
          await insideHooks(unit, () => rollBackOutermost(runner));
        },
        interrupt: (error) => gate.interrupt(error),
        release: async (broken) => {
          unit.kept.delete(dataSource);
          if (!gate.leave() || broken) native.destroy();
          await runner.release();
        },
      };
    } catch (error) {
      await runner.release();
      throw error;
    }
  };

  const connectSqlite: Connect = async (unit) => {
    refuseUninitialized();
    const free = await (turn as () => Promise<() => void>)();
    try {
      // The one runner of the DataSource, and its one connection.
      const runner = createQueryRunner();
      const database = (await runner.connect()) as SqliteDatabase;
      const gate = new SqliteGate(database, unit, new StatementWatch({ unit, dialect, onLockTimeout: settings.onLockTimeout }));
      return sqliteConnection(unit, runner, database, gate, free);
    } catch (error) {
      free();
      throw error;
    }
  };

  function sqliteConnection(
    unit: ConnectedUnit,
    runner: Runner,
    database: SqliteDatabase,
    gate: SqliteGate,
    free: () => void,
  ): UnitConnection {
    putInOrder(runner, database);
    const { query } = runner;
    runner.query = (sql, parameters, structured) =>
      gate.run(sql, () =>
        // A deferred transaction's first write fails at once when another connection writes (P-W9).
        sql === 'BEGIN TRANSACTION' ? beginSqlite(database, unit.readOnly) : query.call(runner, sql, parameters, structured),
      );
    return {
      handle: join(unit, runner),
      session: gate.session,
      // SQLite has one level, SERIALIZABLE; asking TypeORM for another would only set a pragma.
      begin: () => insideHooks(unit, () => startTransaction(runner, undefined)),
      quiet: () => gate.quiet(),
      commit: () => insideHooks(unit, () => commitOutermost(runner)),
      rollback: async () => {
        await gate.quiet();
        if (database.inTransaction) await insideHooks(unit, () => rollBackOutermost(runner));
      },
      interrupt: () => undefined,
      release: async () => {
        unit.kept.delete(dataSource);
        Reflect.deleteProperty(runner, 'query');
        if (unit.readOnly) endReadOnly(database);
        putInOrder(runner, database);
        free();
      },
    };
  }

  const resource: TypeormResource = {
    key: dataSource,
    kind: 'typeorm',
    dialect,
    get maxConnections() {
      return sqlite ? 1 : connectionLimitOf(dataSource);
    },
    configure: (given) => {
      settings = { ...settings, ...given };
    },
    ambientUnit: () => {
      const sessionOf = (runner: QueryRunner): Promise<SqlSession | 'no transaction'> => sessionOfRunner(runner, dataSource);
      return ambientUnit({ resource, dataSource, settings, sessionOf }, settings.currentManager());
    },
    run: (options, fn, attempt = 1) => {
      const isolationLevel = options.isolationLevel ?? levelOf(dataSource);
      const connect = sqlite ? connectSqlite : connectMysql;
      const given = isolationLevel === undefined ? options : { ...options, isolationLevel };
      return runUnit({ resource, connect, options: given, attempt, settings }, fn);
    },
    withSession: async (fn) => {
      const free = await turn?.();
      const runner = createQueryRunner();
      try {
        const native = await connected('typeorm', async () => {
          refuseUninitialized();
          return await runner.connect();
        });
        return await fn(sqlite ? sessionOfDatabase(native as SqliteDatabase) : plainMysqlSession(native as WireConnection, dialect));
      } finally {
        free?.();
        if (!sqlite) await runner.release();
      }
    },
  };
  return resource;
}

// DataSource-wide since TypeORM 1.
function levelOf(dataSource: DataSource): IsolationLevel | undefined {
  return (dataSource.options as { isolationLevel?: IsolationLevel }).isolationLevel;
}

// Unknown where there is a cluster of pools.
function connectionLimitOf({ driver }: DataSource): number {
  const { pool } = driver as { pool?: { config?: { connectionLimit?: number } } };
  return pool?.config?.connectionLimit || Number.POSITIVE_INFINITY;
}

function managerOf(dataSource: DataSource, runner: Runner): EntityManager {
  return dataSource.createEntityManager(runner as unknown as QueryRunner);
}

/** Begins through TypeORM, so that its subscribers are told and nested transactions become savepoints. */
function startTransaction(runner: Runner, isolationLevel: IsolationLevel | undefined): Promise<void> {
  return isolationLevel === undefined ? runner.startTransaction() : runner.startTransaction(isolationLevel);
}

/** Sends nothing when a nested transaction is still open: TypeORM would only release its savepoint. */
async function commitOutermost(runner: Runner): Promise<void> {
  if ((runner.transactionDepth ?? 1) > 1) return;
  await runner.commitTransaction();
}

/** Past the savepoints that were left open, which may be gone. */
async function rollBackOutermost(runner: Runner): Promise<void> {
  if (runner.transactionDepth !== undefined) runner.transactionDepth = 1;
  if (runner.isTransactionActive) await runner.rollbackTransaction();
}

/** SQLite's shared runner must not believe in a transaction that is no more: the next unit would be a savepoint of it. */
function putInOrder(runner: Runner, database: SqliteDatabase): void {
  if (database.inTransaction) database.exec('ROLLBACK');
  runner.isTransactionActive = false;
  if (runner.transactionDepth !== undefined) runner.transactionDepth = 0;
}

/**
 * The framework's statements on a runner with a transaction that somebody else ends. The database is asked whether one is
 * open: TypeORM does not notice when a deadlock has ended it.
 */
export async function sessionOfRunner(runner: QueryRunner, dataSource: DataSource): Promise<SqlSession | 'no transaction'> {
  if (!runner.isTransactionActive) return 'no transaction';
  const native: unknown = await runner.connect();
  if (dataSource.options.type === 'better-sqlite3') {
    const database = native as SqliteDatabase;
    return database.inTransaction ? sessionOfDatabase(database) : 'no transaction';
  }
  const session = await sessionOfConnection(native);
  return session === 'not a connection' ? 'no transaction' : session;
}
