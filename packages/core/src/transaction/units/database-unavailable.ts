import { TxboxError } from '../../runtime/error.ts';
import type { TransactionResource } from '../unit-of-work.ts';

const PLACES: Readonly<Record<TransactionResource['kind'], string>> = {
  typeorm: 'of the DataSource',
  mysql2: 'of the mysql2 pool',
  sqlite: 'of the better-sqlite3 database',
  memory: 'of the memory store',
};

/** `DATABASE_UNAVAILABLE`, before anything was done. `what`: what could not be had. */
export function databaseUnavailable(what: string, kind: TransactionResource['kind'], cause: unknown): TxboxError {
  const reason = (cause instanceof Error ? cause.message : String(cause)).replace(/\.$/, '');
  return new TxboxError('DATABASE_UNAVAILABLE', `${what} ${PLACES[kind]}: ${reason}. Nothing was done.`, { cause });
}

/** A connection for work outside of any unit. Rejects with `DATABASE_UNAVAILABLE`. */
export async function connected<T>(kind: TransactionResource['kind'], connect: () => Promise<T>): Promise<T> {
  try {
    return await connect();
  } catch (cause) {
    if (cause instanceof TxboxError) throw cause;
    throw databaseUnavailable('No connection could be had', kind, cause);
  }
}
