import { TxboxError } from '../runtime/error.ts';
import type { Logger } from '../runtime/logger.ts';
import type { SqlSession } from '../sql/session.ts';
import { insideUnit, outsideUnit } from './current-transaction.ts';
import type { IsolationLevel } from './transaction.ts';
import type { Doom, TransactionResource, UnitOfWork, UnitState } from './unit-of-work.ts';

/** A connection in which one unit runs, as its resource hands it out. */
export interface UnitConnection {
  /** What users work with. */
  readonly handle: unknown;
  readonly session: SqlSession;
  begin(isolationLevel: IsolationLevel | undefined): Promise<void>;
  commit(): Promise<void>;
  rollback(): Promise<void>;
  /** Gives the connection back; `broken` = its state is not known, so it must be closed. */
  release(broken: boolean): Promise<void>;
}

/** Makes the connection of a unit, which it watches for doom. Rejects with what the driver says. */
export type Connect = (unit: UnitOfWork) => Promise<UnitConnection>;

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
    await unit.flush();
  } catch (error) {
    await unit.rollBack(connection);
    throw error;
  }
  await unit.commit(connection);
  return result;
}

class OpenUnit implements UnitOfWork {
  readonly resource: TransactionResource;
  readonly attempt: number;
  readonly isolationLevel: IsolationLevel | undefined;
  readonly #plan: UnitPlan;
  readonly #abort = new AbortController();
  readonly #beforeCommit: (() => Promise<void>)[] = [];
  readonly #afterCommit: (() => void | Promise<void>)[] = [];
  #state: UnitState = 'open';
  #doom: Doom | undefined;
  #connection: UnitConnection | undefined;

  constructor(plan: UnitPlan) {
    this.#plan = plan;
    this.resource = plan.resource;
    this.attempt = plan.attempt;
    this.isolationLevel = plan.isolationLevel;
  }

  get state(): UnitState {
    return this.#state;
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
    if (this.#state !== 'open' && this.#state !== 'flushing') return;
    this.#doom ??= doom;
    this.#abort.abort(this.#doomed());
  }

  beforeCommit(callback: () => Promise<void>): void {
    this.#beforeCommit.push(callback);
  }

  afterCommit(callback: () => void | Promise<void>): void {
    if (this.#state !== 'open') throw new TxboxError('UNIT_CLOSED', `afterCommit was called in a transaction that is ${this.#state}.`);
    this.#afterCommit.push(callback);
  }

  async begin(): Promise<UnitConnection> {
    const { resource, connect, isolationLevel } = this.#plan;
    let connection: UnitConnection | undefined;
    try {
      connection = await connect(this);
      this.#connection = connection;
      await connection.begin(isolationLevel);
      return connection;
    } catch (cause) {
      await this.#release(connection, true);
      this.#end('rolled-back');
      if (cause instanceof TxboxError) throw cause;
      throw new TxboxError(
        'DATABASE_UNAVAILABLE',
        `No transaction could be begun on the ${resource.kind} resource: ${cause instanceof Error ? cause.message : String(cause)}. Nothing was done.`,
        { cause },
      );
    }
  }

  /** P-W3: doom is looked at before a statement of the flush is sent, and after each. */
  async flush(): Promise<void> {
    this.#refuseDoomed();
    this.#state = 'flushing';
    for (const callback of this.#beforeCommit) {
      await callback();
      this.#refuseDoomed();
    }
  }

  async commit(connection: UnitConnection): Promise<void> {
    this.#state = 'committing';
    try {
      await connection.commit();
    } catch (cause) {
      if (connection.session.dialect.classify(cause) !== 'connection-lost') {
        await this.rollBack(connection);
        throw cause;
      }
      // P-W5: nobody answered, so nobody knows.
      await this.#release(connection, true);
      this.#end('unknown');
      throw new TxboxError(
        'OUTCOME_UNKNOWN',
        'The connection was lost while COMMIT was on its way: the transaction, events included, is either committed as a whole or not at all. ' +
          'Look at the data before doing it again.',
        { cause },
      );
    }
    await this.#release(connection, false);
    this.#end('committed');
    this.#runAfterCommit();
  }

  async rollBack(connection: UnitConnection): Promise<void> {
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
    const { reason, cause } = this.#doom ?? { reason: 'unknown' };
    return new TxboxError('UNIT_DOOMED', `The transaction cannot commit: ${reason}. It was rolled back, events included.`, { cause });
  }
}
