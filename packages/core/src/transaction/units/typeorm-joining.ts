import { TxboxError } from '../../runtime/error.ts';
import { currentUnit } from '../current-transaction.ts';
import type { UnitOfWork } from '../unit-of-work.ts';
import type { Mutex } from './mutex.ts';

/** What happens when a plain repository, manager or query of the DataSource is used while a unit is open. */
export type PlainRepositories =
  | 'join' // it takes part in the unit (default)
  | 'refuse' // it throws QUERY_OUTSIDE_UNIT
  | 'ignore'; // it goes to another connection and survives a rollback, as TypeORM does by itself

/** TypeORM's QueryRunner, as far as joining needs it. */
export interface Runner {
  readonly isTransactionActive: boolean;
  query(sql: string, parameters?: unknown[], structured?: boolean): Promise<unknown>;
  stream(sql: string, ...rest: unknown[]): Promise<unknown>;
  startTransaction(...args: unknown[]): Promise<void>;
  commitTransaction(): Promise<void>;
  rollbackTransaction(): Promise<void>;
  release(): Promise<void>;
  connect(): Promise<unknown>;
}

/** What units need of a DataSource. */
export interface JoinableDataSource {
  createQueryRunner(mode?: never): Runner;
}

/**
 * A view of the unit's runner for one user of it: `release` does nothing, for the unit releases it; a nested
 * `startTransaction` becomes a savepoint of TypeORM's own; after the end everything throws `UNIT_CLOSED`.
 */
export function joinedView(runner: Runner, unit: UnitOfWork): Runner {
  const guard = (): void => {
    if (unit.state === 'open' || unit.state === 'flushing') return;
    throw new TxboxError(
      'UNIT_CLOSED',
      `A repository, manager or query builder of a transaction was used after its end (${unit.state}): await everything inside it.`,
    );
  };
  return new Proxy(runner, {
    get: (target, name) => {
      if (name === 'release') return async () => undefined;
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      if (name === 'query' || name === 'stream' || name === 'startTransaction') {
        return async (...args: unknown[]) => {
          guard();
          return (await value.apply(target, args)) as unknown;
        };
      }
      return value.bind(target) as unknown;
    },
    set: (target, name, value) => Reflect.set(target, name, value, target),
  });
}

/**
 * A view of SQLite's one shared runner for code outside of any unit: its statements wait until no unit is open, and its
 * transactions keep units out, where TypeORM would let them become part of each other (P-W9).
 */
export function excludingView(runner: Runner, mutex: Mutex): Runner {
  let free: (() => void) | undefined;
  let depth = 0;
  const leave = (): void => {
    free?.();
    free = undefined;
    depth = 0;
  };
  const alone = async <T>(work: () => Promise<T>): Promise<T> => {
    if (free) return await work();
    const done = await mutex.take();
    try {
      return await work();
    } finally {
      done();
    }
  };
  const ended = async (work: () => Promise<void>): Promise<void> => {
    try {
      await work();
      depth -= 1;
    } finally {
      if (depth <= 0) leave();
    }
  };
  const own: Partial<Record<string | symbol, unknown>> = {
    query: (...args: Parameters<Runner['query']>) => alone(() => runner.query(...args)),
    stream: (...args: Parameters<Runner['stream']>) => alone(() => runner.stream(...args)),
    startTransaction: async (...args: unknown[]) => {
      free ??= await mutex.take();
      try {
        await runner.startTransaction(...args);
        depth += 1;
      } catch (error) {
        if (depth === 0) leave();
        throw error;
      }
    },
    commitTransaction: () => ended(() => runner.commitTransaction()),
    rollbackTransaction: () => ended(() => runner.rollbackTransaction()),
    release: async () => undefined,
  };
  return new Proxy(runner, {
    get: (target, name) => {
      if (name === 'isTransactionActive') return free !== undefined && target.isTransactionActive;
      if (name in own) return own[name];
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
    set: (target, name, value) => Reflect.set(target, name, value, target),
  });
}

/** How plain use of a DataSource is answered. */
export interface JoiningPlan {
  readonly dataSource: JoinableDataSource;
  /** Asked at each use. */
  readonly mode: () => PlainRepositories;
  /** The runner of an open unit. */
  readonly runnerOf: (unit: UnitOfWork) => Runner | undefined;
  /** SQLite only: keeps code outside of units apart from them. */
  readonly mutex: Mutex | undefined;
}

/**
 * Replaces `createQueryRunner` of this DataSource instance, through which every plain repository, manager, query builder
 * and `query()` gets its connection. No prototype is touched. Returns the original.
 */
export function joinPlainUse(plan: JoiningPlan): (mode?: never) => Runner {
  const { dataSource, mutex } = plan;
  const original = dataSource.createQueryRunner.bind(dataSource);
  dataSource.createQueryRunner = (replication) => {
    const unit = currentUnit(dataSource);
    const runner = unit?.state === 'open' ? plan.runnerOf(unit) : undefined;
    if (unit && runner) {
      const mode = plan.mode();
      if (mode === 'join') return joinedView(runner, unit);
      if (mode === 'refuse') {
        throw new TxboxError(
          'QUERY_OUTSIDE_UNIT',
          "A plain repository, manager or query of the DataSource was used inside an open transaction, and plainRepositories is 'refuse'. " +
            "Use the transaction's manager, or outbox.outside(fn) to step out on purpose.",
        );
      }
    }
    return mutex ? excludingView(original(replication), mutex) : original(replication);
  };
  return original;
}
