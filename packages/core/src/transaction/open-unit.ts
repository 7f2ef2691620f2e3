import { type Clock, systemClock } from '../runtime/clock.ts';
import { isTxboxError, TxboxError } from '../runtime/error.ts';
import type { SqlSession } from '../sql/session.ts';
import { driverErrorOf } from '../sql/sql-error.ts';
import type { Branch } from './branch.ts';
import { currentBranch, inHooksOf, insideUnit, outsideUnit } from './current-transaction.ts';
import { Deadline } from './deadline.ts';
import { doomed } from './doom.ts';
import { runNested } from './nested.ts';
import { Savepoints } from './savepoints.ts';
import type { IsolationLevel } from './transaction.ts';
import type { Connect, ConnectedUnit, UnitConnection } from './unit-connection.ts';
import { type Doom, isOver, type TransactionResource, type UnitOfWork, type UnitOptions, type UnitState } from './unit-of-work.ts';
import { databaseUnavailable } from './units/database-unavailable.ts';
import type { UnitSettings } from './units/unit-settings.ts';

/** What {@link runUnit} needs. */
export interface UnitPlan {
  readonly resource: TransactionResource;
  readonly connect: Connect;
  readonly options: UnitOptions;
  readonly attempt: number;
  readonly settings: Required<UnitSettings>;
  /** Default the machine's. */
  readonly clock?: Clock;
}

/** Runs `fn` in a unit of its own: begin, `fn`, flush, COMMIT, and what comes after it. */
export async function runUnit<T>(plan: UnitPlan, fn: (unit: UnitOfWork) => Promise<T>): Promise<T> {
  const unit = new OpenUnit(plan);
  try {
    const connection = await unit.begin();
    let result: T;
    try {
      result = await unit.inTime(insideUnit(unit, () => fn(unit)));
    } catch (error) {
      await unit.rollBack(connection);
      throw unit.told(error);
    }
    await unit.commit(connection);
    return result;
  } finally {
    unit.clearDeadline();
  }
}

