import { systemClock } from '../runtime/clock.ts';
import { isTxboxError, TxboxError } from '../runtime/error.ts';
import { backoffMs } from '../runtime/retry-policy.ts';
import { currentUnit } from './current-transaction.ts';
import type { IsolationLevel, TransactionOptions } from './transaction.ts';
import type { TransactionResource, UnitOfWork } from './unit-of-work.ts';

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
  if (open?.state === 'open') {
    refuseWhatCannotJoin(open, options);
    return await fn(open);
  }
  if (open?.state === 'flushing' || open?.state === 'committing') {
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

function refuseWhatCannotJoin(open: UnitOfWork, options: TransactionOptions): void {
  // Without a level of its own a unit has the server's default, REPEATABLE READ unless somebody changed it.
  const has = open.isolationLevel ?? 'REPEATABLE READ';
  if (options.isolationLevel !== undefined && STRENGTH[options.isolationLevel] > STRENGTH[has]) {
    throw new TxboxError(
      'ISOLATION_TOO_WEAK',
      `${options.isolationLevel} was asked for inside an open transaction at ${has}. Ask for it where the transaction begins.`,
      { details: { asked: options.isolationLevel, open: has } },
    );
  }
  if (options.retry !== undefined) {
    throw new TxboxError(
      'PROPAGATION_REFUSED',
      'retry was asked for inside an open transaction, of which only the whole can be run again. Ask for it where the transaction begins.',
    );
  }
}

/** Only after an error that is known to have rolled everything back. */
function mayRunAgain(resource: TransactionResource, error: unknown): boolean {
  const cause = isTxboxError(error, 'UNIT_DOOMED') ? error.cause : error;
  const kind = resource.dialect.classify(cause);
  return kind === 'deadlock' || kind === 'lock-timeout';
}
