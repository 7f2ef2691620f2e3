import { mysqlDialect } from '../../sql/dialects/mysql.ts';
import type { SqlSession } from '../../sql/session.ts';
import { SERVER_STATUS_IN_TRANS } from '../doom.ts';
import { type Connect, runUnit } from '../open-unit.ts';
import type { TransactionResource } from '../unit-of-work.ts';
import { guardedConnection } from './guarded-connection.ts';
import { MysqlGate } from './mysql-gate.ts';
import { plainMysqlSession, send, statusOf, type WireConnection } from './mysql-wire.ts';
import { resourceOf } from './resource-registry.ts';
import { StatementWatch } from './statement-watch.ts';
import { DEFAULT_UNIT_SETTINGS, type UnitSettings } from './unit-settings.ts';

/** mysql2's promise flavour of a pooled connection, as far as units need it. */
interface PooledConnection {
  readonly connection: WireConnection;
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
 * The resource of a mysql2 pool; one per pool, whichever flavour of it is given. A query that goes to the pool itself while
 * a unit is open uses another connection and is not part of the unit: work with the connection that the transaction hands out.
 */
export function poolResource(pool: Mysql2Pool): PoolResource {
  // The promise flavour is a wrapper.
  const { pool: inner } = pool as { pool?: unknown };
  const core = typeof inner === 'object' && inner !== null ? (inner as Mysql2Pool) : pool;
  return resourceOf(core, () => makePoolResource(core));
}

function makePoolResource(pool: Mysql2Pool): PoolResource {
  const dialect = mysqlDialect();
  let settings = DEFAULT_UNIT_SETTINGS;
  const pooledConnection = async (): Promise<PooledConnection> => {
    const source = pool.promise === undefined ? pool : pool.promise();
    return (await (source.getConnection as () => Promise<unknown>).call(source)) as PooledConnection;
  };
  const connect: Connect = async (unit) => {
    const pooled = await pooledConnection();
    const raw = pooled.connection;
    const multipleStatements = raw.config?.multipleStatements === true;
    const watch = new StatementWatch({ unit, dialect, onLockTimeout: settings.onLockTimeout, multipleStatements });
    const gate = new MysqlGate(raw, unit, watch, dialect);
    return {
      handle: guardedConnection(pooled, unit),
      session: gate.session,
      begin: async () => {
        if (unit.isolationLevel !== undefined) await send(raw, `SET TRANSACTION ISOLATION LEVEL ${unit.isolationLevel}`);
        await send(raw, 'START TRANSACTION');
        gate.refuseAutocommitOff();
      },
      quiet: () => gate.quiet(),
      commit: async () => {
        await send(raw, 'COMMIT');
      },
      rollback: async () => {
        await gate.quietForRollback();
        await send(raw, 'ROLLBACK');
      },
      release: async (broken) => {
        if (!gate.leave() || broken) pooled.destroy();
        else pooled.release();
      },
    };
  };
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
        return await fn(plainMysqlSession(pooled.connection, dialect));
      } finally {
        pooled.release();
      }
    },
  };
  return resource;
}

/**
 * The framework's statements on a mysql2 connection of either flavour with a transaction that somebody else ends. The
 * answer to a statement that does nothing tells whether one is open.
 */
export async function sessionOfConnection(handle: unknown): Promise<SqlSession | 'not a connection' | 'no transaction'> {
  if (typeof handle !== 'object' || handle === null || 'getConnection' in handle) return 'not a connection';
  const inner = (handle as { connection?: unknown }).connection;
  const raw = (typeof (inner as { query?: unknown } | undefined)?.query === 'function' ? inner : handle) as WireConnection;
  if (typeof raw.query !== 'function') return 'not a connection';
  const status = statusOf(await send(raw, 'DO 0')) ?? 0;
  return (status & SERVER_STATUS_IN_TRANS) === 0 ? 'no transaction' : plainMysqlSession(raw, mysqlDialect());
}
