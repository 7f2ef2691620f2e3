import { mysqlDialect } from '../../sql/dialects/mysql.ts';
import type { SqlSession } from '../../sql/session.ts';
import { SERVER_STATUS_IN_TRANS } from '../doom.ts';
import { runUnit } from '../open-unit.ts';
import type { Connect, ConnectedUnit, UnitConnection } from '../unit-connection.ts';
import type { TransactionResource } from '../unit-of-work.ts';
import { connected } from './database-unavailable.ts';
import { guardedConnection } from './guarded-connection.ts';
import { MysqlGate } from './mysql-gate.ts';
import { plainMysqlSession, send, statusOf, type WireConnection } from './mysql-wire.ts';
import { type CorePool, joinPlainQueries, type PlainQueries } from './mysql2-joining.ts';
import { resourceOf } from './resource-registry.ts';
import { StatementWatch } from './statement-watch.ts';
import { DEFAULT_UNIT_SETTINGS, type UnitSettings } from './unit-settings.ts';

/** mysql2's promise flavour of a pooled connection, as far as units need it. */
interface PooledConnection {
  release(): void;
  destroy(): void;
}

/** The same connection in the callback flavour. */
type CoreConnection = WireConnection & { promise(): PooledConnection };

/** A mysql2 pool: of the promise flavour, or of the callback one. */
export interface Mysql2Pool {
  getConnection(...args: never[]): unknown;
  promise?(): { getConnection(): Promise<unknown> };
}

/** What may be set for the units of a pool. */
export interface PoolUnitSettings extends UnitSettings {
  /** Default `join`. */
  readonly plainQueries?: PlainQueries;
}

/** A pool in which units can be opened, with settings that its outbox may change. */
export interface PoolResource extends TransactionResource {
  readonly kind: 'mysql2';
  configure(settings: PoolUnitSettings): void;
}

/**
 * The resource of a mysql2 pool; one per pool, whichever flavour of it is given. From here on plain queries of that pool
 * take part in its units.
 */
export function poolResource(pool: Mysql2Pool): PoolResource {
  // The promise flavour is a wrapper.
  const { pool: inner } = pool as { pool?: unknown };
  const core = (typeof inner === 'object' && inner !== null ? inner : pool) as unknown as CorePool;
  return resourceOf(core, () => makePoolResource(core));
}

function makePoolResource(pool: CorePool): PoolResource {
  const dialect = mysqlDialect();
  const wrappers = new WeakMap<CoreConnection, PooledConnection>();
  const wrapperOf = (raw: CoreConnection): PooledConnection => {
    const known = wrappers.get(raw);
    if (known) return known;
    const made = raw.promise();
    wrappers.set(raw, made);
    return made;
  };
  let settings: Required<PoolUnitSettings> = { ...DEFAULT_UNIT_SETTINGS, plainQueries: 'join' };
  const getConnection = joinPlainQueries({
    pool,
    mode: () => settings.plainQueries,
    rawOf: (unit) => unit.kept.get(pool) as WireConnection | undefined,
  });
  const coreConnection = (): Promise<CoreConnection> =>
    new Promise((resolve, reject) => {
      getConnection((error, connection) => (error ? reject(error) : resolve(connection as CoreConnection)));
    });
  const connect: Connect = async (unit) => {
    const raw = await coreConnection();
    unit.kept.set(pool, raw);
    const multipleStatements = raw.config?.multipleStatements === true;
    const watch = new StatementWatch({ unit, dialect, onLockTimeout: settings.onLockTimeout, multipleStatements });
    return new PoolUnitConnection(unit, wrapperOf(raw), new MysqlGate(raw, unit, watch, dialect));
  };
  const resource: PoolResource = {
    key: pool,
    kind: 'mysql2',
    dialect,
    maxConnections: pool.config?.connectionLimit || Number.POSITIVE_INFINITY,
    configure: (given) => {
      settings = { ...settings, ...given };
    },
    run: (options, fn, attempt = 1) => runUnit({ resource, connect, options, attempt, settings }, fn),
    withSession: async (fn) => {
      const raw = await connected('mysql2', coreConnection);
      try {
        return await fn(plainMysqlSession(raw, dialect));
      } finally {
        raw.release?.();
      }
    },
  };
  return resource;
}

class PoolUnitConnection implements UnitConnection {
  readonly handle: unknown;
  readonly session: SqlSession;
  readonly #unit: ConnectedUnit;
  readonly #pooled: PooledConnection;
  readonly #gate: MysqlGate;

  constructor(unit: ConnectedUnit, pooled: PooledConnection, gate: MysqlGate) {
    this.handle = guardedConnection(pooled, unit, (work) => gate.promised(work));
    this.session = gate.session;
    this.#unit = unit;
    this.#pooled = pooled;
    this.#gate = gate;
  }

  async begin(): Promise<void> {
    const { isolationLevel, readOnly } = this.#unit;
    if (isolationLevel !== undefined) await this.#gate.control(`SET TRANSACTION ISOLATION LEVEL ${isolationLevel}`);
    await this.#gate.control(readOnly ? 'START TRANSACTION READ ONLY' : 'START TRANSACTION');
    this.#gate.refuseAutocommitOff();
  }

  quiet(): Promise<void> {
    return this.#gate.quiet();
  }

  commit(): Promise<unknown> {
    return this.#gate.control('COMMIT');
  }

  async rollback(): Promise<void> {
    await this.#gate.quietForRollback();
    await this.#gate.control('ROLLBACK');
  }

  interrupt(error: unknown): void {
    this.#gate.interrupt(error);
  }

  async release(broken: boolean): Promise<void> {
    if (!this.#gate.leave() || broken) this.#pooled.destroy();
    else this.#pooled.release();
  }
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
