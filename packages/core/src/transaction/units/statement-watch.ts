import { TxboxError } from '../../runtime/error.ts';
import type { Dialect } from '../../sql/dialect.ts';
import type { Branch } from '../branch.ts';
import { currentBranch, inHooksOf } from '../current-transaction.ts';
import { afterError, doomOfStatus, type Judgement, judge, notSent, type OnLockTimeout, PLAIN } from '../doom.ts';
import { excerpt } from '../statement-text.ts';
import type { ConnectedUnit } from '../unit-connection.ts';

/** Who sends a statement: users, the hooks of a client that begins or ends the unit (and that client), or the framework. */
export type Sender = 'user' | 'hook' | 'framework';

/** Where a statement comes from, noted when it is handed over. */
export interface Origin {
  readonly sender: Sender;
  /** The nested transaction it belongs to. */
  readonly branch: Branch | undefined;
  /** Handed over while the unit, and that nested transaction, were open. */
  readonly accepted: boolean;
}

/** How a statement goes to the server: watched for what its text says, or not, or as the unit's own COMMIT, before which the unit must be flushed. */
export type Passage = Judgement | 'unwatched' | 'COMMIT';

/** What a rollback to a savepoint has nothing to undo of. */
const HARMLESS = /^\s*(?:SELECT|SHOW|SAVEPOINT|RELEASE|ROLLBACK)\b/i;

/** What the watch must know. */
export interface WatchPlan {
  readonly unit: ConnectedUnit;
  readonly dialect: Dialect;
  readonly onLockTimeout: OnLockTimeout;
  /** Whether the connection takes texts of several statements. */
  readonly multipleStatements?: boolean;
}

/**
 * Judges every statement of a unit's connection, right before it is sent and when it is answered, by what forbids COMMIT
 * (P-W3). It sends nothing itself.
 */
export class StatementWatch {
  readonly #plan: WatchPlan;
  #begun = false;
  #ended = false;

  constructor(plan: WatchPlan) {
    this.#plan = plan;
  }

  /** Of a statement that is handed over now; `sender` for clients that do not say so themselves. */
  origin(sender: Sender = inHooksOf(this.#plan.unit) ? 'hook' : 'user'): Origin {
    const { unit } = this.#plan;
    const branch = currentBranch(unit);
    return { sender, branch, accepted: unit.state === 'open' && branch?.over !== true };
  }

  /** Whether ROLLBACK or COMMIT has been answered. */
  get ended(): boolean {
    return this.#ended;
  }

  /**
   * Decides right before a statement is sent. Throws `UNIT_CLOSED` after the end, and `UNIT_DOOMED` in a doomed unit, where
   * a statement would commit by itself, and for a text that would doom the unit.
   */
  admit(sql: string, { sender, accepted }: Origin): Passage {
    const { unit } = this.#plan;
    switch (unit.state) {
      case 'beginning':
        if (this.#begun) break;
        this.#begun = /^(?:START|BEGIN)\b/i.test(sql);
        return 'unwatched';
      case 'open':
        if (sender === 'user' && !accepted) throw this.#closed('a nested transaction that has ended');
        break;
      case 'closing':
        if (sender === 'user' && !accepted) throw this.#closed();
        if (sender === 'hook' && sql === 'COMMIT') {
          this.#refuseDoomed();
          return 'COMMIT';
        }
        break;
      case 'flushing':
        if (sender !== 'framework') throw this.#closed();
        break;
      case 'rolling-back':
        if (sender !== 'hook') throw unit.doom ? notSent(unit.doom) : this.#closed();
        // Hooks after ROLLBACK work outside of any transaction, as they would without the framework.
        if (this.#ended || /^ROLLBACK\b/i.test(sql) || !unit.doom) return 'unwatched';
        throw notSent(unit.doom);
      case 'committed':
      case 'rolled-back':
        if (sender === 'hook') return 'unwatched';
        throw this.#closed();
      default:
        throw this.#closed();
    }
    this.#refuseDoomed();
    return sender === 'framework' ? PLAIN : this.#judge(sql);
  }

  /** A statement succeeded. `serverStatus`: the flags of its OK packet, where there was one. */
  succeeded(sql: string, passage: Passage, serverStatus: number | undefined, branch: Branch | undefined): void {
    const { unit } = this.#plan;
    if (typeof passage === 'string') {
      if (passage === 'COMMIT' || /^ROLLBACK\s*$/i.test(sql)) this.#ended = true;
      return;
    }
    const doom = serverStatus === undefined ? undefined : doomOfStatus(serverStatus, sql);
    if (doom) unit.doomWith(doom);
    else for (const statement of passage.savepoints) unit.savepoints.notice(statement, branch);
    if (unit.savepoints.any && !HARMLESS.test(sql)) unit.savepoints.noteWork(branch);
  }

  /** A statement failed. Returns true when the session must be asked whether it is still in the transaction. */
  failed(sql: string, passage: Passage, error: unknown): boolean {
    if (typeof passage === 'string') return false;
    const { unit, dialect, onLockTimeout } = this.#plan;
    if (passage.several && passage.savepoints.length > 0) {
      unit.doomWith({
        reason: `of the statements ${excerpt(sql)}, which set or end savepoints, one failed, and which is not known`,
        cause: error,
      });
    }
    const after = afterError(error, sql, dialect, onLockTimeout);
    if (after.kind === 'doomed') unit.doomWith(after.doom);
    return after.kind === 'ask';
  }

  /** The answer to that question. */
  asked(sql: string, serverStatus: number, cause: unknown): void {
    const doom = doomOfStatus(serverStatus, sql);
    if (doom)
      this.#plan.unit.doomWith({
        reason: 'a statement waited too long for a lock, and the server rolled back everything',
        cause,
        transient: true,
      });
  }

  /** The connection broke. */
  lost(cause: unknown): void {
    this.#plan.unit.doomWith({ reason: 'the connection was lost, and the transaction with it', cause, transient: true });
  }

  /** The connection broke in or right after an opaque statement: nobody can say what it has done. */
  unprobed(sql: string): void {
    this.#plan.unit.doomWith({
      reason: `the connection was lost before it was known whether the statement ${excerpt(sql)} ended the transaction`,
      half: true,
    });
  }

  /** A savepoint that was set before an opaque statement is gone after it. */
  vanished(sql: string, cause: unknown): void {
    const reason = `inside the statement ${excerpt(sql)} the transaction was ended, or rolled back to a savepoint from before it`;
    this.#plan.unit.doomWith({ reason, cause, half: true });
  }

  #judge(sql: string): Judgement {
    const { unit, dialect, multipleStatements = false } = this.#plan;
    const judgement = judge(sql, dialect, multipleStatements);
    if (!judgement.doom) return judgement;
    unit.doomWith(judgement.doom);
    throw new TxboxError('UNIT_DOOMED', `Not sent: ${judgement.doom.reason}. The transaction will be rolled back.`, { retryable: false });
  }

  #refuseDoomed(): void {
    const { doom } = this.#plan.unit;
    if (doom) throw notSent(doom);
  }

  #closed(what = `a transaction that is ${this.#plan.unit.state}`): TxboxError {
    return new TxboxError(
      'UNIT_CLOSED',
      `A statement was sent through ${what}: something was not awaited, or kept the transaction's manager or connection. ` +
        'Await everything inside the transaction, or step out of it on purpose with outbox.outside(fn).',
    );
  }
}
