// A relay in a process of its own; its parent ends it. Says `running` when it runs.
import { kafkajs } from '@txbox/kafka/kafkajs';
import { createRelay } from '@txbox/relay';

/** What the parent sends first. */
export interface RelayProcessOptions {
  readonly url: string;
  readonly brokers: readonly string[];
  readonly leaseTtlMs: number;
}

process.once('message', async ({ url, brokers, leaseTtlMs }: RelayProcessOptions) => {
  const relay = createRelay({ database: { url }, publisher: kafkajs({ brokers }), leaseTtlMs });
  process.once('SIGTERM', async () => {
    await relay.stop();
    process.disconnect();
  });
  relay.on('order-alarm', () => process.send?.('alarm'));
  await relay.start();
  process.send?.('running');
});
