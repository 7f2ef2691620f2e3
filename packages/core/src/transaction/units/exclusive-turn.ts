import { TxboxError } from '../../runtime/error.ts';
import { heldAround } from '../current-transaction.ts';
import type { Mutex } from './mutex.ts';

/**
 * Waits for the one connection of a SQLite database. Throws `QUERY_OUTSIDE_UNIT` where that would be for ever: the running
 * code is inside the unit that has the connection, and has stepped outside of it.
 */
export async function exclusiveTurn(mutex: Mutex, key: object): Promise<() => void> {
  refuseWaitingForItself(key);
  return await mutex.take();
}

/** Throws `QUERY_OUTSIDE_UNIT` inside a unit that is not over, and in its hooks. */
function refuseWaitingForItself(key: object): void {
  if (heldAround(key).length === 0) return;
  throw new TxboxError(
    'QUERY_OUTSIDE_UNIT',
    'A SQLite database has one connection, and the open transaction around this call has it: there is no outside to step to. ' +
      'Do it in the transaction, after it (tx.afterCommit), or through a connection of its own.',
  );
}
