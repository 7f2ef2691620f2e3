import type { Delivery, DeliveryBatch, MessageSource, Subscription } from '@txbox/core/spi';
import { expect } from 'vitest';

/** What a test's consumer does with a batch. Default: check-points all of it. */
export type BatchAction = (batch: DeliveryBatch) => Promise<void>;

/** A consumer that remembers what it was given. */
export interface Consumer {
  readonly subscription: Subscription;
  readonly deliveries: readonly Delivery[];
  readonly batches: readonly DeliveryBatch[];
  readonly errors: readonly unknown[];
  /** Values of one lane, in the order they came. */
  valuesOf(partition: number): (string | undefined)[];
}

/** Whatever makes a test wait for a consumer: seconds on a broker that balances a group. */
export const PATIENCE_MS = 45_000;

/** Subscribes a consumer whose batches are given to `action`. */
export async function consume(
  source: MessageSource,
  options: { readonly group: string; readonly topics: readonly string[]; readonly batchSize?: number },
  action: BatchAction = checkpointAll,
): Promise<Consumer> {
  const deliveries: Delivery[] = [];
  const batches: DeliveryBatch[] = [];
  const errors: unknown[] = [];
  const subscription = await source.subscribe({
    group: options.group,
    topics: options.topics,
    batchSize: options.batchSize ?? 100,
    onBatch: async (batch) => {
      batches.push(batch);
      deliveries.push(...batch.deliveries);
      await action(batch);
    },
    onError: (error) => errors.push(error),
  });
  const valuesOf = (partition: number): (string | undefined)[] =>
    deliveries.filter((delivery) => delivery.partition === partition).map((delivery) => delivery.value?.toString());
  return { subscription, deliveries, batches, errors, valuesOf };
}

/** Check-points the last delivery of a batch. */
export async function checkpointAll(batch: DeliveryBatch): Promise<void> {
  await batch.checkpoint((batch.deliveries.at(-1) as Delivery).offset);
}

/** Waits for a state, looking again and again. */
export async function eventually(state: () => void | Promise<void>, timeoutMs: number = PATIENCE_MS): Promise<void> {
  await expect.poll(async () => await settled(state), { timeout: timeoutMs, interval: 10 }).toBe('as expected');
}

async function settled(state: () => void | Promise<void>): Promise<string> {
  try {
    await state();
    return 'as expected';
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
