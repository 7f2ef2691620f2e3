// A relay in a process of its own; its parent ends it. Says `running` when it runs.
import { once } from 'node:events';
import { kafkajs } from '@txbox/kafka/kafkajs';
import { createRelay, type RelayOptions } from '@txbox/relay';

/** What the parent sends first. */
export interface RelayProcessOptions {
  readonly url: string;
  readonly brokers: readonly string[];
  readonly leaseTtlMs: number;
  readonly archive: NonNullable<RelayOptions['archive']>;
}

const [{ url, brokers, leaseTtlMs, archive }] = (await once(process, 'message')) as [RelayProcessOptions];
const relay = createRelay({ database: { url }, publisher: kafkajs({ brokers }), leaseTtlMs, archive });
relay.on('order-alarm', () => process.send?.('alarm'));
relay.on('shard-released', ({ why }) => process.send?.(why));
const ended = once(process, 'SIGTERM');
await relay.start();
process.send?.('running');
await ended;
await relay.stop();
process.disconnect();
