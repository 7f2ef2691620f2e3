import { TxboxError } from '../runtime/error.ts';
import type { Dialect } from '../sql/dialect.ts';
import { driverErrorOf } from '../sql/sql-error.ts';
import { excerpt, fromFirstWord, statementsIn } from './statement-text.ts';
import type { Doom } from './unit-of-work.ts';

/**
 * What forbids COMMIT (P-W3). The server may have rolled back or committed part of the unit without anybody asking for
 * it; the INSERT of the events would then commit alone, or miss the commit.
 */

/** What becomes of a unit in which a statement gave up waiting for a lock (1205). */
export type OnLockTimeout = 'doom' | 'continue';

const CONTROL =
  /^(?:BEGIN(?!\s+NOT\s+ATOMIC\b)|START\s+TRANSACTION|COMMIT|END(?:\s+TRANSACTION)?$|ROLLBACK(?!\s+(?:(?:WORK|TRANSACTION)\s+)?TO\b)|XA\s|LOCK\s+(?:TABLES?|INSTANCE)\b|UNLOCK\s+(?:TABLES?|INSTANCE)\b)/i;
const AUTOCOMMIT = /^SET\b(?!\s+STATEMENT\b)(?=[\s\S]*\bautocommit\b)/i;
const QUOTED = /'(?:[^'\\]|\\[\s\S]|'')*'|"(?:[^"\\]|\\[\s\S]|"")*"/g;
// MySQL's and MariaDB's lists of statements that commit implicitly; some of them answer with rows, which carry no flags.
const IMPLICIT_COMMIT =
  /^(?:(?:CREATE|DROP)\s+(?:OR\s+REPLACE\s+)?(?!OR\s|TEMPORARY\b|PREPARE\b)|ALTER\s|TRUNCATE\s|RENAME\s|GRANT\s|REVOKE\s|FLUSH\s|ANALYZE\s+(?:NO_WRITE_TO_BINLOG\s+|LOCAL\s+)?TABLES?\b|(?:OPTIMIZE|REPAIR)\s|CHECK\s+TABLES?\b|CACHE\s+INDEX\b|LOAD\s+INDEX\b|RESET\s|(?:UN)?INSTALL\s|CHANGE\s+(?:MASTER|REPLICATION)\b|(?:START|STOP)\s+(?:ALL\s+)?(?:SLAVES?|REPLICAS?|GROUP_REPLICATION)\b|SET\s+PASSWORD\b|SET\s+DEFAULT\s+ROLE\b|IMPORT\s|CLONE\s)/i;
const SAVEPOINT = /^(?:SAVEPOINT|RELEASE|ROLLBACK)\b/i;
// MariaDB takes the statements of stored programs by themselves too.
const COMPOUND = /^(?:BEGIN\s+NOT\s+ATOMIC|IF|CASE|LOOP|REPEAT|WHILE|FOR)\b/i;
const OPAQUE = /^(?:CALL|EXECUTE|SET\s+STATEMENT)\b/i;
// Whether the server executes what begins so depends on its version.
const CONDITIONAL = /^\s*\/\*M?!/;
// The first words of all of these.
const MATTERS =
  /^(?:BEGIN|START|COMMIT|END|ROLLBACK|XA|LOCK|UNLOCK|SET|CREATE|DROP|ALTER|TRUNCATE|RENAME|GRANT|REVOKE|FLUSH|ANALYZE|OPTIMIZE|REPAIR|CHECK|CACHE|LOAD|RESET|INSTALL|UNINSTALL|CHANGE|STOP|IMPORT|CLONE|SAVEPOINT|RELEASE|IF|CASE|LOOP|REPEAT|WHILE|FOR|CALL|EXECUTE)\b/i;
// The first words of most statements, none of which is among those.
const PLAINLY = /^\s*(?:SELECT|INSERT|UPDATE|DELETE)\b/i;
const IMPATIENT = /\b(?:NOWAIT|WAIT\s+\d+)\b/i;