class OpenUnit implements ConnectedUnit {
  readonly resource: TransactionResource;
  readonly attempt: number;
  readonly isolationLevel: IsolationLevel | undefined;
  readonly readOnly: boolean;
  readonly kept: Map<object, unknown> = new Map();
  readonly branches: Set<Branch> = new Set();
  readonly savepoints: Savepoints = new Savepoints(() =>
    this.doomWith({
      reason:
        'a nested transaction was rolled back, and with it what another branch of the transaction did at the same time: await the one before the other, or give the other a transaction of its own',
    }),
  );
  readonly #plan: UnitPlan;
  readonly #deadline: Deadline | undefined;
  #abort: AbortController | undefined;
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
    this.isolationLevel = plan.options.isolationLevel;
    this.readOnly = plan.options.readOnly === true;
    const { timeoutMs } = plan.options;
    if (timeoutMs !== undefined) {
      this.#deadline = new Deadline(timeoutMs, plan.clock ?? systemClock, {
        passed: () =>
          this.doomWith({ reason: `it took longer than its timeoutMs of ${timeoutMs} ms`, transient: true, code: 'UNIT_TIMED_OUT' }),
        interrupt: () =>
          this.#connection?.interrupt(
            new TxboxError('UNIT_TIMED_OUT', `The statement was not answered within the timeoutMs of its transaction (${timeoutMs} ms).`),
          ),
      });
    }
    this.onSavepoint(() => {
      const { length } = this.#afterCommit;
      return () => void this.#afterCommit.splice(length);
    });
  }

  get state(): UnitState {
    return this.#state;
  }

  get accepts(): boolean {
    if (this.#state === 'open') return currentBranch(this)?.over !== true;
    return this.#state === 'closing' && inHooksOf(this);
  }

  get doom(): Doom | undefined {
    return this.#doom;
  }

  /** Made when somebody asks for it: few do, and it is not cheap. */
  get signal(): AbortSignal {
    this.#abort ??= new AbortController();
    this.#tellSignal();
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
    if (isOver(this.#state) || this.#state === 'committing') return;
    // While it is rolled back it matters only what that cannot undo.
    if (this.#state === 'rolling-back' && !doom.half) return;
    this.#doom = this.#doom && doom.half ? { ...this.#doom, half: true, transient: false } : (this.#doom ?? doom);
    this.#tellSignal();
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

  noteWork(): void {
    if (this.savepoints.any) this.savepoints.noteWork(currentBranch(this));
  }

  nested<T>(fn: () => Promise<T>): Promise<T> {
    return runNested(this, fn);
  }

  /** Settles as `work` does, or rejects with `UNIT_TIMED_OUT` when the unit's time is over first. */
  inTime<T>(work: Promise<T>): Promise<T> {
    return this.#deadline?.race(work, () => this.#doom && doomed(this.#doom)) ?? work;
  }

  clearDeadline(): void {
    this.#deadline?.clear();
  }

  async begin(): Promise<UnitConnection> {
    const { resource, connect } = this.#plan;
    let connection: UnitConnection | undefined;
    try {
      connection = await (this.#deadline ? this.#connectInTime(connect) : connect(this));
      this.#connection = connection;
      await this.inTime(connection.begin());
      this.#state = 'open';
      return connection;
    } catch (cause) {
      await this.#release(connection, true);
      this.#end('rolled-back');
      const txbox = txboxErrorIn(cause);
      if (txbox) throw txbox;
      throw databaseUnavailable('No transaction could be begun on a connection', resource.kind, cause);
    }
  }

  /** A connection that comes too late goes back. */
  async #connectInTime(connect: Connect): Promise<UnitConnection> {
    const connecting = connect(this);
    try {
      return await this.inTime(connecting);
    } catch (error) {
      if (this.#doom) {
        connecting.then(
          (late) => this.#release(late, false),
          () => undefined,
        );
      }
      throw error;
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
    if (this.branches.size > 0) {
      this.doomWith({ reason: 'a nested transaction was still running when the function returned: await it inside' });
    }
    let failure: { readonly error: unknown } | undefined;
    try {
      await connection.quiet();
      this.#refuseDoomed();
      await connection.commit();
    } catch (error) {
      failure = { error };
    }
    switch (this.state) {
      case 'committed':
        if (failure) this.#reportAfterCommit(failure.error, 'a hook after COMMIT');
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
    if (this.#doom?.code !== undefined || !failure) throw this.#doomed();
    // What the driver says of a statement that the caller does not know would not tell what became of the transaction.
    if (this.#doom && this.#flushFailure !== undefined && !isTxboxError(this.#flushFailure)) throw this.#doomed();
    throw this.#flushFailure ?? txboxErrorIn(failure.error) ?? failure.error;
  }

  async rollBack(connection: UnitConnection): Promise<void> {
    // From here on users' statements are refused; one sent after ROLLBACK would commit by itself.
    this.#state = 'rolling-back';
    let broken = false;
    try {
      await connection.rollback();
    } catch {
      // The session ends with the connection, and the transaction with the session.
      broken = true;
    }
    await this.#release(connection, broken);
    this.#end('rolled-back');
  }

  /** What the caller is told of what `fn` threw: an error by itself would mean that all of it was undone. */
  told(error: unknown): unknown {
    if (!this.#doom?.half || (isTxboxError(error) && error.details?.['half'] === true)) return error;
    return doomed({ ...this.#doom, cause: error });
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
      this.#plan.settings.logger.warn({ err: error }, 'a connection could not be released');
    }
  }

  #end(state: UnitState): void {
    this.#state = state;
    this.#tellSignal();
  }

  #tellSignal(): void {
    if (!this.#abort || this.#abort.signal.aborted) return;
    if (this.#doom) this.#abort.abort(doomed(this.#doom));
    else if (isOver(this.#state)) this.#abort.abort(new TxboxError('UNIT_CLOSED', `The transaction is over (${this.#state}).`));
  }

  #runAfterCommit(): void {
    for (const callback of this.#afterCommit) {
      const failed = (error: unknown): void => this.#reportAfterCommit(error, 'an afterCommit callback');
      try {
        const outcome = outsideUnit(this.resource.key, callback);
        if (outcome instanceof Promise) outcome.catch(failed);
      } catch (error) {
        failed(error);
      }
    }
  }

  /** Nothing that fails after COMMIT makes a committed transaction look like one that failed. */
  #reportAfterCommit(error: unknown, what: string): void {
    const { logger, unhandled } = this.#plan.settings;
    try {
      logger.error({ err: error }, `${what} failed; the transaction is committed`);
      unhandled(error);
    } catch (second) {
      logger.error({ err: second }, 'the unhandled hook failed');
    }
  }

  #refuseDoomed(): void {
    if (this.#doom) throw doomed(this.#doom);
  }

  #doomed(): TxboxError {
    return doomed(this.#doom ?? { reason: 'unknown' });
  }
}

/** The framework's own error inside what a client made of it. */
function txboxErrorIn(error: unknown): TxboxError | undefined {
  if (isTxboxError(error)) return error;
  const { driverError } = (typeof error === 'object' && error !== null ? error : {}) as { driverError?: unknown };
  return isTxboxError(driverError) ? driverError : undefined;
}
