import { types } from 'node:util';
import type { DataSource, EntityManager, QueryRunner } from 'typeorm';
import { TxboxError } from '../../runtime/error.ts';
import type { SqlSession } from '../../sql/session.ts';
import { heldAround, outsideUnit } from '../current-transaction.ts';
import { doomed } from '../doom.ts';
import { Savepoints } from '../savepoints.ts';
import { fromFirstWord, statementsIn } from '../statement-text.ts';
import { type Doom, isOver, type TransactionResource, type UnitOfWork, type UnitState } from '../unit-of-work.ts';
import type { UnitSettings } from './unit-settings.ts';

/** Gives the manager of another framework's open transaction that the running code is in, or anything without one. */
export type CurrentManager = () => EntityManager | null | undefined;

/** What the unit of another framework's transaction needs. */
interface AmbientPlan {
  readonly resource: TransactionResource;
  readonly dataSource: DataSource;
  readonly settings: Pick<Required<UnitSettings>, 'logger' | 'unhandled'>;
  /** The framework's statements on a runner, where a transaction is open. */
  readonly sessionOf: (runner: QueryRunner) => Promise<SqlSession | 'no transaction'>;
}

/** TypeORM's QueryRunner, as far as its transaction is watched. */
interface AmbientRunner {
  readonly isReleased: boolean;
  readonly isTransactionActive: boolean;
  query(...args: unknown[]): Promise<unknown>;
}

const units = new WeakMap<object, AmbientUnit>();

/**
 * The unit of a transaction that another framework began and will end, or `undefined` where the manager has none. Throws
 * `WRONG_DATA_SOURCE` for a manager of another DataSource.
 */
export function ambientUnit(plan: AmbientPlan, manager: EntityManager | null | undefined): UnitOfWork | undefined {
  if (!manager) return undefined;
  if (dataSourceOf(manager) !== plan.dataSource) {
    throw new TxboxError(
      'WRONG_DATA_SOURCE',
      'currentManager() gave a manager of another DataSource than the outbox has: event and data would not commit together.',
    );
  }
  const runner = runnerOf(plan.dataSource, manager);
  if (!runner?.isTransactionActive || runner.isReleased) return undefined;
  const known = units.get(runner);
  if (known && !isOver(known.state)) return known;
  const unit = new AmbientUnit(plan, manager, runner);
  units.set(runner, unit);
  return unit;
}

/** The DataSource of a manager. */
export function dataSourceOf(manager: EntityManager): unknown {
  // TypeORM 1 calls it dataSource, 0.3 connection.
  const { dataSource, connection } = manager as unknown as { dataSource?: unknown; connection?: unknown };
  return dataSource ?? connection;
}

function runnerOf(dataSource: DataSource, { queryRunner }: EntityManager): AmbientRunner | undefined {
  if (dataSource.options.type === 'better-sqlite3') {
    // Of the one runner users have views only; while a unit is open around the running code it is that unit's.
    if (!queryRunner || heldAround(dataSource).length > 0) return undefined;
    return queryRunner.isTransactionActive ? (dataSource.driver as { queryRunner?: QueryRunner }).queryRunner : undefined;
  }
  // A view is of a unit of ours, and the running code has stepped out of that.
  return types.isProxy(queryRunner) ? undefined : queryRunner;
}

const CONTROL = /^(?:COMMIT|ROLLBACK|SAVEPOINT|RELEASE)\b/i;
const COMMIT = /^COMMIT\b/i;
const ROLLBACK = /^ROLLBACK(?!\s+(?:(?:WORK|TRANSACTION)\s+)?TO\b)/i;

/**
 * From the first event to the transaction's end it stands before `query` of that one runner, through which TypeORM sends
 * COMMIT, ROLLBACK and savepoints too: events are inserted right before COMMIT (P-W2), and vanish with what is rolled back
 * (P-W8). What dooms a unit of ours is not watched for (P-W3), since the transaction had begun before: only that it is
 * still open when the events are inserted.
 */
class AmbientUnit implements UnitOfWork {
  readonly resource: TransactionResource;
  readonly handle: EntityManager;
  readonly attempt: number = 1;
  readonly isolationLevel: undefined;
  readonly readOnly: boolean = false;
  readonly session: SqlSession;
  readonly kept: Map<object, unknown> = new Map();
  readonly #plan: AmbientPlan;
  readonly #runner: AmbientRunner;
  readonly #abort = new AbortController();
  readonly #savepoints: Savepoints;
  readonly #toTheBeginning: (() => void)[] = [];
  readonly #beforeCommit: (() => Promise<void>)[] = [];
  readonly #afterCommit: (() => void | Promise<void>)[] = [];
  #state: UnitState = 'open';
  #doom: Doom | undefined;
  #failure: { readonly error: unknown } | undefined;
  #checkedSession: Promise<SqlSession> | undefined;
  #stepOut: () => void = () => undefined;

