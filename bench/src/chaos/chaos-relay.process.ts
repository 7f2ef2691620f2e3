// A relay in a process of its own, which its parent kills and pauses.
import { once } from 'node:events';
import { kafkajs } from '@txbox/kafka/kafkajs';
import { createRelay } from '@txbox/relay';
import type { ChaosRelayNote, ChaosRelayOptions } from './chaos-relay.ts';

const tell = (note: ChaosRelayNote): void => void process.send?.(note);
const [{ url, brokers, leaseTtlMs }] = (await once(process, 'message')) as [ChaosRelayOptions];
// Whoever could end this is gone.
process.on('disconnect', () => process.exit());
const relay = createRelay({ database: { url }, publisher: kafkajs({ brokers: [...brokers] }), leaseTtlMs });
relay.on('order-alarm', () => tell({ what: 'alarm' }));
relay.on('parked', () => tell({ what: 'parked' }));
relay.on('shard-released', ({ why }) => why === 'lost' && tell({ what: 'lost' }));
const ended = once(process, 'SIGTERM');
await relay.start();
tell({ what: 'running', id: relay.status().id as string });
await ended;
await relay.stop();
process.exit();
