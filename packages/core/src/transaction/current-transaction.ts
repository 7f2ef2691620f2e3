import { AsyncLocalStorage } from 'node:async_hooks';
import type { UnitOfWork } from './unit-of-work.ts';

/** Innermost first. A frame without a unit is a step outside of that resource's unit. */
interface Frame {
  readonly key: object;
  readonly unit: UnitOfWork | undefined;
  readonly outer: Frame | undefined;
}

const STORAGE: unique symbol = Symbol.for('txbox.current-transaction') as never;

// Under a global symbol, so that two loaded copies of the package share it.
function storage(): AsyncLocalStorage<Frame | undefined> {
  const holder = globalThis as { [STORAGE]?: AsyncLocalStorage<Frame | undefined> };
  holder[STORAGE] ??= new AsyncLocalStorage();
  return holder[STORAGE];
}

/** The unit of a DataSource, pool or database that the running code is in, open or already over. */
export function currentUnit(key: object): UnitOfWork | undefined {
  for (let frame = storage().getStore(); frame; frame = frame.outer) if (frame.key === key) return frame.unit;
  return undefined;
}

/** The innermost unit of any resource that is still open. */
export function innermostOpenUnit(): UnitOfWork | undefined {
  for (let frame = storage().getStore(); frame; frame = frame.outer) if (frame.unit?.state === 'open') return frame.unit;
  return undefined;
}

/** Runs `fn`, and everything it starts, inside the unit. */
export function insideUnit<T>(unit: UnitOfWork, fn: () => T): T {
  return storage().run({ key: unit.resource.key, unit, outer: storage().getStore() }, fn);
}

/** Runs `fn`, and everything it starts, outside the unit of that resource. */
export function outsideUnit<T>(key: object, fn: () => T): T {
  return storage().run({ key, unit: undefined, outer: storage().getStore() }, fn);
}
