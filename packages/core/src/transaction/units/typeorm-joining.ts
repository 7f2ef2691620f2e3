import { isTxboxError, TxboxError } from '../../runtime/error.ts';
import { currentUnit, inHooksOf, insideUnit, unitsAround } from '../current-transaction.ts';
import { notSent } from '../doom.ts';
import { refuseWhatCannotJoin } from '../joining.ts';
import { inTurn } from '../nested.ts';
import type { IsolationLevel } from '../transaction.ts';
import type { ConnectedUnit } from '../unit-connection.ts';
import { isOver, type UnitOfWork } from '../unit-of-work.ts';
import { type Runner, SharedRunner } from './shared-runner.ts';

/** What happens when a plain repository, manager or query of the DataSource is used while a unit is open. */
export type PlainRepositories =
  | 'join' // it takes part in the unit (default)
  | 'refuse' // it throws QUERY_OUTSIDE_UNIT
  | 'ignore'; // it goes to another connection and survives a rollback, as TypeORM does by itself

/** What units need of a DataSource. */
interface JoinableDataSource {
  createQueryRunner(mode?: never): Runner;
}

/** What users of a unit share. */
export interface JoinedRunner {
  readonly unit: ConnectedUnit;
  readonly runner: Runner;
  /** The manager of a view. */
  readonly managerOf: (view: Runner) => unknown;
  /** The connection as users may have it. */
  readonly guarded: (connection: unknown) => unknown;
  /** Views with an open nested transaction, outermost first. */
  readonly nested: Runner[];
}

/**
 * A view of the unit's runner for one user of it: `release` does nothing, for the unit releases it; a nested
 * `startTransaction` becomes a savepoint of TypeORM's own; after the end everything throws `UNIT_CLOSED`.
 */
