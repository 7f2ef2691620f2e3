import { TxboxError } from '../runtime/error.ts';
import { heldAround } from './current-transaction.ts';
import type { TransactionResource, UnitOfWork } from './unit-of-work.ts';

/** The units whose connections each call keeps while it waits for one more, by resource. */
const waiting = new WeakMap<object, Set<readonly UnitOfWork[]>>();

/**
 * Notes that the running code waits for a connection; returns what ends that. Throws `PROPAGATION_REFUSED` where it would
 * wait for ever, because every connection there can be belongs to a unit that itself waits for one (P-W8).
 */
export function waitForConnection(resource: TransactionResource): () => void {
  const held = heldAround(resource.key);
  if (held.length === 0) return () => undefined;
  const others = waiting.get(resource.key) ?? new Set();
  waiting.set(resource.key, others);
  const kept = new Set([...held, ...[...others].flat()]);
  if (kept.size >= resource.maxConnections) {
    throw new TxboxError(
      'PROPAGATION_REFUSED',
      `A transaction of its own was asked for inside an open one, and ${connectionsOf(resource)}: it would wait for ever. ` +
        'Join the open one, do it after it (tx.afterCommit), or raise the connection limit to more than twice the transactions that do so at once.',
      { details: { maxConnections: resource.maxConnections } },
    );
  }
  others.add(held);
  return () => {
    others.delete(held);
  };
}

function connectionsOf({ dialect, maxConnections }: TransactionResource): string {
  if (dialect.name === 'sqlite') return 'a SQLite database has one connection, which the open one has';
  return `each of the ${maxConnections} connections belongs to a transaction that waits for such a one`;
}
