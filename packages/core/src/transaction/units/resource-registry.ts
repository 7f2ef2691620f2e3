import type { TransactionResource } from '../unit-of-work.ts';

const REGISTRY: unique symbol = Symbol.for('txbox.transaction-resources') as never;

// Under a global symbol, so that two loaded copies of the package share it: one resource per DataSource, pool or database.
function registry(): WeakMap<object, TransactionResource> {
  const holder = globalThis as { [REGISTRY]?: WeakMap<object, TransactionResource> };
  holder[REGISTRY] ??= new WeakMap();
  return holder[REGISTRY];
}

/** The resource of `key`, made at first use. */
export function resourceOf<R extends TransactionResource>(key: object, make: () => R): R {
  const found = registry().get(key) as R | undefined;
  if (found) return found;
  const made = make();
  registry().set(key, made);
  return made;
}
