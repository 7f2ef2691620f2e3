import { TxboxError } from '../../runtime/error.ts';
import { mysqlDialect } from '../../sql/dialects/mysql.ts';
import type { SqlSession } from '../../sql/session.ts';
import { SERVER_STATUS_IN_TRANS } from '../doom.ts';
import { type Connect, runUnit, type UnitConnection } from '../open-unit.ts';
import type { TransactionResource, UnitOfWork } from '../unit-of-work.ts';
import { type CallbackConnection, mysqlWireSession, refuseAutocommitOff, sendUnwatched } from './mysql-wire.ts';
import { resourceOf } from './resource-registry.ts';
import { openGate, StatementWatch } from './statement-watch.ts';
import { DEFAULT_UNIT_SETTINGS, type UnitSettings } from './unit-settings.ts';

/** mysql2's promise flavour of a pooled connection, as far as units need it. */
interface PooledConnection {
  readonly connection: CallbackConnection;
  release(): void;
  destroy(): void;
}

/** A mysql2 pool: of the promise flavour, or of the callback one. */
export interface Mysql2Pool {
  getConnection(...args: never[]): unknown;
  promise?(): { getConnection(): Promise<unknown> };
}

/** A pool in which units can be opened, with settings that its outbox may change. */
export interface PoolResource extends TransactionResource {
  readonly kind: 'mysql2';
  configure(settings: UnitSettings): void;
}

/**
 * The resource of a mysql2 pool; one per pool. A query that goes to the pool itself while a unit is open uses another
 * connection and is not part of the unit: work with the connection that the transaction hands out.
 */
export function poolResource(pool: Mysql2Pool): PoolResource {
  return resourceOf(pool, () => makePoolResource(pool));
}

function makePoolResource(pool: Mysql2Pool): PoolResource {
  const dialect = mysqlDialect();
  let settings = DEFAULT_UNIT_SETTINGS;
  const pooledConnection = async (): Promise<PooledConnection> => {
    const source = pool.promise === undefined ? pool : pool.promise();
    return (await (source.getConnection as () => Promise<unknown>).call(source)) as PooledConnection;
  };
  const connect: Connect = async (unit) =>
    unitConnection(await pooledConnection(), unit, new StatementWatch(unit, dialect, settings.onLockTimeout));
  const resource: PoolResource = {
    key: pool,
    kind: 'mysql2',
    dialect,
    configure: (given) => {
      settings = { ...settings, ...given };
    },
    run: (options, fn, attempt = 1) =>
      runUnit({ resource, connect, isolationLevel: options.isolationLevel, attempt, logger: settings.logger }, fn),
    withSession: async (fn) => {
      const pooled = await pooledConnection();
      try {
        return await fn(mysqlWireSession(pooled.connection, openGate, dialect));
      } finally {
        pooled.release();
      }
    },
  };
  return resource;

  function unitConnection(pooled: PooledConnection, unit: UnitOfWork, watch: StatementWatch): UnitConnection {
    const raw = pooled.connection;
    const sendOwn = (sql: string): Promise<unknown> => watch.unwatched(() => sendUnwatched(raw, sql));
    return {
      handle: watchedConnection(pooled, unit, watch),
      session: mysqlWireSession(raw, watch, dialect),
      begin: async (isolationLevel) => {
        if (isolationLevel !== undefined) await sendOwn(`SET TRANSACTION ISOLATION LEVEL ${isolationLevel}`);
        refuseAutocommitOff(await sendOwn('START TRANSACTION'));
      },
      commit: async () => {
        await sendOwn('COMMIT');
      },
      rollback: async () => {
        await sendOwn('ROLLBACK');
      },
      release: async (broken) => {
        if (broken) pooled.destroy();
        else pooled.release();
      },
    };
  }
}

const STATEMENTS = new Set(['query', 'execute']);
const OURS = new Set(['beginTransaction', 'commit', 'rollback', 'release', 'destroy', 'end', 'changeUser', 'reset']);

/** The unit's connection as users see it: statements are watched, the transaction itself stays the framework's. */
function watchedConnection(pooled: object, unit: UnitOfWork, watch: StatementWatch): unknown {
  return new Proxy(pooled, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      if (typeof name === 'string' && OURS.has(name)) {
        return () => {
          unit.doomWith({
            reason: `${name}() was called on the transaction's connection, which the framework begins, ends and releases by itself`,
          });
          throw new TxboxError(
            'UNIT_DOOMED',
            `${name}() must not be called on a transaction's connection. Return or throw to end the transaction.`,
          );
        };
      }
      if (typeof name !== 'string' || !STATEMENTS.has(name)) return value.bind(target) as unknown;
      return async (statement: string | { sql: string }, ...rest: unknown[]) => {
        const sql = typeof statement === 'string' ? statement : statement.sql;
        return await watch.run(
          sql,
          () => value.call(target, statement, ...rest) as Promise<unknown[]>,
          (answer) => answer[0],
        );
      };
    },
  });
}

/**
 * The framework's statements on a mysql2 connection of either flavour with a transaction that somebody else ends. The
 * answer to a statement that does nothing tells whether one is open.
 */
export async function sessionOfConnection(handle: unknown): Promise<SqlSession | 'not a connection' | 'no transaction'> {
  if (typeof handle !== 'object' || handle === null || 'getConnection' in handle) return 'not a connection';
  const inner = (handle as { connection?: unknown }).connection;
  const raw = (typeof (inner as { query?: unknown } | undefined)?.query === 'function' ? inner : handle) as CallbackConnection;
  if (typeof raw.query !== 'function') return 'not a connection';
  const { serverStatus = 0 } = (await sendUnwatched(raw, 'DO 0')) as { serverStatus?: number };
  return (serverStatus & SERVER_STATUS_IN_TRANS) === 0 ? 'no transaction' : mysqlWireSession(raw, openGate, mysqlDialect());
}
