import { systemClock } from '../runtime/clock.ts';
import { isTxboxError, TxboxError } from '../runtime/error.ts';
import { backoffMs } from '../runtime/retry-policy.ts';
import { waitForConnection } from './connection-wait.ts';
import { currentUnit, heldAround, outsideUnit } from './current-transaction.ts';
import { type EventSink, eventSinkOf, type IdempotencyKey } from './event-sink.ts';
import { refuseWhatCannotJoin } from './joining.ts';
import type { Propagation, TransactionOptions } from './transaction.ts';
import { isOver, type TransactionResource, type UnitOfWork } from './unit-of-work.ts';

const RETRY_BACKOFF = { baseMs: 10, capMs: 1_000 };
/** What says no to a transaction, or to being part of one. */
const APART: ReadonlySet<Propagation> = new Set<Propagation>(['requires-new', 'not-supported']);

/** Options of a transaction, as the packages pass them on. */
export interface TransactionCall extends Omit<TransactionOptions, 'idempotencyKey'> {
  readonly idempotencyKey?: IdempotencyKey;
  /** Whose tables keep the idempotency keys. Default: the outbox of the resource. */
  readonly sink?: EventSink;
}

/**
 * Runs `fn` as the propagation says: in the open unit of the resource, in a savepoint of it, in a new one, or, with
 * `undefined`, in none. A new one is run again after a deadlock or lock time-out when `retry` asks for it (P-W4), and after
 * an unknown outcome when its idempotency key tells whether that committed (P-W5). Throws `ISOLATION_TOO_WEAK` or
 * `PROPAGATION_REFUSED` where the open unit cannot give what is asked for, and what `TransactionResource.run` throws.
 */
export function runTransaction<T>(
  resource: TransactionResource,
  call: TransactionCall,
  fn: (unit: UnitOfWork | undefined) => Promise<T>,
): Promise<T> {
  try {
    return decide(resource, call, fn);
  } catch (error) {
    return Promise.reject(error as Error);
  }
}

function decide<T>(resource: TransactionResource, call: TransactionCall, fn: (unit: UnitOfWork | undefined) => Promise<T>): Promise<T> {
  const { propagation = 'required' } = call;
  const around = currentUnit(resource.key);
  const open = around?.accepts ? around : undefined;
  if (around && !open && !isOver(around.state) && !APART.has(propagation)) {
    const what = around.state === 'open' ? 'a nested transaction that has ended' : `a transaction that is ${around.state}`;
    throw new TxboxError('UNIT_CLOSED', `A transaction was asked for in ${what}: await everything inside it.`);
  }
  const without = (): Promise<T> => outsideUnit(resource.key, () => fn(undefined));
  switch (propagation) {
    case 'required':
    case 'mandatory':
    case 'supports':
      if (open) return join(open, call, fn);
      if (propagation === 'required') break;
      if (propagation === 'supports') return without();
      throw new TxboxError(
        'PROPAGATION_REFUSED',
        "A transaction must be open around this call (propagation 'mandatory'), and none of this database is. Call it inside outbox.transaction(fn) or a @Transactional method.",
      );
    case 'nested':
      if (open) return open.nested(() => join(open, call, fn));
      break;
    case 'not-supported':
      return without();
    case 'never':
      if (!open) return without();
      throw new TxboxError(
        'PROPAGATION_REFUSED',
        "This call must not run inside a transaction (propagation 'never'), and one is open around it. Call it before or after, or step out with outbox.outside(fn).",
      );
    case 'requires-new':
      return begin(resource, call, fn);
  }
  if (!resource.ambientUnit?.()) return begin(resource, call, fn);
  throw new TxboxError(
    'PROPAGATION_REFUSED',
    'A transaction of another framework is open around this call, and one of its own would commit without it. ' +
      "Add events right there, begin it with that framework, or say that it stands alone: propagation 'requires-new'.",
  );
}

async function join<T>(open: UnitOfWork, call: TransactionCall, fn: (unit: UnitOfWork) => Promise<T>): Promise<T> {
  await refuseWhatCannotJoin(open, call);
  return await fn(open);
}

function begin<T>(resource: TransactionResource, call: TransactionCall, fn: (unit: UnitOfWork) => Promise<T>): Promise<T> {
  const usual = call.retry === undefined && call.idempotencyKey === undefined && heldAround(resource.key).length === 0;
  return usual ? resource.run(call, fn) : beginWithCare(resource, call, fn);
}

/** A transaction that may have to be run again, that is done once, or that is begun while the running code keeps a connection. */
async function beginWithCare<T>(resource: TransactionResource, call: TransactionCall, fn: (unit: UnitOfWork) => Promise<T>): Promise<T> {
  const { retry, idempotencyKey: key, sink } = call;
  const inside = (unit: UnitOfWork): Promise<T> =>
    key === undefined ? fn(unit) : (sink ?? eventSinkOf(unit)).once(unit, key, () => fn(unit));
  const maxAttempts = retry?.maxAttempts ?? 1;
  for (let attempt = 1; ; attempt += 1) {
    const connected = waitForConnection(resource);
    try {
      return await resource.run(
        call,
        (unit) => {
          connected();
          return inside(unit);
        },
        attempt,
      );
    } catch (error) {
      if (attempt >= maxAttempts || !mayRunAgain(resource, error, key !== undefined)) throw error;
    } finally {
      connected();
    }
    await systemClock.sleep(backoffMs(RETRY_BACKOFF, attempt));
  }
}

/** Only after an error that is known to have rolled everything back, or where the next run finds out. */
function mayRunAgain(resource: TransactionResource, error: unknown, idempotent: boolean): boolean {
  if (isTxboxError(error, 'OUTCOME_UNKNOWN')) return idempotent;
  // A part of it may be committed.
  if (isTxboxError(error) && error.details?.['half'] === true) return false;
  // Nothing was done yet when a transaction could not be begun: SQLite's writer was busy.
  const wrapped = isTxboxError(error, 'UNIT_DOOMED') || isTxboxError(error, 'DATABASE_UNAVAILABLE');
  const cause = wrapped ? error.cause : error;
  const kind = resource.dialect.classify(cause);
  return kind === 'deadlock' || kind === 'lock-timeout';
}
