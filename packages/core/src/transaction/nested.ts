import { TxboxError } from '../runtime/error.ts';
import { Branch } from './branch.ts';
import { currentBranch, insideUnit } from './current-transaction.ts';
import type { ConnectedUnit } from './unit-connection.ts';
import { Mutex } from './units/mutex.ts';

/** Of the nested transactions of a unit, and of each of those. */
const turns = new WeakMap<object, Mutex>();
let last = 0;

/** Runs `fn` in a savepoint of the unit; see `UnitOfWork.nested`. */
export async function runNested<T>(unit: ConnectedUnit, fn: () => Promise<T>): Promise<T> {
  return await inTurn(unit, async (branch) => {
    last += 1;
    const name = `txbox_${last}`;
    const send = async (sql: string): Promise<void> => {
      await unit.session.execute(sql);
      unit.savepoints.notice(sql, branch);
    };
    await send(`SAVEPOINT ${name}`);
    let result: T;
    try {
      result = await insideUnit(unit, async () => await fn(), branch);
    } catch (error) {
      branch.end();
      await undo(unit, () => send(`ROLLBACK TO SAVEPOINT ${name}`));
      throw error;
    }
    branch.end();
    await send(`RELEASE SAVEPOINT ${name}`);
    return result;
  });
}

/** Runs `fn` in a branch of its own, after the other branches of the same parent: one connection has one stack of savepoints. */
export async function inTurn<T>(unit: ConnectedUnit, fn: (branch: Branch) => Promise<T>): Promise<T> {
  const parent = currentBranch(unit);
  const mutex = turns.get(parent ?? unit) ?? new Mutex();
  turns.set(parent ?? unit, mutex);
  const branch = new Branch(parent);
  unit.branches.add(branch);
  const free = await mutex.take();
  try {
    if (!unit.accepts) {
      throw new TxboxError('UNIT_CLOSED', `A nested transaction was asked for in a transaction that is ${unit.state}: await it inside.`);
    }
    return await fn(branch);
  } finally {
    branch.end();
    unit.branches.delete(branch);
    free();
  }
}

async function undo(unit: ConnectedUnit, rollBack: () => Promise<void>): Promise<void> {
  // It rolls back as a whole.
  if (unit.doom || !unit.accepts) return;
  try {
    await rollBack();
  } catch (cause) {
    unit.doomWith({ reason: 'a nested transaction could not be rolled back by itself', cause });
  }
}
