import type { DataSource, EntityManager, QueryRunner } from 'typeorm';
import { TxboxError } from '../../runtime/error.ts';
import { mysqlDialect } from '../../sql/dialects/mysql.ts';
import { sqliteDialect } from '../../sql/dialects/sqlite.ts';
import type { SqlSession } from '../../sql/session.ts';
import { type Connect, runUnit } from '../open-unit.ts';
import type { IsolationLevel } from '../transaction.ts';
import type { TransactionResource, UnitOfWork } from '../unit-of-work.ts';
import { Mutex } from './mutex.ts';
import { type CallbackConnection, mysqlWireSession, refuseAutocommitOff } from './mysql-wire.ts';
import { resourceOf } from './resource-registry.ts';
import { beginImmediate, type SqliteDatabase, sqliteWireSession } from './sqlite-wire.ts';
import { openGate, type StatementGate, StatementWatch } from './statement-watch.ts';
import { joinedView, joinPlainUse, type PlainRepositories, type Runner } from './typeorm-joining.ts';
import { DEFAULT_UNIT_SETTINGS, type UnitSettings } from './unit-settings.ts';

/** What may be set for the units of a DataSource. */
export interface TypeormUnitSettings extends UnitSettings {
  /** Default `join`. */
  readonly plainRepositories?: PlainRepositories;
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
  const runners = new WeakMap<UnitOfWork, Runner>();
  let settings: Required<TypeormUnitSettings> = { ...DEFAULT_UNIT_SETTINGS, plainRepositories: 'join' };
  const createQueryRunner = joinPlainUse({
    dataSource: dataSource as unknown as { createQueryRunner(mode?: never): Runner },
    mode: () => settings.plainRepositories,
    runnerOf: (unit) => runners.get(unit),
    mutex,
  });

  const sessionOn = (native: unknown, gate: StatementGate): SqlSession =>
    sqlite ? sqliteWireSession(native as SqliteDatabase, gate) : mysqlWireSession(native as CallbackConnection, gate, dialect);

  const connect: Connect = async (unit) => {
    const free = await mutex?.take();
    const runner = createQueryRunner();
    const watch = new StatementWatch(unit, dialect, settings.onLockTimeout);
    let session: SqlSession;
    let native: unknown;
    try {
      native = await runner.connect();
      session = sqlite
        ? sqliteWireSession(native as SqliteDatabase, watch)
        : mysqlWireSession(native as CallbackConnection, watch, dialect);
    } catch (error) {
      free?.();
      if (!sqlite) await runner.release();
      throw error;
    }
    const unwatch = watchRunner(runner, watch);
    runners.set(unit, runner);
    return {
      handle: managerOf(dataSource, joinedView(runner, unit)),
      session,
      begin: (isolationLevel) => watch.unwatched(() => begin(runner, isolationLevel, sqlite ? (native as SqliteDatabase) : undefined)),
      commit: () => watch.unwatched(() => runner.commitTransaction()),
      rollback: () => watch.unwatched(() => rollBackAll(runner)),
      release: async (broken) => {
        runners.delete(unit);
        unwatch();
        free?.();
        if (sqlite) return;
        if (broken) (native as { destroy?(): void } | undefined)?.destroy?.();
        await runner.release();
      },
    };
  };

  const resource: TypeormResource = {
    key: dataSource,
    kind: 'typeorm',
    dialect,
    configure: (given) => {
      settings = { ...settings, ...given };
    },
    run: (options, fn, attempt = 1) =>
      runUnit({ resource, connect, isolationLevel: options.isolationLevel, attempt, logger: settings.logger }, fn),
    withSession: async (fn) => {
      const free = await mutex?.take();
      const runner = createQueryRunner();
      try {
        return await fn(sessionOn(await runner.connect(), openGate));
      } finally {
        free?.();
        if (!sqlite) await runner.release();
      }
    },
  };
  return resource;
}

function managerOf(dataSource: DataSource, runner: Runner): EntityManager {
  return dataSource.createEntityManager(runner as unknown as QueryRunner);
}

/**
 * Begins through TypeORM, so that its subscribers are told and nested transactions become savepoints. SQLite begins
 * IMMEDIATE: a deferred transaction's first write fails at once when another connection writes (P-W9).
 */
async function begin(runner: Runner, isolationLevel: IsolationLevel | undefined, sqlite: SqliteDatabase | undefined): Promise<void> {
  const query = runner.query;
  let answer: unknown;
  runner.query = async (sql, parameters, structured) => {
    if (sqlite && sql === 'BEGIN TRANSACTION') return await beginImmediate(sqlite);
    const given = await query.call(runner, sql, parameters, structured);
    if (sql === 'START TRANSACTION') answer = given;
    return given;
  };
  try {
    // SQLite has one level, SERIALIZABLE; asking TypeORM for another would only set a pragma.
    await (sqlite || isolationLevel === undefined ? runner.startTransaction() : runner.startTransaction(isolationLevel));
  } finally {
    runner.query = query;
  }
  if (answer !== undefined) refuseAutocommitOff(answer);
}

/** Rolls back through every savepoint that was left open. */
async function rollBackAll(runner: Runner): Promise<void> {
  while (runner.isTransactionActive) await runner.rollbackTransaction();
}

/** Watches every statement of this runner instance; returns what ends that. */
function watchRunner(runner: Runner, watch: StatementWatch): () => void {
  const { query, stream } = runner;
  runner.query = async (sql, parameters, structured) => {
    // The structured form holds the driver's own answer, whose status flags the watch needs.
    const result = (await watch.run(
      sql,
      () => query.call(runner, sql, parameters, true),
      (answer) => (answer as { raw?: unknown } | undefined)?.raw,
    )) as { raw: unknown } | undefined;
    return structured ? result : result?.raw;
  };
  runner.stream = async (sql, ...rest) => {
    watch.before(sql);
    const stopped = stream.call(runner, sql, ...rest);
    const opened = (await stopped) as { once?(event: string, listener: (error: unknown) => void): void };
    opened.once?.('error', (error) => watch.failed(sql, error));
    return opened;
  };
  return () => {
    Reflect.deleteProperty(runner, 'query');
    Reflect.deleteProperty(runner, 'stream');
  };
}

/** The framework's statements on a runner with a transaction that somebody else ends. */
export async function sessionOfRunner(runner: QueryRunner, dataSource: DataSource): Promise<SqlSession> {
  const native: unknown = await runner.connect();
  return dataSource.options.type === 'better-sqlite3'
    ? sqliteWireSession(native as SqliteDatabase, openGate)
    : mysqlWireSession(native as CallbackConnection, openGate, mysqlDialect());
}
