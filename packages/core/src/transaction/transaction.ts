import type { EventDefinition, PayloadInputOf } from '../contract/event.ts';
import type { AddOptions } from '../contract/message.ts';
import type { MessageId } from '../contract/message-id.ts';

/** Standard isolation levels, weakest first. */
export type IsolationLevel = 'READ UNCOMMITTED' | 'READ COMMITTED' | 'REPEATABLE READ' | 'SERIALIZABLE';

/** What the user's function gets: the open transaction. Flavours add `manager`, `connection` or `database`. */
export interface Transaction {
  /**
   * Buffers an event; it is inserted as the last thing before COMMIT and vanishes with a rollback. Synchronous: a bad
   * payload throws here, in the caller's stack.
   */
  add<E extends EventDefinition>(event: E, payload: PayloadInputOf<E>, options?: AddOptions): MessageId;
  /** Runs after COMMIT is known to have succeeded; what it throws goes to the logger, never to the caller. */
  afterCommit(callback: () => void | Promise<void>): void;
  /** 1 for the first run of the function, higher when it is retried. */
  readonly attempt: number;
  /** Aborted when the transaction can no longer commit: doomed, timed out, or over. */
  readonly signal: AbortSignal;
}

/** How a transaction is run. */
export interface TransactionOptions {
  /** Default: the connection's own. A stricter level than that of the open unit is refused (`ISOLATION_TOO_WEAK`). */
  readonly isolationLevel?: IsolationLevel;
  /** Runs the whole function again after a deadlock or lock time-out (P-W4). Default: once. */
  readonly retry?: { readonly maxAttempts: number };
}
