import { isTxboxError } from '../../runtime/error.ts';
import type { Dialect, SqlErrorKind } from '../dialect.ts';
import type { SqlSession } from '../session.ts';
import { driverErrorOf } from '../sql-error.ts';

function classify(error: unknown): SqlErrorKind {
  if (isTxboxError(error, 'DATABASE_UNAVAILABLE')) return 'connection-lost';
  const { code, message } = driverErrorOf(error);
  if (code === 'SQLITE_CONSTRAINT_UNIQUE' || code === 'SQLITE_CONSTRAINT_PRIMARYKEY' || code === 'SQLITE_CONSTRAINT_ROWID')
    return 'duplicate';
  // BUSY_SNAPSHOT too: nothing was done, and the transaction can only be rolled back and run again.
  if (code.startsWith('SQLITE_BUSY') || code.startsWith('SQLITE_LOCKED')) return 'lock-timeout';
  if (code.startsWith('SQLITE_READONLY')) return 'read-only';
  if (code === 'SQLITE_ERROR' && message.startsWith('no such table')) return 'missing-table';
  if (message === 'The database connection is not open') return 'connection-lost';
  return 'other';
}

/** SQLite 3.37 on, in WAL mode. */
export const sqliteDialect: Dialect = {
  name: 'sqlite',
  // SQLite's clock has milliseconds; the zeros make its times compare with those of MySQL's form.
  now: "strftime('%Y-%m-%d %H:%M:%f000', 'now')",
  nowPlusMs: "strftime('%Y-%m-%d %H:%M:%f000', 'now', (? / 1000.0) || ' seconds')",
  msSince: (column) => `(julianday('now') - julianday(${column})) * 86400000`,
  forUpdate: '',
  insertIgnore: 'INSERT OR IGNORE',
  databaseName: "(SELECT file FROM pragma_database_list WHERE name = 'main')",
  ddl: {
    serial: 'INTEGER PRIMARY KEY AUTOINCREMENT',
    serialKey: (column, after) => (after === undefined ? '' : `UNIQUE (${after}, ${column})`),
    inlineIndexes: false,
    tableOptions: '',
  },
  unionPart: (select) => `SELECT * FROM (${select})`,
  maxStatementBytes: 0,
  maxPlaceholders: 32_766,
  classify,
  exclusively,
};

// The single writer's lock is all that is needed, and makes the whole migration one transaction.
async function exclusively<T>(session: SqlSession, _name: string, _waitMs: number, work: () => Promise<T>): Promise<T> {
  await session.execute('BEGIN IMMEDIATE');
  let result: T;
  try {
    result = await work();
  } catch (error) {
    await session.execute('ROLLBACK');
    throw error;
  }
  await session.execute('COMMIT');
  return result;
}
