import type { SqlSession } from '../sql/session.ts';
import type { Branch } from './branch.ts';
import type { Savepoints } from './savepoints.ts';
import type { UnitOfWork } from './unit-of-work.ts';

/** A connection in which one unit runs, as its resource hands it out. */
export interface UnitConnection {
  /** What users work with. */
  readonly handle: unknown;
  readonly session: SqlSession;
  /** Begins the transaction; it, `commit` and `rollback` run hooks of the client `insideHooks` of the unit. */
  begin(): Promise<unknown>;
  /** Resolves when the statements that were accepted before the end have been answered. */
  quiet(): Promise<void>;
  /**
   * Ends the transaction by COMMIT. Right before that statement is sent it calls `flush` of the unit and then
   * `committing`, and `committed` when it is answered; hooks of the client run before and after.
   */
  commit(): Promise<unknown>;
  /** Ends the transaction by ROLLBACK, after the statement in flight. Rejects when the connection must not be used again. */
  rollback(): Promise<unknown>;
  /**
   * Nobody waits any more for the statement in flight: it fails with `error`, and the connection is closed. Without one,
   * nothing happens.
   */
  interrupt(error: unknown): void;
  /** Gives the connection back; `broken` = its state is not known, so it must be closed. */
  release(broken: boolean): Promise<void>;
}

/** What a connection tells the unit that runs in it. */
export interface ConnectedUnit extends UnitOfWork {
  readonly savepoints: Savepoints;
  /** Nested transactions that have not ended. */
  readonly branches: Set<Branch>;
  /** Everything that must be in the transaction is sent (P-W2). Rejects when COMMIT must not follow. */
  flush(): Promise<void>;
  /** COMMIT is sent now. */
  committing(): void;
  /** COMMIT was answered: whatever happens from here on, the transaction is committed. */
  committed(): void;
}

/** Makes the connection of a unit, which it watches for doom. Rejects with what the driver says. */
export type Connect = (unit: ConnectedUnit) => Promise<UnitConnection>;
