import { callable, currentUnit, objectWith, oneOf, type SqlSession, type Transaction, TxboxError } from '@txbox/core/spi';
import { type CurrentManager, dataSourceOf, type PlainRepositories, sessionOfRunner, typeormResource } from '@txbox/core/typeorm';
import type { DataSource, EntityManager, ObjectLiteral, QueryRunner, Repository } from 'typeorm';
import { Outbox } from '../outbox.ts';
import { type OutboxOptions, resolveOutboxOptions } from '../outbox-options.ts';

/** What `createOutbox` takes. */
export interface TypeormOutboxOptions extends OutboxOptions {
  /** An initialized or later initialized DataSource of type mysql, mariadb or better-sqlite3. */
  readonly dataSource: DataSource;
  /**
   * What plain repositories, managers and queries of the DataSource do inside an open transaction: `join` it (default),
   * `refuse` with `QUERY_OUTSIDE_UNIT`, or `ignore` it as TypeORM does by itself.
   */
  readonly plainRepositories?: PlainRepositories;
  /**
   * For frameworks with an ambient transaction: gives the manager of the one that the running code is in, or anything
   * without an open transaction. `add` and `@Publishes` then work inside those too; a unit of our own goes before.
   */
  readonly currentManager?: CurrentManager;
}

/** An open transaction of a DataSource. */
export interface TypeormTransaction extends Transaction {
  readonly manager: EntityManager;
}

/** What `addTo` takes: anything that holds an open transaction. */
export type TypeormHandle = EntityManager | QueryRunner | Repository<ObjectLiteral>;

const noManager: CurrentManager = () => undefined;

/** The outbox of a DataSource. */
export class TypeormOutbox extends Outbox<TypeormTransaction, TypeormHandle> {
  /** The manager of the open transaction, or the DataSource's own outside of one; may be kept and injected. */
  readonly manager: EntityManager;

  constructor(options: TypeormOutboxOptions) {
    const { dataSource, plainRepositories, currentManager, ...common } = resolveOutboxOptions<
      Pick<Required<TypeormOutboxOptions>, 'dataSource' | 'plainRepositories' | 'currentManager'>
    >(
      options,
      {
        dataSource: objectWith('createQueryRunner', 'createEntityManager'),
        plainRepositories: oneOf('join', 'refuse', 'ignore'),
        currentManager: callable,
      },
      { plainRepositories: 'join', currentManager: noManager },
    );
    const resource = typeormResource(dataSource);
    // Another outbox of the DataSource may have said it.
    if (currentManager !== noManager) resource.configure({ currentManager });
    resource.configure({ plainRepositories, onLockTimeout: common.onLockTimeout, logger: common.logger, unhandled: common.unhandled });
    super(common, {
      resource,
      transactionOf: (unit, transaction) => Object.assign(transaction, { manager: (unit?.handle ?? dataSource.manager) as EntityManager }),
      foreignSession: (handle) => foreignSession(dataSource, handle),
    });
    this.manager = keptManager(dataSource);
  }
}

/** Creates the outbox of a TypeORM DataSource. Throws `OPTIONS_INVALID` with every problem. */
export function createOutbox(options: TypeormOutboxOptions): TypeormOutbox {
  return new TypeormOutbox(options);
}

function keptManager(dataSource: DataSource): EntityManager {
  const current = (): EntityManager => {
    const unit = currentUnit(dataSource);
    return unit?.accepts ? (unit.handle as EntityManager) : dataSource.manager;
  };
  return new Proxy({} as EntityManager, {
    get: (_target, name) => {
      const manager = current();
      const value: unknown = Reflect.get(manager, name, manager);
      return typeof value === 'function' ? (value.bind(manager) as unknown) : value;
    },
    has: (_target, name) => name in current(),
    getPrototypeOf: () => Object.getPrototypeOf(current()) as object,
  });
}

async function foreignSession(dataSource: DataSource, handle: TypeormHandle): Promise<SqlSession> {
  const runner = runnerOf(handle);
  if (runner === undefined) {
    throw new TxboxError(
      'UNSUPPORTED_HANDLE',
      'addTo takes the EntityManager, QueryRunner or Repository of an open transaction. Pass the manager that dataSource.transaction() hands out.',
    );
  }
  if (runner?.manager !== undefined && dataSourceOf(runner.manager) !== dataSource) {
    throw new TxboxError(
      'WRONG_DATA_SOURCE',
      'addTo was given a transaction of another DataSource: event and data would not commit together.',
    );
  }
  const session = runner === null ? 'no transaction' : await sessionOfRunner(runner, dataSource);
  if (session !== 'no transaction') return session;
  throw new TxboxError(
    'NO_OPEN_TRANSACTION',
    'addTo was given a manager, repository or query runner with no open transaction (after a deadlock the server has ended it): the event would commit without your data. ' +
      'Pass the one that dataSource.transaction() hands out, or use outbox.transaction(fn).',
  );
}

/** `null` = a manager outside of any transaction, `undefined` = no handle of TypeORM at all. */
function runnerOf(handle: TypeormHandle): QueryRunner | null | undefined {
  if (typeof handle !== 'object' || handle === null) return undefined;
  if ('isTransactionActive' in handle) return handle;
  const manager = 'manager' in handle && 'target' in handle ? handle.manager : handle;
  if (!('queryRunner' in manager) && typeof (manager as EntityManager).getRepository !== 'function') return undefined;
  return (manager as EntityManager).queryRunner ?? null;
}
