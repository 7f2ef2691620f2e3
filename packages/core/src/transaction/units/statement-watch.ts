import { TxboxError } from '../../runtime/error.ts';
import type { Dialect } from '../../sql/dialect.ts';
import { doomOfError, doomOfResult, doomOfText, type OnLockTimeout } from '../doom.ts';
import type { UnitOfWork } from '../unit-of-work.ts';

/** What every statement of a session goes through. */
export interface StatementGate {
  /** Runs a statement; `rawOf` finds the driver's results in what `send` gives. */
  run<T>(sql: string, send: () => Promise<T>, rawOf: (answer: T) => unknown): Promise<T>;
}

/** For sessions outside of units. */
export const openGate: StatementGate = { run: (_sql, send) => send() };

/** Watches every statement of a unit's connection for what forbids COMMIT (P-W3). */
export class StatementWatch implements StatementGate {
  /** The framework's own BEGIN, COMMIT and ROLLBACK pass unwatched. */
  #suspended = false;
  readonly #unit: UnitOfWork;
  readonly #dialect: Dialect;
  readonly #onLockTimeout: OnLockTimeout;

  constructor(unit: UnitOfWork, dialect: Dialect, onLockTimeout: OnLockTimeout) {
    this.#unit = unit;
    this.#dialect = dialect;
    this.#onLockTimeout = onLockTimeout;
  }

  async unwatched<T>(work: () => Promise<T>): Promise<T> {
    this.#suspended = true;
    try {
      return await work();
    } finally {
      this.#suspended = false;
    }
  }

  /** Before a statement is sent. Throws `UNIT_CLOSED` after the end and `UNIT_DOOMED` for a statement that must not be sent. */
  before(sql: string): void {
    if (this.#suspended) return;
    const { state } = this.#unit;
    if (state !== 'open' && state !== 'flushing') {
      throw new TxboxError(
        'UNIT_CLOSED',
        `A statement was sent through a transaction that is over (${state}): something was not awaited, or kept the transaction's manager or connection.`,
      );
    }
    // After a deadlock the server has no transaction any more: what is sent now would commit by itself.
    const doom = this.#unit.doom ?? doomOfText(sql, this.#dialect);
    if (!doom) return;
    this.#unit.doomWith(doom);
    throw new TxboxError('UNIT_DOOMED', `Not sent: ${doom.reason}. The transaction will be rolled back.`, { cause: doom.cause });
  }

  /** `results`: what mysql2 made of the answer. */
  succeeded(sql: string, results: unknown): void {
    if (this.#suspended) return;
    const doom = doomOfResult(results, sql);
    if (doom) this.#unit.doomWith(doom);
  }

  failed(sql: string, error: unknown): void {
    if (this.#suspended) return;
    const doom = doomOfError(error, sql, this.#dialect, this.#onLockTimeout);
    if (doom) this.#unit.doomWith(doom);
  }

  async run<T>(sql: string, send: () => Promise<T>, rawOf: (answer: T) => unknown): Promise<T> {
    this.before(sql);
    let answer: T;
    try {
      answer = await send();
    } catch (error) {
      this.failed(sql, error);
      throw error;
    }
    this.succeeded(sql, rawOf(answer));
    return answer;
  }
}
