import { isTxboxError, TxboxError } from '../runtime/error.ts';
import type { Logger } from '../runtime/logger.ts';
import type { SqlSession } from '../sql/session.ts';
import { driverErrorOf } from '../sql/sql-error.ts';
import { inHooksOf, insideHooks, insideUnit, outsideUnit } from './current-transaction.ts';
import { Savepoints } from './savepoints.ts';
import type { IsolationLevel } from './transaction.ts';
import { type Doom, isOver, type TransactionResource, type UnitOfWork, type UnitState } from './unit-of-work.ts';
import { databaseUnavailable } from './units/database-unavailable.ts';

/** A connection in which one unit runs, as its resource hands it out. */
export interface UnitConnection {
  /** What users work with. */
  readonly handle: unknown;
  readonly session: SqlSession;
  begin(): Promise<void>;
  /** Resolves when the statements that were accepted before the end have been answered. */
  quiet(): Promise<void>;
  /**
   * Ends the transaction by COMMIT. Right before that statement is sent it calls `flush` of the unit and then
   * `committing`, and `committed` when it is answered; hooks of the client run before and after.
   */
  commit(): Promise<void>;
  /** Ends the transaction by ROLLBACK, after the statement in flight. Rejects when the connection must not be used again. */
  rollback(): Promise<void>;
  /** Gives the connection back; `broken` = its state is not known, so it must be closed. */
  release(broken: boolean): Promise<void>;
}

/** What a connection tells the unit that runs in it. */
export interface ConnectedUnit extends UnitOfWork {
  readonly savepoints: Savepoints;
  /** Everything that must be in the transaction is sent (P-W2). Rejects when COMMIT must not follow. */
  flush(): Promise<void>;
  /** COMMIT is sent now. */
  committing(): void;
  /** COMMIT was answered: whatever happens from here on, the transaction is committed. */
  committed(): void;
}

/** Makes the connection of a unit, which it watches for doom. Rejects with what the driver says. */
export type Connect = (unit: ConnectedUnit) => Promise<UnitConnection>;

/** What {@link runUnit} needs. */
export interface UnitPlan {
  readonly resource: TransactionResource;
  readonly connect: Connect;
  readonly isolationLevel: IsolationLevel | undefined;
  readonly attempt: number;
  readonly logger: Logger;
}

/** Runs `fn` in a unit of its own: begin, `fn`, flush, COMMIT, and what comes after it. */
export async function runUnit<T>(plan: UnitPlan, fn: (unit: UnitOfWork) => Promise<T>): Promise<T> {
  const unit = new OpenUnit(plan);
  const connection = await unit.begin();
  let result: T;
  try {
    result = await insideUnit(unit, async () => await fn(unit));
  } catch (error) {
    await unit.rollBack(connection);
    throw error;
  }
  await unit.commit(connection);
  return result;
}

class OpenUnit implements ConnectedUnit {
  readonly resource: TransactionResource;
  readonly attempt: number;
  readonly isolationLevel: IsolationLevel | undefined;
  readonly savepoints: Savepoints = new Savepoints();
  readonly #plan: UnitPlan;
  readonly #abort = new AbortController();
  readonly #beforeCommit: (() => Promise<void>)[] = [];
  readonly #afterCommit: (() => void | Promise<void>)[] = [];
  #state: UnitState = 'beginning';
  #doom: Doom | undefined;
  #flushFailure: unknown;
  #connection: UnitConnection | undefined;

  constructor(plan: UnitPlan) {
    this.#plan = plan;
    this.resource = plan.resource;
    this.attempt = plan.attempt;
    this.isolationLevel = plan.isolationLevel;
    this.onSavepoint(() => {
      const { length } = this.#afterCommit;
      return () => void this.#afterCommit.splice(length);
    });
  }

  get state(): UnitState {
    return this.#state;
  }

  get accepts(): boolean {
    return this.#state === 'open' || (this.#state === 'closing' && inHooksOf(this));
  }

