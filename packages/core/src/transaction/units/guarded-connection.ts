import { TxboxError } from '../../runtime/error.ts';
import type { UnitOfWork } from '../unit-of-work.ts';
import { isOver } from '../unit-of-work.ts';

type Method = (this: unknown, ...args: unknown[]) => unknown;

const OURS = new Set(['beginTransaction', 'commit', 'rollback', 'release', 'destroy', 'close', 'end', 'changeUser', 'reset']);

/**
 * The unit's mysql2 connection as users see it, in either flavour: the transaction itself stays the framework's, and after
 * its end nothing can be sent, for by then the connection is somebody else's. `around`: runs what sends a statement, where
 * the connection is of the promise flavour.
 */
export function guardedConnection<T extends object>(
  connection: T,
  unit: UnitOfWork,
  around: (work: () => unknown) => unknown = (work) => work(),
): T {
  return new Proxy(connection, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name, target);
      if (name === 'connection' && typeof value === 'object' && value !== null) return guardedConnection(value, unit);
      if (typeof value !== 'function') return value;
      if (name === 'promise') return (...args: unknown[]) => guardedConnection(value.apply(target, args) as object, unit);
      if (typeof name !== 'string' || name === 'constructor') return value;
      return (...args: unknown[]) => {
        if (OURS.has(name)) throw notYours(name, unit);
        if (name === 'prepare') return guardedPrepare(value as Method, target, args, unit);
        if (name !== 'query' && name !== 'execute') return value.apply(target, args) as unknown;
        refuseOver(name, unit);
        return around(() => value.apply(target, args) as unknown);
      };
    },
  });
}

/** A prepared statement of either flavour, which may be kept after the unit like its connection. */
function guardedPrepare(prepare: Method, connection: object, args: unknown[], unit: UnitOfWork): unknown {
  refuseOver('prepare', unit);
  const guard = (statement: unknown): unknown => {
    if (typeof statement !== 'object' || statement === null) return statement;
    return new Proxy(statement, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name, target);
        if (name !== 'execute' || typeof value !== 'function') return typeof value === 'function' ? (value.bind(target) as unknown) : value;
        return (...all: unknown[]) => {
          refuseOver('execute', unit);
          return value.apply(target, all) as unknown;
        };
      },
    });
  };
  const callback = args.at(-1);
  if (typeof callback === 'function')
    args = [...args.slice(0, -1), (error: unknown, statement: unknown) => callback(error, guard(statement)) as unknown];
  const answer: unknown = prepare.apply(connection, args);
  return answer instanceof Promise ? answer.then(guard) : answer;
}

function refuseOver(name: string, unit: UnitOfWork): void {
  if (!isOver(unit.state)) return;
  throw new TxboxError(
    'UNIT_CLOSED',
    `${name}() was called on the connection of a transaction that is over (${unit.state}): await everything inside the transaction.`,
  );
}

function notYours(name: string, unit: UnitOfWork): TxboxError {
  const text = `${name}() was called on a transaction's connection, which the framework begins, ends and releases by itself`;
  unit.doomWith({ reason: text });
  return new TxboxError('UNIT_DOOMED', `${text}. Return or throw to end the transaction.`, { retryable: false });
}
