import type { OrderRequest } from './order-service.ts';

/** What to generate. */
export interface RequestPlan {
  readonly orders: number;
  readonly keys: number;
  readonly seed: number;
}

/** Orders of `keys` customers, the first of whom places a fifth of all; about one in ten is declined. The same seed gives the same orders. */
export function* orderRequests(plan: RequestPlan): Generator<OrderRequest, void> {
  const random = seeded(plan.seed);
  for (let i = 0; i < plan.orders; i += 1) {
    const customer = i % 5 === 0 ? 0 : Math.floor(random() * plan.keys);
    yield {
      customerId: customerId(customer),
      amount: (1 + random() * 500).toFixed(2),
      cardDeclined: random() < 0.1,
    };
  }
}

/** The id of the n-th customer. */
export function customerId(n: number): string {
  return `customer-${n}`;
}

/** Mulberry32 (Tommy Ettinger, public domain): small, seedable, good enough for a demo's workload. */
function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
