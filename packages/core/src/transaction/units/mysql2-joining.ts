import { TxboxError } from '../../runtime/error.ts';
import { callerContext, currentUnit, outsideUnit } from '../current-transaction.ts';
import type { UnitOfWork } from '../unit-of-work.ts';
import { CommandTap } from './command-tap.ts';
import { guardedConnection } from './guarded-connection.ts';
import type { WireConnection } from './mysql-wire.ts';

/** What happens when a pool is used by itself while a unit of it is open. */
export type PlainQueries =
  | 'join' // it takes part in the unit (default)
  | 'refuse' // it fails with QUERY_OUTSIDE_UNIT
  | 'ignore'; // it goes to another connection and survives a rollback, as mysql2 does by itself

type GotConnection = (error: unknown, connection?: WireConnection) => void;

/** A mysql2 pool of the callback flavour, which the promise flavour wraps. */
export interface CorePool {
  getConnection(got: GotConnection): void;
  query(...args: unknown[]): unknown;
  releaseConnection(connection: unknown): void;
  readonly config?: { readonly connectionLimit?: number };
}

/** How plain use of a pool is answered. */
export interface PoolJoiningPlan {
  readonly pool: CorePool;
  /** Asked at each use. */
  readonly mode: () => PlainQueries;
  /** The connection of a unit that has one. */
  readonly rawOf: (unit: UnitOfWork) => WireConnection | undefined;
}

/**
 * Replaces `getConnection` of this pool instance, through which `query()` and `execute()` of both flavours get their
 * connection. No prototype is touched. Returns the original.
 */
export function joinPlainQueries({ pool, mode, rawOf }: PoolJoiningPlan): (got: GotConnection) => void {
  const getConnection = pool.getConnection.bind(pool);
  const query = pool.query.bind(pool);
  const releaseConnection = pool.releaseConnection.bind(pool);

  const openHere = (): { readonly unit: UnitOfWork; readonly raw: WireConnection | undefined } | undefined => {
    const unit = mode() === 'ignore' ? undefined : currentUnit(pool);
    return unit && { unit, raw: unit.accepts && mode() === 'join' ? rawOf(unit) : undefined };
  };
  pool.getConnection = (got) => {
    const here = openHere();
    if (!here) {
      const asked = callerContext();
      return getConnection((error, connection) => {
        if (connection) CommandTap.of(connection).inContext = true;
        asked.runInAsyncScope(got, undefined, error, connection);
      });
    }
    if (here.raw) process.nextTick(got, null, joinedConnection(here.raw, here.unit));
    else process.nextTick(got, notHere(here.unit));
  };
  // By itself it would ask for the connection only after its caller has begun to read a stream.
  pool.query = (...args) => {
    const here = openHere();
    return here?.raw ? (here.raw.query as (...all: unknown[]) => unknown).apply(here.raw, args) : query(...args);
  };
  // Who waits for a connection gets it in the context of the one who releases it.
  pool.releaseConnection = (connection) => outsideUnit(pool, () => releaseConnection(connection));
  return getConnection;
}

/** The unit's connection for one user of the pool, who may give it back as often as he likes. */
function joinedConnection(raw: WireConnection, unit: UnitOfWork): WireConnection {
  return new Proxy(guardedConnection(raw, unit), {
    get: (target, name) => {
      if (name === 'release') return () => undefined;
      if (name === 'destroy') return () => unit.doomWith({ reason: 'its connection was destroyed' });
      return Reflect.get(target, name, target) as unknown;
    },
  });
}

function notHere(unit: UnitOfWork): TxboxError {
  if (unit.accepts) {
    return new TxboxError(
      'QUERY_OUTSIDE_UNIT',
      "The pool was used by itself inside an open transaction, and plainQueries is 'refuse'. " +
        "Use the transaction's connection, or outbox.outside(fn) to step out on purpose.",
    );
  }
  return new TxboxError(
    'UNIT_CLOSED',
    `The pool was used in what a transaction started and did not await (it is ${unit.state}). ` +
      'It would not be part of the transaction: await everything inside it, or say that it stands alone with outbox.outside(fn).',
  );
}
