import { objectWith, type Transaction, TxboxError } from '@txbox/core/spi';
import { sessionOfDatabase, sqliteResource } from '@txbox/core/sqlite';
import type { Database } from 'better-sqlite3';
import { Outbox } from '../outbox.ts';
import { type OutboxOptions, resolveOutboxOptions } from '../outbox-options.ts';

/** What `createOutbox` takes. */
export interface SqliteOutboxOptions extends OutboxOptions {
  /** A better-sqlite3 database in a file; a relay reads it through a connection of its own. */
  readonly database: Database;
}

/** An open transaction of a database. */
export interface SqliteTransaction extends Transaction {
  readonly database: Database;
}

/** The outbox of a better-sqlite3 database. */
export class SqliteOutbox extends Outbox<SqliteTransaction, Database> {
  constructor(options: SqliteOutboxOptions) {
    const { database, ...common } = resolveOutboxOptions<Pick<SqliteOutboxOptions, 'database'>>(options, {
      database: objectWith('prepare', 'exec', 'pragma'),
    });
    const resource = sqliteResource(database);
    resource.configure({ onLockTimeout: common.onLockTimeout, logger: common.logger, unhandled: common.unhandled });
    super(common, {
      resource,
      transactionOf: (_unit, transaction) => Object.assign(transaction, { database }),
      foreignSession: async (handle) => {
        if (handle !== database) {
          throw new TxboxError(
            'WRONG_DATA_SOURCE',
            'addTo takes the database that the outbox was created with: event and data must commit together.',
          );
        }
        if (database.inTransaction) return sessionOfDatabase(database);
        throw new TxboxError(
          'NO_OPEN_TRANSACTION',
          'addTo was called with no open transaction: BEGIN first, or use outbox.transaction(fn).',
        );
      },
    });
  }
}

/** Creates the outbox of a better-sqlite3 database. Throws `OPTIONS_INVALID` with every problem. */
export function createOutbox(options: SqliteOutboxOptions): SqliteOutbox {
  return new SqliteOutbox(options);
}