export function joinedView(joined: JoinedRunner): Runner {
  const { unit, runner, nested } = joined;
  const guarded = async <T>(work: () => Promise<T>): Promise<T> => {
    refuseAfterTheEnd(unit);
    // A connection that is gone would answer in the driver's words.
    if (unit.doom) throw notSent(unit.doom);
    try {
      return await work();
    } catch (error) {
      // What the framework refused comes back as an error of the database otherwise.
      const { driverError } = error as { driverError?: unknown };
      throw isTxboxError(driverError) ? driverError : error;
    }
  };
  let refused = false;
  const endNested = (work: () => Promise<void>): Promise<void> =>
    guarded(async () => {
      if (refused) {
        // TypeORM rolls back also what could not begin.
        refused = false;
        throw new TxboxError('NO_OPEN_TRANSACTION', 'No nested transaction was begun here that could be ended.');
      }
      if (nested.at(-1) !== view) {
        unit.doomWith({
          reason:
            'nested transactions were ended in another order than they were begun: they ran at the same time, and savepoints cannot keep them apart',
        });
      }
      nested.splice(nested.lastIndexOf(view), 1);
      await work();
    });
  let manager: unknown;
  const own: Partial<Record<string | symbol, unknown>> = {
    query: (...args: Parameters<Runner['query']>) => guarded(() => runner.query(...args)),
    stream: (...args: Parameters<Runner['stream']>) => guarded(() => runner.stream(...args)),
    startTransaction: (...args: unknown[]) =>
      guarded(async () => {
        refused = true;
        // TypeORM drops it silently in a nested transaction.
        if (typeof args[0] === 'string') await refuseWhatCannotJoin(unit, { isolationLevel: args[0] as IsolationLevel });
        refused = false;
        await runner.startTransaction(...args);
        nested.push(view);
      }),
    commitTransaction: () => endNested(() => runner.commitTransaction()),
    rollbackTransaction: () => endNested(() => runner.rollbackTransaction()),
    connect: async () => joined.guarded(await runner.connect()),
    release: async () => undefined,
  };
  const view: Runner = new Proxy(runner, {
    get: (target, name) => {
      if (name === 'manager') {
        manager ??= joined.managerOf(view);
        return manager;
      }
      // What is lazy in an entity is loaded by another runner where the one it came from is released.
      if (name === 'isReleased') return isOver(unit.state);
      if (Object.hasOwn(own, name)) return own[name];
      const value: unknown = Reflect.get(target, name, target);
      if (name === 'databaseConnection' && value) return joined.guarded(value);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
    set: (target, name, value) => {
      if (name !== 'manager') return Reflect.set(target, name, value, target);
      // A new EntityManager makes itself the manager of its runner.
      manager = value;
      return true;
    },
  });
  return view;
}

function refuseAfterTheEnd(unit: ConnectedUnit): void {
  if (unit.accepts || inHooksOf(unit)) return;
  throw new TxboxError(
    'UNIT_CLOSED',
    `A repository, manager or query builder of a transaction was used after its end (${unit.state}): await everything inside it.`,
  );
}

/** An EntityManager, as far as nested transactions need it. */
interface TransactionalManager {
  transaction(...args: never[]): Promise<unknown>;
}

/** An EntityManager, as far as a unit's own needs it. */
interface QueryingManager extends TransactionalManager {
  query(...args: never[]): Promise<unknown>;
}

/** Prepares the manager of a view: nested transactions run in branches; after the end, where TypeORM would answer in its own words, `UNIT_CLOSED`. */
export function joinedManager<M extends QueryingManager>(manager: M, unit: ConnectedUnit): M {
  branchNested(manager, () => (unit.accepts ? unit : undefined));
  for (const name of ['query', 'transaction'] as const) {
    const method = manager[name].bind(manager);
    const guarded: QueryingManager[typeof name] = async (...args) => {
      refuseAfterTheEnd(unit);
      return await method(...args);
    };
    manager[name] = guarded;
  }
  return manager;
}

/**
 * Makes `manager.transaction()` run its function in a branch of the unit, one after another: a savepoint alone cannot tell
 * its own work from that of others who run beside it. `unitNow`: the unit that the call takes part in, if any.
 */
export function branchNested<M extends TransactionalManager>(manager: M, unitNow: () => ConnectedUnit | undefined): M {
  const transaction = manager.transaction.bind(manager);
  const branched: TransactionalManager['transaction'] = (...args) => {
    const unit = unitNow();
    return unit ? inTurn(unit, (branch) => insideUnit(unit, () => transaction(...args), branch)) : transaction(...args);
  };
  manager.transaction = branched;
  return manager;
}

/** How plain use of a DataSource is answered. */
export interface JoiningPlan {
  readonly dataSource: JoinableDataSource;
  /** Asked at each use. */
  readonly mode: () => PlainRepositories;
  /** What users share of a unit that has a connection. */
  readonly joinedOf: (unit: UnitOfWork) => JoinedRunner | undefined;
  /** SQLite only: waits for the one connection. */
  readonly turn: (() => Promise<() => void>) | undefined;
}

/**
 * Replaces `createQueryRunner` of this DataSource instance, through which every plain repository, manager, query builder
 * and `query()` gets its connection. No prototype is touched. Returns the original.
 */
export function joinPlainUse(plan: JoiningPlan): (mode?: never) => Runner {
  const { dataSource, turn } = plan;
  const sharedRunner = turn && new SharedRunner(turn);
  const original = dataSource.createQueryRunner.bind(dataSource);
  dataSource.createQueryRunner = (replication) => {
    const unit = currentUnit(dataSource);
    const mode = plan.mode();
    if (unit && mode !== 'ignore') {
      const joined = unit.accepts ? plan.joinedOf(unit) : undefined;
      if (!joined) throw usedAfterTheEnd(unit);
      if (mode === 'join') return joinedView(joined);
      throw new TxboxError(
        'QUERY_OUTSIDE_UNIT',
        "A plain repository, manager or query of the DataSource was used inside an open transaction, and plainRepositories is 'refuse'. " +
          "Use the transaction's manager, or outbox.outside(fn) to step out on purpose.",
      );
    }
    if (!sharedRunner) return original(replication);
    // A hook of the unit that has the one connection uses it as it is.
    const inHook = unitsAround(dataSource).some((around) => inHooksOf(around) && plan.joinedOf(around));
    return inHook ? original(replication) : sharedRunner.viewOf(original(replication));
  };
  return original;
}

function usedAfterTheEnd(unit: UnitOfWork): TxboxError {
  return new TxboxError(
    'UNIT_CLOSED',
    `A plain repository, manager or query of the DataSource was used in what a transaction started and did not await (it is ${unit.state}). ` +
      'It would not be part of the transaction: await everything inside it, or say that it stands alone with outbox.outside(fn).',
  );
}
