import type { Dialect } from '../sql/dialect.ts';
import { driverErrorOf } from '../sql/sql-error.ts';
import type { Doom } from './unit-of-work.ts';

/**
 * What forbids COMMIT (P-W3). The server may have rolled back or committed part of the unit without anybody asking for
 * it; the INSERT of the events would then commit alone, or miss the commit.
 */

/** What becomes of a unit in which a statement gave up waiting for a lock (1205). */
export type OnLockTimeout = 'doom' | 'continue';

const LEADING = /^(?:\s+|--[^\n]*\n|#[^\n]*\n|\/\*(?!!)[\s\S]*?\*\/)*/;
const CONTROL =
  /^(?:BEGIN(?:\s+WORK)?\s*;?\s*$|BEGIN\s+(?:DEFERRED|IMMEDIATE|EXCLUSIVE|TRANSACTION)|START\s+TRANSACTION|COMMIT|END(?:\s+TRANSACTION)?\s*;?\s*$|ROLLBACK(?!\s+(?:WORK\s+)?TO\b)|XA\s|LOCK\s+TABLES?\b|UNLOCK\s+TABLES?\b|SET\s+(?:(?:@@|SESSION|LOCAL|GLOBAL)[.\s]*)*(?:session\.)?autocommit\b)/i;
const DDL = /^(?:CREATE|ALTER|DROP|TRUNCATE|RENAME)\s+(?!TEMPORARY\b|PREPARE\b)/i;
const IMPATIENT = /\b(?:NOWAIT|WAIT\s+\d+)\b/i;

/** MySQL's flag of a session that is in a transaction, in every OK packet. */
export const SERVER_STATUS_IN_TRANS = 1;
/** MySQL's flag of a session with autocommit on. */
export const SERVER_STATUS_AUTOCOMMIT = 2;

/** The reason not to send a statement at all: it would end or replace the transaction. */
export function doomOfText(sql: string, dialect: Dialect): Doom | undefined {
  const statement = sql.slice(LEADING.exec(sql)?.[0].length ?? 0);
  if (CONTROL.test(statement)) {
    return { reason: `the statement ${excerpt(statement)} would end or replace the transaction that the framework began` };
  }
  if (dialect.name === 'mysql' && DDL.test(statement)) {
    return { reason: `the statement ${excerpt(statement)} would commit the transaction half-way (DDL commits implicitly)` };
  }
  return undefined;
}

/** The reason after a statement that failed, or `undefined` when only that statement was undone. */
export function doomOfError(error: unknown, sql: string, dialect: Dialect, onLockTimeout: OnLockTimeout): Doom | undefined {
  switch (dialect.classify(error)) {
    case 'deadlock':
      return { reason: 'the server rolled the transaction back because of a deadlock', cause: error };
    case 'connection-lost':
      return { reason: 'the connection was lost, and the transaction with it', cause: error };
    case 'lock-timeout': {
      // A failed NOWAIT is 3572 on MySQL and 1205 on MariaDB; it undoes nothing but itself.
      const expected = driverErrorOf(error).errno === 3572 || IMPATIENT.test(sql);
      if (expected || onLockTimeout === 'continue' || dialect.name === 'sqlite') return undefined;
      return {
        reason:
          "a statement waited too long for a lock, and the server may have rolled back more than it (set onLockTimeout: 'continue' where innodb_rollback_on_timeout is off)",
        cause: error,
      };
    }
    default:
      return undefined;
  }
}

/** The reason after an answer that shows the session outside of any transaction. `results` is what mysql2 made of it. */
export function doomOfResult(results: unknown, sql: string): Doom | undefined {
  const headers = Array.isArray(results) ? results : [results];
  for (const header of headers) {
    const status = typeof header === 'object' && header !== null ? (header as { serverStatus?: unknown }).serverStatus : undefined;
    if (typeof status === 'number' && (status & SERVER_STATUS_IN_TRANS) === 0) {
      return { reason: `the statement ${excerpt(sql)} ended the transaction (an implicit commit)` };
    }
  }
  return undefined;
}

function excerpt(sql: string): string {
  const line = sql.trim().replace(/\s+/g, ' ');
  return JSON.stringify(line.length > 60 ? `${line.slice(0, 60)}…` : line);
}
