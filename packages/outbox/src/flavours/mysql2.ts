import { type Mysql2Pool, type PlainQueries, poolResource, sessionOfConnection } from '@txbox/core/mysql2';
import { objectWith, oneOf, type Transaction, TxboxError } from '@txbox/core/spi';
import type { Connection as CallbackConnection } from 'mysql2';
import type { Connection, PoolConnection } from 'mysql2/promise';
import { Outbox } from '../outbox.ts';
import { type OutboxOptions, resolveOutboxOptions } from '../outbox-options.ts';

/** What `createOutbox` takes. */
export interface Mysql2OutboxOptions extends OutboxOptions {
  /** A pool of `mysql2/promise`, or of `mysql2`. */
  readonly pool: Mysql2Pool;
  /**
   * What `query`, `execute` and `getConnection` of the pool itself do inside an open transaction: `join` it (default),
   * `refuse` with `QUERY_OUTSIDE_UNIT`, or `ignore` it as mysql2 does by itself.
   */
  readonly plainQueries?: PlainQueries;
}

/** An open transaction of a pool. */
export interface Mysql2Transaction extends Transaction {
  /** The transaction's connection: query and execute. BEGIN, COMMIT, ROLLBACK and release are the framework's. */
  readonly connection: PoolConnection;
}

/** What `addTo` takes: a connection with an open transaction, of either flavour. */
export type Mysql2Handle = Connection | CallbackConnection;

/** The outbox of a mysql2 pool. */
export class Mysql2Outbox extends Outbox<Mysql2Transaction, Mysql2Handle> {
  constructor(options: Mysql2OutboxOptions) {
    const { pool, plainQueries, ...common } = resolveOutboxOptions<Pick<Required<Mysql2OutboxOptions>, 'pool' | 'plainQueries'>>(
      options,
      { pool: objectWith('getConnection', 'query'), plainQueries: oneOf('join', 'refuse', 'ignore') },
      { plainQueries: 'join' },
    );
    const resource = poolResource(pool);
    resource.configure({ plainQueries, onLockTimeout: common.onLockTimeout, logger: common.logger, unhandled: common.unhandled });
    super(common, {
      resource,
      transactionOf: (unit, transaction) =>
        Object.assign(transaction, { connection: unit ? (unit.handle as PoolConnection) : plainConnection(pool) }),
      foreignSession: async (handle) => {
        const session = await sessionOfConnection(handle);
        if (session === 'not a connection') {
          throw new TxboxError('UNSUPPORTED_HANDLE', 'addTo takes a mysql2 connection with an open transaction, not a pool.');
        }
        if (session !== 'no transaction') return session;
        throw new TxboxError(
          'NO_OPEN_TRANSACTION',
          'addTo was given a connection with no open transaction: the event would commit without your data. Call beginTransaction() first, or use outbox.transaction(fn).',
        );
      },
    });
  }
}

/** What stands for the connection where no transaction is open: each statement on any connection of the pool. */
function plainConnection(pool: Mysql2Pool): PoolConnection {
  const plain = typeof pool.promise === 'function' ? pool.promise() : pool;
  return new Proxy(plain, {
    get: (target, name) => {
      if (name !== 'query' && name !== 'execute') {
        throw new TxboxError(
          'NO_UNIT_OF_WORK',
          `connection.${String(name)} was used where no transaction is open, as the propagation of this call allows: there are query and execute only.`,
        );
      }
      return (...args: unknown[]) => (target as unknown as Record<string, (...all: unknown[]) => unknown>)[name]?.(...args);
    },
  }) as unknown as PoolConnection;
}

/** Creates the outbox of a mysql2 pool. Throws `OPTIONS_INVALID` with every problem. */
export function createOutbox(options: Mysql2OutboxOptions): Mysql2Outbox {
  return new Mysql2Outbox(options);
}