/** Why no statement of a doomed unit is sent. */
export function notSent({ reason, cause, transient, code = 'UNIT_DOOMED' }: Doom): TxboxError {
  return new TxboxError(code, `Not sent: the transaction cannot commit any more (${reason}), and a statement would commit by itself.`, {
    cause,
    retryable: transient === true,
  });
}

/** Why a doomed unit was rolled back. */
export function doomed({ reason, cause, transient, half, code = 'UNIT_DOOMED' }: Doom): TxboxError {
  const outcome = half
    ? 'What was done before that may be committed already, with or without its events; the rest was rolled back. Look at the data before doing it again.'
    : 'It was rolled back, events included.';
  return new TxboxError(code, `The transaction cannot commit: ${reason}. ${outcome}`, {
    cause,
    retryable: transient === true,
    details: { half: half === true },
  });
}

/** MySQL's flag of a session that is in a transaction, in every OK packet. */
export const SERVER_STATUS_IN_TRANS = 1;
/** MySQL's flag of a session with autocommit on. */
export const SERVER_STATUS_AUTOCOMMIT = 2;

/** What the text of a statement says about the transaction. */
export interface Judgement {
  /** The reason not to send it at all. */
  readonly doom?: Doom;
  /** Statements on savepoints, in their order. */
  readonly savepoints: readonly string[];
  /** It may do anything to the transaction, a stored procedure for example: only the server can tell. */
  readonly opaque: boolean;
  /** It is a text of several statements, of which an error tells nothing about the first ones. */
  readonly several: boolean;
}

/** A statement that says nothing about the transaction. */
export const PLAIN: Judgement = { savepoints: [], opaque: false, several: false };

/** Reads a statement before it is sent. `multiple`: the connection takes texts of several statements. */
export function judge(sql: string, dialect: Dialect, multiple: boolean): Judgement {
  const several = multiple && sql.includes(';');
  // Most texts end here, or below: long ones are not read to their end.
  if (!several && PLAINLY.test(sql)) return PLAIN;
  const conditional = CONDITIONAL.test(sql);
  if (!several && !conditional && !MATTERS.test(fromFirstWord(sql))) return PLAIN;
  const statements = several ? programs(statementsIn(sql, dialect)) : [statementsIn(sql, dialect).join('; ')];
  const mysql = dialect.name === 'mysql';
  for (const statement of statements) {
    if (CONTROL.test(statement) || (AUTOCOMMIT.test(statement) && AUTOCOMMIT.test(statement.replace(QUOTED, '')))) {
      return {
        ...PLAIN,
        doom: { reason: `the statement ${excerpt(statement)} would end or replace the transaction that the framework began` },
      };
    }
    if (mysql && IMPLICIT_COMMIT.test(statement)) {
      return {
        ...PLAIN,
        doom: { reason: `the statement ${excerpt(statement)} would commit the transaction half-way (it commits implicitly)` },
      };
    }
  }
  return {
    savepoints: statements.filter((statement) => SAVEPOINT.test(statement)),
    opaque: mysql && (conditional || statements.some((statement) => COMPOUND.test(statement) || OPAQUE.test(statement))),
    several: statements.length > 1,
  };
}

/** A compound statement has its own semicolons, so it reaches to the end. */
function programs(statements: readonly string[]): string[] {
  const first = statements.findIndex((statement) => COMPOUND.test(statement));
  return first < 0 ? [...statements] : [...statements.slice(0, first), statements.slice(first).join('; ')];
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
      return {
        kind: 'doomed',
        doom: { reason: 'the server rolled the transaction back because of a deadlock', cause: error, transient: true },
      };
    case 'connection-lost':
      return { kind: 'doomed', doom: { reason: 'the connection was lost, and the transaction with it', cause: error, transient: true } };
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
          transient: true,
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
  return { reason: `the statement ${excerpt(sql)} ended the transaction (an implicit commit)`, half: true };
}