  constructor(plan: AmbientPlan, manager: EntityManager, runner: AmbientRunner) {
    this.#plan = plan;
    this.resource = plan.resource;
    this.handle = manager;
    this.#runner = runner;
    this.session = {
      dialect: plan.resource.dialect,
      query: async (sql, values) => (await this.#sessionNow()).query(sql, values),
      execute: async (sql, values) => (await this.#sessionNow()).execute(sql, values),
    };
    this.#savepoints = new Savepoints(
      // Nobody tells branches apart here.
      () => undefined,
      () => {
        for (const undo of this.#toTheBeginning) undo();
      },
    );
    this.onSavepoint(() => {
      const { length } = this.#afterCommit;
      return () => void this.#afterCommit.splice(length);
    });
    this.#stepIn();
  }

  get state(): UnitState {
    return this.#state;
  }

  /** While hooks of TypeORM's subscribers run before COMMIT it is open still. */
  get accepts(): boolean {
    return this.#state === 'open';
  }

  get doom(): Doom | undefined {
    return this.#doom;
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  doomWith(doom: Doom): void {
    if (this.#state !== 'open' && this.#state !== 'flushing') return;
    this.#doom ??= doom;
    this.#abort.abort(doomed(this.#doom));
  }

  beforeCommit(callback: () => Promise<void>): void {
    this.#beforeCommit.push(callback);
  }

  afterCommit(callback: () => void | Promise<void>): void {
    this.#afterCommit.push(callback);
  }

  onSavepoint(save: () => () => void): void {
    this.#toTheBeginning.push(save());
    this.#savepoints.register(save);
  }

  noteWork(): void {
    // Of no branch.
  }

  async nested<T>(): Promise<T> {
    throw new TxboxError(
      'PROPAGATION_REFUSED',
      'A nested transaction of ours was asked for inside a transaction of another framework. Use that framework for it.',
    );
  }

  #stepIn(): void {
    const runner = this.#runner;
    const own = Object.getOwnPropertyDescriptor(runner, 'query');
    const { query } = runner;
    const watched: AmbientRunner['query'] = (...args) => this.#send(String(args[0]), () => query.apply(runner, args));
    runner.query = watched;
    this.#stepOut = () => {
      // Unless somebody else stands before it by now.
      if (runner.query !== watched) return;
      if (own) Object.defineProperty(runner, 'query', own);
      else Reflect.deleteProperty(runner, 'query');
    };
  }

  #send(sql: string, send: () => Promise<unknown>): Promise<unknown> {
    if (isOver(this.#state) || !CONTROL.test(fromFirstWord(sql))) return send();
    const statement = statementsIn(sql, this.resource.dialect).join('; ');
    if (COMMIT.test(statement)) return this.#commit(send);
    return ROLLBACK.test(statement) ? this.#rollBack(send) : this.#savepoint(statement, send);
  }

  async #commit(send: () => Promise<unknown>): Promise<unknown> {
    await this.#flush();
    this.#state = 'committing';
    let answer: unknown;
    try {
      answer = await send();
    } catch (error) {
      this.#end('unknown');
      throw error;
    }
    this.#end('committed');
    for (const callback of this.#afterCommit) this.#runAfterCommit(callback);
    return answer;
  }

  /** Rejects when COMMIT must not follow, every time. */
  async #flush(): Promise<void> {
    try {
      if (this.#failure) throw this.#failure.error;
      this.#state = 'flushing';
      for (const callback of this.#beforeCommit) await callback();
      if (this.#doom) throw doomed(this.#doom);
    } catch (error) {
      this.#failure = { error };
      this.#state = 'rolling-back';
      throw error;
    }
  }

  async #rollBack(send: () => Promise<unknown>): Promise<unknown> {
    this.#state = 'rolling-back';
    try {
      return await send();
    } finally {
      this.#end('rolled-back');
    }
  }

  async #savepoint(statement: string, send: () => Promise<unknown>): Promise<unknown> {
    const answer = await send();
    this.#savepoints.notice(statement, undefined);
    return answer;
  }

  #end(state: UnitState): void {
    this.#state = state;
    this.#stepOut();
    this.#abort.abort(new TxboxError('UNIT_CLOSED', `The transaction is over (${state}).`));
  }

  #runAfterCommit(callback: () => void | Promise<void>): void {
    const failed = (error: unknown): void => {
      const { logger, unhandled } = this.#plan.settings;
      try {
        logger.error({ err: error }, 'what follows COMMIT failed; the transaction is committed');
        unhandled(error);
      } catch (second) {
        logger.error({ err: second }, 'the unhandled hook failed');
      }
    };
    try {
      const outcome = outsideUnit(this.resource.key, callback);
      if (outcome instanceof Promise) outcome.catch(failed);
    } catch (error) {
      failed(error);
    }
  }

  /** While events are inserted the server is asked once. */
  #sessionNow(): Promise<SqlSession> {
    if (this.#state !== 'flushing') return this.#askForSession();
    this.#checkedSession ??= this.#askForSession();
    return this.#checkedSession;
  }

  async #askForSession(): Promise<SqlSession> {
    const session = await this.#plan.sessionOf(this.#runner as unknown as QueryRunner);
    if (session !== 'no transaction') return session;
    throw new TxboxError(
      'NO_OPEN_TRANSACTION',
      'The transaction of another framework was over before its end: the server ended it because of a deadlock, or a statement committed it (DDL, COMMIT by hand). ' +
        'Its events are not stored. What was done before a deadlock is undone; what ran after it, or before such a statement, is committed.',
      { details: { half: true } },
    );
  }
}
