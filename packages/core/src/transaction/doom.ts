import { TxboxError } from '../runtime/error.ts';
import type { Dialect } from '../sql/dialect.ts';
import { driverErrorOf } from '../sql/sql-error.ts';
import type { Doom } from './unit-of-work.ts';

/**
 * What forbids COMMIT (P-W3). The server may have rolled back or committed part of the unit without anybody asking for
 * it; the INSERT of the events would then commit alone, or miss the commit.
 */

/** What becomes of a unit in which a statement gave up waiting for a lock (1205). */
export type OnLockTimeout = 'doom' | 'continue';

// White space and comments, and the opening of comments that MySQL executes.
const LEADING = /^(?:\s+|--[^\n]*(?:\n|$)|#[^\n]*(?:\n|$)|\/\*(?!M?!)[\s\S]*?\*\/|\/\*M?!\d*)*/;
const CONTROL =
  /^(?:BEGIN(?:\s+WORK)?\s*(?:;|\*\/|$)|BEGIN\s+(?:DEFERRED|IMMEDIATE|EXCLUSIVE|TRANSACTION)|START\s+TRANSACTION|COMMIT|END(?:\s+TRANSACTION)?\s*;?\s*$|ROLLBACK(?!\s+(?:(?:WORK|TRANSACTION)\s+)?TO\b)|XA\s|LOCK\s+(?:TABLES?|INSTANCE)\b|UNLOCK\s+(?:TABLES?|INSTANCE)\b)/i;
const AUTOCOMMIT = /^SET\b(?=[\s\S]*\bautocommit\b)/i;
const QUOTED = /'(?:[^'\\]|\\[\s\S]|'')*'|"(?:[^"\\]|\\[\s\S]|"")*"|`[^`]*`/g;
// MySQL's and MariaDB's lists of statements that commit implicitly; some of them answer with rows, which carry no flags.
const IMPLICIT_COMMIT =
  /^(?:(?:CREATE|DROP)\s+(?:OR\s+REPLACE\s+)?(?!OR\s|TEMPORARY\b|PREPARE\b)|ALTER\s|TRUNCATE\s|RENAME\s|GRANT\s|REVOKE\s|FLUSH\s|ANALYZE\s+(?:NO_WRITE_TO_BINLOG\s+|LOCAL\s+)?TABLES?\b|(?:OPTIMIZE|REPAIR)\s|CHECK\s+TABLES?\b|CACHE\s+INDEX\b|LOAD\s+INDEX\b|RESET\s|(?:UN)?INSTALL\s|CHANGE\s+(?:MASTER|REPLICATION)\b|(?:START|STOP)\s+(?:ALL\s+)?(?:SLAVES?|REPLICAS?|GROUP_REPLICATION)\b|SET\s+PASSWORD\b|SET\s+DEFAULT\s+ROLE\b|IMPORT\s|CLONE\s)/i;
const IMPATIENT = /\b(?:NOWAIT|WAIT\s+\d+)\b/i;

/** Why no statement of a doomed unit is sent. */
export function notSent({ reason, cause }: Doom): TxboxError {
  return new TxboxError(
    'UNIT_DOOMED',
    `Not sent: the transaction cannot commit any more (${reason}), and a statement would commit by itself.`,
    { cause },
  );
}

/** MySQL's flag of a session that is in a transaction, in every OK packet. */
export const SERVER_STATUS_IN_TRANS = 1;
/** MySQL's flag of a session with autocommit on. */
export const SERVER_STATUS_AUTOCOMMIT = 2;

/** The text of a statement from its first word on. */
export function fromFirstWord(sql: string): string {
  const length = LEADING.exec(sql)?.[0].length ?? 0;
  return length === 0 ? sql : sql.slice(length);
}

/** The reason not to send a statement at all: it would end or replace the transaction. */
export function doomOfText(sql: string, dialect: Dialect): Doom | undefined {
  const statement = fromFirstWord(sql);
  if (CONTROL.test(statement) || (AUTOCOMMIT.test(statement) && AUTOCOMMIT.test(statement.replace(QUOTED, '')))) {
    return { reason: `the statement ${excerpt(statement)} would end or replace the transaction that the framework began` };
  }
  if (dialect.name === 'mysql' && IMPLICIT_COMMIT.test(statement)) {
    return { reason: `the statement ${excerpt(statement)} would commit the transaction half-way (it commits implicitly)` };
  }
  return undefined;
}

/** The same for a text of several statements, on connections that take such. */
export function doomOfTexts(sql: string, dialect: Dialect): Doom | undefined {
  for (const statement of sql.replace(QUOTED, '?').split(';')) {
    const doom = doomOfText(statement, dialect);
    if (doom) return doom;
  }
  return undefined;
}

/** What a failed statement did to its transaction. */
export type AfterError =
  | { readonly kind: 'doomed'; readonly doom: Doom }
  | { readonly kind: 'statement undone' }
  /** Undone or more, by the server's settings: the session must be asked whether it is still in the transaction. */
  | { readonly kind: 'ask' };

/** What a failed statement did to its transaction (P-W3). */
export function afterError(error: unknown, sql: string, dialect: Dialect, onLockTimeout: OnLockTimeout): AfterError {
  switch (dialect.classify(error)) {
    case 'deadlock':
      return { kind: 'doomed', doom: { reason: 'the server rolled the transaction back because of a deadlock', cause: error } };
    case 'connection-lost':
      return { kind: 'doomed', doom: { reason: 'the connection was lost, and the transaction with it', cause: error } };
    case 'lock-timeout': {
      if (dialect.name === 'sqlite' || driverErrorOf(error).errno === 3572) return { kind: 'statement undone' };
      // A failed NOWAIT is 1205 on MariaDB.
      if (onLockTimeout === 'continue' || IMPATIENT.test(sql)) return { kind: 'ask' };
      return {
        kind: 'doomed',
        doom: {
          reason:
            "a statement waited too long for a lock, and the server may have rolled back more than it (onLockTimeout: 'continue' goes on where only the statement was undone)",
          cause: error,
        },
      };
    }
    default:
      return { kind: 'statement undone' };
  }
}

/** The reason after an answer that shows the session outside of any transaction. */
export function doomOfStatus(serverStatus: number, sql: string): Doom | undefined {
  if ((serverStatus & SERVER_STATUS_IN_TRANS) !== 0) return undefined;
  return { reason: `the statement ${excerpt(sql)} ended the transaction (an implicit commit)` };
}

function excerpt(sql: string): string {
  const line = sql.slice(0, 300).trim().replace(/\s+/g, ' ');
  return JSON.stringify(line.length > 60 ? `${line.slice(0, 60)}…` : line);
}
