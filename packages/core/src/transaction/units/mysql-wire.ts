import { TxboxError } from '../../runtime/error.ts';
import type { Dialect } from '../../sql/dialect.ts';
import type { SqlResult, SqlRow, SqlSession, SqlValue } from '../../sql/session.ts';
import { SERVER_STATUS_AUTOCOMMIT, SERVER_STATUS_IN_TRANS } from '../doom.ts';

/** One of mysql2's commands: Query, Prepare, Execute, Ping, … */
export interface WireCommand {
  readonly sql?: string;
  /** The text of a Prepare. */
  readonly query?: string;
  readonly statement?: { readonly query?: string };
  onResult?: ((error: unknown, ...rest: unknown[]) => void) | undefined;
  stream?(...args: unknown[]): { readonly destroyed: boolean; destroy(): void };
  on(event: string | symbol, listener: (value: unknown) => void): unknown;
  once(event: string | symbol, listener: (value: unknown) => void): unknown;
  emit(event: string, ...values: unknown[]): boolean;
  listenerCount(event: string): number;
  removeAllListeners(event: string): unknown;
}

/** mysql2's connection in its callback flavour, as far as units need it. */
export interface WireConnection {
  /** Every command of a connection goes through here, one after another. */
  addCommand(command: WireCommand): unknown;
  query(options: object | string, callback: (error: unknown, results: unknown) => void): unknown;
  on(event: 'error', listener: (error: unknown) => void): unknown;
  off(event: 'error', listener: (error: unknown) => void): unknown;
  resume(): void;
  release?(): void;
  destroy(): void;
  readonly config?: { readonly multipleStatements?: boolean };
}

interface Field {
  readonly type: string;
  string(): string | null;
}

// SqlRow's contract whatever the user's pool is set to: times as text, integers as numbers as far as they are safe.
function typeCast(field: Field, next: () => unknown): unknown {
  switch (field.type) {
    case 'LONGLONG': {
      const text = field.string();
      const value = Number(text);
      return text === null || !Number.isSafeInteger(value) ? text : value;
    }
    case 'DATE':
    case 'NEWDATE':
    case 'DATETIME':
    case 'TIMESTAMP':
    case 'DECIMAL':
    case 'NEWDECIMAL':
      return field.string();
    default:
      return next();
  }
}

/** Text that every charset writes alike, and that no sql_mode reads otherwise. */
const PLAIN_TEXT = /^[\w .:/-]*$/;

/**
 * Text as the digits of its UTF-8: whatever charset the user's connection has (latin1 makes question marks of what it has
 * not, utf8mb3 cuts off), and whatever its sql_mode makes of a backslash (`NO_BACKSLASH_ESCAPES`).
 */
function portable(value: SqlValue): unknown {
  if (typeof value !== 'string' || PLAIN_TEXT.test(value)) return value;
  const literal = `_utf8mb4 X'${Buffer.from(value, 'utf8').toString('hex')}'`;
  return { toSqlString: () => literal };
}

/** Sends one statement and resolves to mysql2's results. */
export function send(connection: Pick<WireConnection, 'query'>, sql: string, values: readonly SqlValue[] = []): Promise<unknown> {
  const options = { sql, values: values.map(portable), rowsAsArray: true, nestTables: false, namedPlaceholders: false, typeCast };
  return new Promise((resolve, reject) => {
    connection.query(options, (error, results) => (error ? reject(error) : resolve(results)));
  });
}

/** Sends a statement that begins or ends a transaction. */
export function sendControl(connection: Pick<WireConnection, 'query'>, sql: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    connection.query(sql, (error, results) => (error ? reject(error) : resolve(results)));
  });
}

/** The framework's statements on a mysql2 connection. */
export function mysqlSession(dialect: Dialect, run: (sql: string, values: readonly SqlValue[]) => Promise<unknown>): SqlSession {
  return {
    dialect,
    query: async (sql, values = []) => (await run(sql, values)) as SqlRow[],
    execute: async (sql, values = []) => {
      const { affectedRows } = (await run(sql, values)) as SqlResult;
      return { affectedRows: Number(affectedRows) };
    },
  };
}

/** The framework's statements on a connection without a unit. */
export function plainMysqlSession(connection: WireConnection, dialect: Dialect): SqlSession {
  return mysqlSession(dialect, (sql, values) => send(connection, sql, values));
}

/** The flags of an OK packet, or `undefined` for rows. */
export function statusOf(result: unknown): number | undefined {
  if (typeof result !== 'object' || result === null || Array.isArray(result)) return undefined;
  const { serverStatus } = result as { serverStatus?: unknown };
  // A user's row may have a column of that name, but not these two beside it.
  return typeof serverStatus === 'number' && 'warningStatus' in result && 'affectedRows' in result ? serverStatus : undefined;
}

/** The answer to START TRANSACTION shows the session's state; a session without autocommit is refused (P-W3). */
export function refuseAutocommitOff(serverStatus: number | undefined): void {
  if (serverStatus === undefined || (serverStatus & SERVER_STATUS_AUTOCOMMIT) !== 0) return;
  if ((serverStatus & SERVER_STATUS_IN_TRANS) === 0) return;
  throw new TxboxError(
    'AUTOCOMMIT_OFF',
    'This session has autocommit=0, so statements after COMMIT would open transactions nobody ends. Remove SET autocommit=0 or init_connect from the connection.',
  );
}