  get doom(): Doom | undefined {
    return this.#doom;
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  get handle(): unknown {
    return this.#connection?.handle;
  }

  get session(): SqlSession {
    if (this.#connection) return this.#connection.session;
    throw new TxboxError('UNIT_CLOSED', 'The transaction has not begun.');
  }

  doomWith(doom: Doom): void {
    if (isOver(this.#state) || this.#state === 'committing' || this.#state === 'rolling-back') return;
    this.#doom ??= doom;
    this.#abort.abort(this.#doomed());
  }

  beforeCommit(callback: () => Promise<void>): void {
    this.#beforeCommit.push(callback);
  }

  afterCommit(callback: () => void | Promise<void>): void {
    // What is flushed may ask for it too.
    if (!this.accepts && this.#state !== 'flushing')
      throw new TxboxError('UNIT_CLOSED', `afterCommit was called in a transaction that is ${this.#state}.`);
    this.#afterCommit.push(callback);
  }

  onSavepoint(save: () => () => void): void {
    this.savepoints.register(save);
  }

  async begin(): Promise<UnitConnection> {
    const { resource, connect } = this.#plan;
    let connection: UnitConnection | undefined;
    try {
      connection = await connect(this);
      const begun = connection;
      this.#connection = begun;
      await insideHooks(this, () => begun.begin());
      this.#state = 'open';
      return begun;
    } catch (cause) {
      await this.#release(connection, true);
      this.#end('rolled-back');
      const txbox = txboxErrorIn(cause);
      if (txbox) throw txbox;
      throw databaseUnavailable('No transaction could be begun on a connection', resource.kind, cause);
    }
  }

  async flush(): Promise<void> {
    try {
      this.#refuseDoomed();
      this.#state = 'flushing';
      for (const callback of this.#beforeCommit) {
        await callback();
        // P-W3: looked at before each statement is sent, and after the last.
        this.#refuseDoomed();
      }
    } catch (error) {
      // On its way through the client it would be wrapped.
      this.#flushFailure = error;
      throw error;
    }
  }

  committing(): void {
    this.#state = 'committing';
  }

  committed(): void {
    this.#state = 'committed';
  }

  async commit(connection: UnitConnection): Promise<void> {
    this.#state = 'closing';
    const failure = await failureOf(async () => {
      await connection.quiet();
      this.#refuseDoomed();
      await insideHooks(this, () => connection.commit());
    });
    switch (this.state) {
      case 'committed':
        if (failure) this.#plan.logger.error({ err: failure.error }, 'a hook after COMMIT failed; the transaction is committed');
        await this.#release(connection, false);
        this.#end('committed');
        this.#runAfterCommit();
        return;
      case 'committing':
        if (failure && this.#isKnownRollback(connection, failure.error)) break;
        await this.#release(connection, true);
        this.#end('unknown');
        // P-W5: nobody answered, or not clearly, so nobody knows.
        throw new TxboxError(
          'OUTCOME_UNKNOWN',
          `COMMIT was sent and not answered (${failure?.error instanceof Error ? failure.error.message : String(failure?.error)}): ` +
            'the transaction, events included, is either committed as a whole or not at all. Look at the data before doing it again.',
          { cause: failure?.error },
        );
      default:
        break;
    }
    if (!failure) {
      this.doomWith({
        reason: 'a nested transaction was still open at the end: await dataSource.transaction() and end every startTransaction()',
      });
    }
    await this.rollBack(connection);
    throw this.#flushFailure ?? (failure ? (txboxErrorIn(failure.error) ?? failure.error) : this.#doomed());
  }

  async rollBack(connection: UnitConnection): Promise<void> {
    // From here on users' statements are refused; one sent after ROLLBACK would commit by itself.
    this.#state = 'rolling-back';
    const failure = await failureOf(() => insideHooks(this, () => connection.rollback()));
    // The session ends with the connection, and the transaction with the session.
    await this.#release(connection, failure !== undefined);
    this.#end('rolled-back');
  }

  #isKnownRollback(connection: UnitConnection, error: unknown): boolean {
    const kind = connection.session.dialect.classify(error);
    if (kind === 'deadlock' || kind === 'lock-timeout' || kind === 'read-only') return true;
    // MySQL's group replication: the transaction was refused by the group (ER_TRANSACTION_ROLLBACK_DURING_COMMIT).
    if (connection.session.dialect.name === 'mysql') return driverErrorOf(error).errno === 3101;
    // SQLite answers in this process; only a disk error leaves its answer open.
    return !driverErrorOf(error).code.startsWith('SQLITE_IOERR');
  }

  async #release(connection: UnitConnection | undefined, broken: boolean): Promise<void> {
    try {
      await connection?.release(broken);
    } catch (error) {
      this.#plan.logger.warn({ err: error }, 'a connection could not be released');
    }
  }

  #end(state: UnitState): void {
    this.#state = state;
    if (!this.#abort.signal.aborted) this.#abort.abort(new TxboxError('UNIT_CLOSED', `The transaction is over (${state}).`));
  }

  #runAfterCommit(): void {
    for (const callback of this.#afterCommit) {
      const failed = (error: unknown): void =>
        this.#plan.logger.error({ err: error }, 'an afterCommit callback failed; the transaction is committed');
      try {
        const outcome = outsideUnit(this.resource.key, callback);
        if (outcome instanceof Promise) outcome.catch(failed);
      } catch (error) {
        failed(error);
      }
    }
  }

  #refuseDoomed(): void {
    if (this.#doom) throw this.#doomed();
  }

  #doomed(): TxboxError {
    const { reason, cause, transient, half } = this.#doom ?? ({ reason: 'unknown' } satisfies Doom as Doom);
    const outcome = half
      ? 'What was done before that may be committed already, with or without its events; the rest was rolled back. Look at the data before doing it again.'
      : 'It was rolled back, events included.';
    return new TxboxError('UNIT_DOOMED', `The transaction cannot commit: ${reason}. ${outcome}`, {
      cause,
      retryable: transient === true,
      details: { half: half === true },
    });
  }
}

async function failureOf(work: () => Promise<void>): Promise<{ readonly error: unknown } | undefined> {
  try {
    await work();
    return undefined;
  } catch (error) {
    return { error };
  }
}

/** The framework's own error inside what a client made of it. */
function txboxErrorIn(error: unknown): TxboxError | undefined {
  if (isTxboxError(error)) return error;
  const { driverError } = (typeof error === 'object' && error !== null ? error : {}) as { driverError?: unknown };
  return isTxboxError(driverError) ? driverError : undefined;
}
