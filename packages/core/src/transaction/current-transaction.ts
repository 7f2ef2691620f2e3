import { AsyncLocalStorage, AsyncResource } from 'node:async_hooks';
import type { Branch } from './branch.ts';
import { isOver, type UnitOfWork } from './unit-of-work.ts';

/** Innermost first. A frame without a unit is a step outside of that resource's unit. */
interface Frame {
  readonly key: object;
  readonly unit: UnitOfWork | undefined;
  /** True for what begins and ends the unit, and for the hooks of TypeORM's subscribers that this calls. */
  readonly hooks: boolean;
  /** The nested transaction of the unit that the code is in. */
  readonly branch: Branch | undefined;
  readonly outer: Frame | undefined;
}

const STORAGE: unique symbol = Symbol.for('txbox.current-transaction') as never;

// Under a global symbol, so that two loaded copies of the package share it.
function storage(): AsyncLocalStorage<Frame | undefined> {
  const holder = globalThis as { [STORAGE]?: AsyncLocalStorage<Frame | undefined> };
  holder[STORAGE] ??= new AsyncLocalStorage();
  return holder[STORAGE];
}

function frameOf(key: object): Frame | undefined {
  for (let frame = storage().getStore(); frame; frame = frame.outer) if (frame.key === key) return frame;
  return undefined;
}

/** The unit of a DataSource, pool or database that the running code is in, open or already over. */
export function currentUnit(key: object): UnitOfWork | undefined {
  const frame = frameOf(key);
  // A hook that runs after COMMIT is outside, as it would be without the framework.
  return frame?.unit && frame.hooks && isOver(frame.unit.state) ? undefined : frame?.unit;
}

/** Every unit of that resource around the running code, also where it has stepped outside. */
export function unitsAround(key: object): UnitOfWork[] {
  const units: UnitOfWork[] = [];
  for (let frame = storage().getStore(); frame; frame = frame.outer) if (frame.key === key && frame.unit) units.push(frame.unit);
  return units;
}

const NOTHING: readonly UnitOfWork[] = [];

/** The units whose connections the running code keeps from others while it waits: those around it that are not over. */
export function heldAround(key: object): readonly UnitOfWork[] {
  if (storage().getStore() === undefined) return NOTHING;
  return unitsAround(key).filter((unit) => !isOver(unit.state) || inHooksOf(unit));
}

/** The innermost unit of any resource that takes part in what the running code does. */
export function innermostOpenUnit(): UnitOfWork | undefined {
  for (let frame = storage().getStore(); frame; frame = frame.outer) {
    // Not where the code has stepped out of it.
    if (frame.unit?.accepts && frameOf(frame.key)?.unit === frame.unit) return frame.unit;
  }
  return undefined;
}

/** The nested transaction that the running code is in, `undefined` in the unit itself and outside of it. */
export function currentBranch(unit: UnitOfWork): Branch | undefined {
  const frame = frameOf(unit.resource.key);
  return frame?.unit === unit ? frame.branch : undefined;
}

/** Runs `fn`, and everything it starts, inside the unit: in a nested transaction of it, if one is given. */
export function insideUnit<T>(unit: UnitOfWork, fn: () => T, branch?: Branch): T {
  return storage().run({ key: unit.resource.key, unit, hooks: false, branch, outer: storage().getStore() }, fn);
}

/** Runs what begins or ends the unit; see {@link inHooksOf}. */
export function insideHooks<T>(unit: UnitOfWork, fn: () => T): T {
  return storage().run({ key: unit.resource.key, unit, hooks: true, branch: undefined, outer: storage().getStore() }, fn);
}

/** Whether the running code begins or ends the unit, or is a hook that this calls. */
export function inHooksOf(unit: UnitOfWork): boolean {
  const frame = frameOf(unit.resource.key);
  return frame?.unit === unit && frame.hooks;
}

/** Runs `fn`, and everything it starts, outside the unit of that resource. */
export function outsideUnit<T>(key: object, fn: () => T): T {
  return storage().run({ key, unit: undefined, hooks: false, branch: undefined, outer: storage().getStore() }, fn);
}

/** Runs code later where the running code is: in its transactions, and in all else that async contexts carry. */
export function callerContext(): AsyncResource {
  return new AsyncResource('txbox');
}
