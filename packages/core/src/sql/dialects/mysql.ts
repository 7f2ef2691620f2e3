import { createHash } from 'node:crypto';
import { isTxboxError, TxboxError } from '../../runtime/error.ts';
import type { Dialect, SqlErrorKind } from '../dialect.ts';
import type { SqlSession } from '../session.ts';
import { driverErrorOf } from '../sql-error.ts';

/** Server error numbers that mean the same on MySQL 5.7 to 9 and MariaDB, by what protocols make of them (P-W3, P-W4). */
const KIND_BY_ERRNO: ReadonlyMap<number, SqlErrorKind> = new Map<number, SqlErrorKind>([
  [1062, 'duplicate'], // ER_DUP_ENTRY
  [1586, 'duplicate'], // ER_DUP_ENTRY_WITH_KEY_NAME
  [1213, 'deadlock'], // ER_LOCK_DEADLOCK
  [1206, 'deadlock'], // ER_LOCK_TABLE_FULL: rolls back like a deadlock
  [1020, 'deadlock'], // ER_CHECKREAD: MariaDB's snapshot isolation, rolls everything back
  [1205, 'lock-timeout'], // ER_LOCK_WAIT_TIMEOUT
  [3572, 'lock-timeout'], // ER_LOCK_NOWAIT (MySQL 8)
  [1146, 'missing-table'], // ER_NO_SUCH_TABLE
  [1290, 'read-only'], // ER_OPTION_PREVENTS_STATEMENT (--read-only)
  [1792, 'read-only'], // ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION
  [1836, 'read-only'], // ER_READ_ONLY_MODE
  [1142, 'read-only'], // ER_TABLEACCESS_DENIED_ERROR
  [1143, 'read-only'], // ER_COLUMNACCESS_DENIED_ERROR
  [1053, 'connection-lost'], // ER_SERVER_SHUTDOWN
  [1152, 'connection-lost'], // ER_ABORTING_CONNECTION
  [1153, 'connection-lost'], // ER_NET_PACKET_TOO_LARGE: the server closes the connection
  [1158, 'connection-lost'], // ER_NET_READ_ERROR
  [1159, 'connection-lost'], // ER_NET_READ_INTERRUPTED
  [1160, 'connection-lost'], // ER_NET_ERROR_ON_WRITE
  [1161, 'connection-lost'], // ER_NET_WRITE_INTERRUPTED
  [1184, 'connection-lost'], // ER_NEW_ABORTING_CONNECTION
  [1927, 'connection-lost'], // ER_CONNECTION_KILLED (MariaDB)
  [3169, 'connection-lost'], // ER_SESSION_WAS_KILLED
  [4031, 'connection-lost'], // ER_CLIENT_INTERACTION_TIMEOUT
]);

const LOST_CODES: ReadonlySet<string> = new Set([
  'PROTOCOL_CONNECTION_LOST',
  'PROTOCOL_SEQUENCE_TIMEOUT',
  'ECONNRESET',
  'ECONNREFUSED',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
]);

function classify(error: unknown): SqlErrorKind {
  if (isTxboxError(error, 'DATABASE_UNAVAILABLE')) return 'connection-lost';
  const { errno, code, message, fatal } = driverErrorOf(error);
  const kind = KIND_BY_ERRNO.get(errno);
  if (kind) return kind;
  // System errors of Node have a negative errno; mysql2's own states have neither number nor code.
  if (fatal || LOST_CODES.has(code) || /connection is in closed state|connection .*closed/i.test(message)) return 'connection-lost';
  return 'other';
}

/** MySQL 5.7 to 9 and MariaDB 10.5 on. `maxStatementBytes`: the server's `max_allowed_packet` where it is known. */
export function mysqlDialect(maxStatementBytes = 0): Dialect {
  return {
    name: 'mysql',
    now: 'UTC_TIMESTAMP(6)',
    nowPlusMs: '(UTC_TIMESTAMP(6) + INTERVAL (? * 1000) MICROSECOND)',
    msSince: (column) => `TIMESTAMPDIFF(MICROSECOND, ${column}, UTC_TIMESTAMP(6)) / 1000`,
    forUpdate: ' FOR UPDATE',
    insertIgnore: 'INSERT IGNORE',
    databaseName: 'DATABASE()',
    ddl: {
      serial: 'BIGINT NOT NULL AUTO_INCREMENT',
      serialKey: (column, after) =>
        after === undefined ? `PRIMARY KEY (${column})` : `PRIMARY KEY (${after}, ${column}), KEY (${column})`,
      inlineIndexes: true,
      // A binary collation: default ones make 'abc' = 'ABC' (P-T4).
      tableOptions: ' ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin',
    },
    unionPart: (select) => `(${select})`,
    maxStatementBytes,
    maxPlaceholders: 65_535,
    classify,
    exclusively,
  };
}

// DDL commits by itself on MySQL, so a lock beside the transaction is needed. Its names are the server's, not the database's.
async function exclusively<T>(session: SqlSession, name: string, waitMs: number, work: () => Promise<T>): Promise<T> {
  const [database] = (await session.query('SELECT DATABASE()'))[0] ?? [];
  const lock = `txbox:${createHash('sha256').update(`${database}:${name}`).digest('hex').slice(0, 40)}`;
  const [taken] = (await session.query('SELECT GET_LOCK(?, ?)', [lock, Math.ceil(waitMs / 1000)]))[0] ?? [];
  // Number, because TypeORM's connections give the BIGINT of newer servers as text.
  if (Number(taken) !== 1) {
    throw new TxboxError(
      'MIGRATION_FAILED',
      `Another process has been migrating ${name} in ${database} for more than ${waitMs} ms. Try again when it has ended.`,
    );
  }
  try {
    return await work();
  } finally {
    await session.query('SELECT RELEASE_LOCK(?)', [lock]);
  }
}
