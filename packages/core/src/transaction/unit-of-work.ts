import type { ErrorCode } from '../runtime/error-codes.ts';
import type { Dialect } from '../sql/dialect.ts';
import type { SqlSession } from '../sql/session.ts';
import type { IsolationLevel, TransactionOptions } from './transaction.ts';

/**
 * States of a unit and what moves between them:
 *
 * ```
 * beginning ─► open ── fn returned ──► closing ── COMMIT is due ──► flushing ── events inserted ──► committing
 *    │          │                         │                            │                                │
 *    │          └── fn threw ──► rolling-back ◄─ doomed, hook threw ───┴── refused by the server ◄──────┤
 *    └──────────────────────────────► rolled-back                       committed ◄── answered ──────────┤
 *                                                                       unknown ◄──── no answer ─────────┘
 * ```
 *
 * Users' statements are sent in `open` only; in `closing` those that were accepted before are waited for, and TypeORM's
 * hooks run. Events may be added in `open`, and by hooks in `closing` (P-W1).
 */
export type UnitState =
  | 'beginning'
  | 'open'
  | 'closing'
  | 'flushing'
  | 'committing'
  | 'committed'
  | 'rolling-back'
  | 'rolled-back'
  | 'unknown';

/** Whether a unit in that state has ended for good. */
export function isOver(state: UnitState): boolean {
  return state === 'committed' || state === 'rolled-back' || state === 'unknown';
}

/** Why a unit may not commit any more (P-W3). */
export interface Doom {
  /** One sentence: what happened on the connection. */
  readonly reason: string;
  readonly cause?: unknown;
  /** The same call may succeed later. */
  readonly transient?: boolean;
  /** What was done before may be committed already, with or without its events. */
  readonly half?: boolean;
  /** Default `UNIT_DOOMED`. */
  readonly code?: ErrorCode;
}

/** One local transaction, as the framework's own packages see it. */
export interface UnitOfWork {
  readonly resource: TransactionResource;
  readonly state: UnitState;
  /** Whether the running code may still take part: the unit is open, and the nested transaction it is in; or the code is a hook of TypeORM before COMMIT. */
  readonly accepts: boolean;
  readonly attempt: number;
  readonly signal: AbortSignal;
  /** As asked for by the unit or its DataSource; `undefined` = the server's own. */
  readonly isolationLevel: IsolationLevel | undefined;
  /** Nothing may be written. */
  readonly readOnly: boolean;
  /** What users work with: TypeORM's EntityManager, a mysql2 connection, a better-sqlite3 database. */
  readonly handle: unknown;
  /** Statements on the unit's own connection, watched for doom like the user's. */
  readonly session: SqlSession;
  readonly doom: Doom | undefined;
  /** What the framework's packages keep of the unit, by who keeps it; it goes with the unit. */
  readonly kept: Map<object, unknown>;
  /** Forbids COMMIT; the first reason stands. From then on no statement is sent but ROLLBACK. */
  doomWith(doom: Doom): void;
  /**
   * Runs `fn` in a savepoint (P-W8): what it did, events included, is undone when it throws. Nested ones of the same parent
   * run one after another. Dooms the unit when undoing would undo the work of others, who ran beside it.
   */
  nested<T>(fn: () => Promise<T>): Promise<T>;
  /** Runs in `flushing`, in order of registration, right before COMMIT is sent; a throw rolls the unit back. */
  beforeCommit(callback: () => Promise<void>): void;
  /** Runs after COMMIT succeeded; never awaited by it, never fails it. Vanishes with the savepoint it was registered in. */
  afterCommit(callback: () => void | Promise<void>): void;
  /** `save` is called at each savepoint; what it returns is called when the unit rolls back to that savepoint (P-W8). */
  onSavepoint(save: () => () => void): void;
  /** Something was added that a rollback to a savepoint undoes. */
  noteWork(): void;
}

/** How one unit is run. */
export type UnitOptions = Pick<TransactionOptions, 'isolationLevel' | 'timeoutMs' | 'readOnly'>;

/**
 * A DataSource, pool or database file in which units can be opened. Exactly one per `key`, shared by outbox and inbox:
 * a `@Transactional` service called from a handler joins the handler's transaction.
 */
export interface TransactionResource {
  /** The user's own object (DataSource, Pool, Database): identity of the resource. */
  readonly key: object;
  readonly kind: 'typeorm' | 'mysql2' | 'sqlite' | 'memory';
  readonly dialect: Dialect;
  /** How many connections there can be at once. */
  readonly maxConnections: number;
  /**
   * Runs `fn` in a new transaction, made current for everything it awaits, then flushes, checks doom and commits.
   * `attempt` (default 1) is what the unit reports. Joining an open unit is the caller's decision (see `runTransaction`).
   * Rejects with what `fn` threw, `UNIT_DOOMED`, `UNIT_TIMED_OUT`, `OUTCOME_UNKNOWN` (P-W5) or `DATABASE_UNAVAILABLE`.
   */
  run<T>(options: UnitOptions, fn: (unit: UnitOfWork) => Promise<T>, attempt?: number): Promise<T>;
  /**
   * The unit of another framework's transaction that the running code is in; events may be added to it, nothing else.
   * Throws `WRONG_DATA_SOURCE` when that is of another database.
   */
  ambientUnit?(): UnitOfWork | undefined;
  /** Runs statements on a connection outside of any unit, each in its own transaction. Rejects with what the driver says. */
  withSession<T>(fn: (session: SqlSession) => Promise<T>): Promise<T>;
}
