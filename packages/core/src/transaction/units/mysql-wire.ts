import { TxboxError } from '../../runtime/error.ts';
import type { Dialect } from '../../sql/dialect.ts';
import type { SqlResult, SqlRow, SqlSession, SqlValue } from '../../sql/session.ts';
import { SERVER_STATUS_AUTOCOMMIT, SERVER_STATUS_IN_TRANS } from '../doom.ts';
import type { StatementGate } from './statement-watch.ts';

/** mysql2's connection in its callback flavour, as far as units need it. */
export interface CallbackConnection {
  query(options: { sql: string; values?: unknown[]; rowsAsArray?: boolean }, callback: (error: unknown, results: unknown) => void): unknown;
}

/** Sends one statement and resolves to mysql2's results. */
export function sendUnwatched(
  connection: CallbackConnection,
  sql: string,
  values: readonly SqlValue[] = [],
  rowsAsArray = false,
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    connection.query({ sql, values: [...values], rowsAsArray }, (error, results) => (error ? reject(error) : resolve(results)));
  });
}

/** The framework's statements on a mysql2 connection. */
export function mysqlWireSession(connection: CallbackConnection, gate: StatementGate, dialect: Dialect): SqlSession {
  const send = (sql: string, values: readonly SqlValue[], rowsAsArray: boolean): Promise<unknown> =>
    gate.run(
      sql,
      () => sendUnwatched(connection, sql, values, rowsAsArray),
      (results) => results,
    );
  return {
    dialect,
    query: async (sql, values = []) => (await send(sql, values, true)) as SqlRow[],
    execute: async (sql, values = []) => (await send(sql, values, false)) as SqlResult,
  };
}

/** The answer to START TRANSACTION shows the session's state; a session without autocommit is refused (P-W3). */
export function refuseAutocommitOff(results: unknown): void {
  const status = (results as { serverStatus?: number }).serverStatus;
  if (status === undefined || (status & SERVER_STATUS_AUTOCOMMIT) !== 0 || (status & SERVER_STATUS_IN_TRANS) === 0) return;
  throw new TxboxError(
    'AUTOCOMMIT_OFF',
    'This session has autocommit=0, so statements after COMMIT would open transactions nobody ends. Remove SET autocommit=0 or init_connect from the connection.',
  );
}
