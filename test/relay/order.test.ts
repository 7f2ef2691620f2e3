// Order of every key, nothing lost, nothing that was rolled back: concurrent writers, slow commits, real servers (P-R1 to P-R7).
import { kafkajs } from '@txbox/kafka/kafkajs';
import { createRelay } from '@txbox/relay';
import { expect, it } from 'vitest';
import { BROKERS, bareAdmin, newTopic } from '../faults/kafka-cluster.ts';
import { Counters } from './counter.ts';
import { SERVERS, serviceDatabase } from './service-database.ts';

it.each(SERVERS)(
  'a relay publishes what %s committed, in order per key, while writers commit late and roll back',
  async (_name, variable, service) => {
    const database = await serviceDatabase(variable, service);
    const topic = await newTopic(await bareAdmin(), 6);
    const counters = await Counters.create(database, topic, 20);
    const relay = createRelay({ database: { url: database.url }, publisher: kafkajs({ brokers: BROKERS }) });
    await relay.start();
    await counters.raise({ seed: 1, writers: 6, transactions: 400, counters: 20, slow: 0.04, rolledBack: 0.1 });
    await relay.whenIdle();
    const { orderAlarms, published, held } = relay.status();
    expect(await database.pending()).toBe(0);
    await relay.stop();
    const { wrong, committed, duplicates } = await counters.verdict();
    expect(wrong).toEqual([]);
    expect(committed).toBeGreaterThan(320);
    expect({ orderAlarms, published, held, duplicates }).toEqual({ orderAlarms: 0, published: committed, held: [], duplicates: 0 });
  },
);
