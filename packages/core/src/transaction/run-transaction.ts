import { systemClock } from '../runtime/clock.ts';
import { isTxboxError, TxboxError } from '../runtime/error.ts';
import { backoffMs } from '../runtime/retry-policy.ts';
import { currentUnit } from './current-transaction.ts';
import type { IsolationLevel, TransactionOptions } from './transaction.ts';
import { isOver, type TransactionResource, type UnitOfWork } from './unit-of-work.ts';

const STRENGTH: Readonly<Record<IsolationLevel, number>> = {
  'READ UNCOMMITTED': 0,
  'READ COMMITTED': 1,
  'REPEATABLE READ': 2,
  SERIALIZABLE: 3,
};
const RETRY_BACKOFF = { baseMs: 10, capMs: 1_000 };

/**
 * Runs `fn` in the open unit of the resource, or in a new one when there is none. A new one is run again after a
 * deadlock or lock time-out when `retry` asks for it (P-W4). Throws `ISOLATION_TOO_WEAK` or `PROPAGATION_REFUSED` where
 * the open unit cannot give what is asked for, and what `TransactionResource.run` throws.
 */
export async function runTransaction<T>(
  resource: TransactionResource,
  options: TransactionOptions,
  fn: (unit: UnitOfWork) => Promise<T>,
): Promise<T> {
  const open = currentUnit(resource.key);
  if (open?.accepts) {
    await refuseWhatCannotJoin(open, options);
    return await fn(open);
  }
  if (open && !isOver(open.state)) {
    throw new TxboxError('UNIT_CLOSED', `A transaction was asked for while the surrounding one is ${open.state}.`);
  }
  const maxAttempts = options.retry?.maxAttempts ?? 1;
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await resource.run(options, fn, attempt);
    } catch (error) {
      if (attempt >= maxAttempts || !mayRunAgain(resource, error)) throw error;
      await systemClock.sleep(backoffMs(RETRY_BACKOFF, attempt));
    }
  }
}

async function refuseWhatCannotJoin(open: UnitOfWork, options: TransactionOptions): Promise<void> {
  const { isolationLevel: asked } = options;
  const has = asked === undefined ? undefined : (open.isolationLevel ?? (await levelOfSession(open)));
  if (asked !== undefined && has !== undefined && STRENGTH[asked] > STRENGTH[has]) {
    throw new TxboxError(
      'ISOLATION_TOO_WEAK',
      `${asked} was asked for inside an open transaction at ${has}. Ask for it where the transaction begins.`,
      { details: { asked, open: has } },
    );
  }
  if (options.retry !== undefined) {
    throw new TxboxError(
      'PROPAGATION_REFUSED',
      'retry was asked for inside an open transaction, of which only the whole can be run again. Ask for it where the transaction begins.',
    );
  }
}

/** What a unit has that was begun without a level of its own: the server's or somebody's default. */
async function levelOfSession({ session }: UnitOfWork): Promise<IsolationLevel> {
  // On SQLite every transaction is serializable; what is written there must run on MySQL too.
  if (session.dialect.name === 'sqlite') return 'REPEATABLE READ';
  // Servers have the variable under one name or the other.
  const [row] = await session.query("SHOW VARIABLES WHERE Variable_name IN ('transaction_isolation', 'tx_isolation')");
  const level = String(row?.[1]).replaceAll('-', ' ');
  return level in STRENGTH ? (level as IsolationLevel) : 'REPEATABLE READ';
}

/** Only after an error that is known to have rolled everything back. */
function mayRunAgain(resource: TransactionResource, error: unknown): boolean {
  // Nothing was done yet when a transaction could not be begun: SQLite's writer was busy.
  const wrapped = isTxboxError(error, 'UNIT_DOOMED') || isTxboxError(error, 'DATABASE_UNAVAILABLE');
  const cause = wrapped ? error.cause : error;
  const kind = resource.dialect.classify(cause);
  return kind === 'deadlock' || kind === 'lock-timeout';
}
