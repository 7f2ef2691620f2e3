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

/** How a call stands to the transaction that is open around it. */
export type Propagation =
  | 'required' // joins the open one, else begins one (default)
  | 'requires-new' // begins one of its own on another connection; the open one waits
  | 'nested' // a savepoint in the open one, with its events; else begins one
  | 'mandatory' // joins the open one, else throws PROPAGATION_REFUSED
  | 'supports' // joins the open one, else runs without
  | 'not-supported' // runs without, outside of the open one
  | 'never'; // runs without, and throws PROPAGATION_REFUSED inside an open one

/** How a transaction is run. */
export interface TransactionOptions {
  /** Default: the connection's own. A stricter level than that of the open unit is refused (`ISOLATION_TOO_WEAK`). */
  readonly isolationLevel?: IsolationLevel;
  /** Default `required`. */
  readonly propagation?: Propagation;
  /** Runs the whole function again after a deadlock or lock time-out (P-W4). Default: once. */
  readonly retry?: { readonly maxAttempts: number };
  /**
   * How long one run may take, from asking for the connection to the answer to COMMIT, milliseconds. After it `signal` aborts,
   * the transaction is rolled back, and the call rejects with `UNIT_TIMED_OUT`, or `OUTCOME_UNKNOWN` when COMMIT had been sent.
   * What the function still does is refused. Default: no bound.
   */
  readonly timeoutMs?: number;
  /** Begins the transaction READ ONLY: the server refuses writes, and `add` throws `UNIT_READ_ONLY`. Default false. */
  readonly readOnly?: boolean;
  /**
   * 1 to 255 bytes that name what the call does, once and for all. When a transaction with that key has committed, the
   * function is not run again: the call returns the result stored then, or rejects with `ALREADY_COMMITTED` (P-W5).
   */
  readonly idempotencyKey?: string;
}
