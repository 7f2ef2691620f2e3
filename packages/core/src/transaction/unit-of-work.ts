import type { Dialect } from '../sql/dialect.ts';
import type { SqlSession } from '../sql/session.ts';
import type { IsolationLevel, TransactionOptions } from './transaction.ts';

/**
 * States of a unit and what moves between them:
 *
 * ```
 * open ── fn returned ──► flushing ── statements sent ──► committing ── COMMIT answered ──► committed
 *   │                        │                                 └────── no answer ─────────► unknown
 *   └── fn threw, doomed ────┴──────────────────────────────────────────────────────────► rolled-back
 * ```
 *
 * Events may be added in `open` only (P-W1).
 */
export type UnitState = 'open' | 'flushing' | 'committing' | 'committed' | 'rolled-back' | 'unknown';

/** Why a unit may not commit any more (P-W3). */
export interface Doom {
  /** One sentence: what happened on the connection. */
  readonly reason: string;
  readonly cause?: unknown;
}

/** One local transaction, as the framework's own packages see it. */
export interface UnitOfWork {
  readonly resource: TransactionResource;
  readonly state: UnitState;
  readonly attempt: number;
  readonly signal: AbortSignal;
  readonly isolationLevel: IsolationLevel | undefined;
  /** What users work with: TypeORM's EntityManager, a mysql2 connection, a better-sqlite3 database. */
  readonly handle: unknown;
  /** Statements on the unit's own connection, watched for doom like the user's. */
  readonly session: SqlSession;
  readonly doom: Doom | undefined;
  /** Forbids COMMIT; the first reason stands. */
  doomWith(doom: Doom): void;
  /** Runs in `flushing`, in order of registration, before COMMIT; a throw rolls the unit back. */
  beforeCommit(callback: () => Promise<void>): void;
  /** Runs after COMMIT succeeded; never awaited by it, never fails it. */
  afterCommit(callback: () => void | Promise<void>): void;
}

/**
 * A DataSource, pool or database file in which units can be opened. Exactly one per `key`, shared by outbox and inbox:
 * a `@Transactional` service called from a handler joins the handler's transaction.
 */
export interface TransactionResource {
  /** The user's own object (DataSource, Pool, Database): identity of the resource. */
  readonly key: object;
  readonly kind: 'typeorm' | 'mysql2' | 'sqlite' | 'memory';
  readonly dialect: Dialect;
  /**
   * Runs `fn` in a new transaction, made current for everything it awaits, then flushes, checks doom and commits.
   * `attempt` (default 1) is what the unit reports. Joining an open unit is the caller's decision (see `runTransaction`). Rejects with what `fn` threw, `UNIT_DOOMED`,
   * `OUTCOME_UNKNOWN` (P-W5) or `DATABASE_UNAVAILABLE`.
   */
  run<T>(options: TransactionOptions, fn: (unit: UnitOfWork) => Promise<T>, attempt?: number): Promise<T>;
  /** Runs statements on a connection outside of any unit, each in its own transaction. Rejects with what the driver says. */
  withSession<T>(fn: (session: SqlSession) => Promise<T>): Promise<T>;
}
