// What cannot be published waits, visibly, and holds up nothing else (P-R10).
import { bucketOf, silentLogger } from '@txbox/core/spi';
import { kafkajs } from '@txbox/kafka/kafkajs';
import { createRelay } from '@txbox/relay';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { BROKERS, bareAdmin, newTopic } from '../faults/kafka-cluster.ts';
import { addNotes, PATIENCE, startRelay, textsIn } from './note.ts';
import { relayStatus } from './relay-status.ts';
import { SERVERS, serviceDatabase } from './service-database.ts';

const [, variable, service] = SERVERS[0];
const LEASE_TTL_MS = 1_500;

/** A key of that partition of `partitions`. */
function keyOf(partition: number, partitions: number): string {
  for (let n = 0; ; n++) if (bucketOf(Buffer.from(`key ${n}`), partitions) === partition) return `key ${n}`;
}

describe('a missing topic', () => {
  it('is held visibly while other topics flow, and published once it is there', async () => {
    const database = await serviceDatabase(variable, service);
    const admin = await bareAdmin();
    const there = await newTopic(admin, 2);
    const missing = `${there}-missing`;
    const said: string[] = [];
    const logger = { ...silentLogger, info: (_: object, message: string) => void said.push(message) };
    const relay = await startRelay(database, { leaseTtlMs: LEASE_TTL_MS, logger });
    await addNotes(database, missing, { key: 'a', text: 'one' }, { key: 'a', text: 'two' }, { key: 'a', text: 'three' });
    await vi.waitFor(() => expect(relay.status().held).toMatchObject([{ topic: missing, rows: 3, code: 'TOPIC_MISSING' }]), PATIENCE);
    await addNotes(database, there, { key: 'a', text: 'flows' });
    await vi.waitFor(() => expect(relay.status().settled).toBe(1), PATIENCE);
    expect(relay.status().held).toMatchObject([{ topic: missing, code: 'TOPIC_MISSING' }]);
    expect(await database.pending()).toBe(3);
    // Also from outside, by the relay's next report.
    const reported = async (): Promise<unknown> => (await relayStatus(database.url, LEASE_TTL_MS)).relays[0]?.report?.held;
    await vi.waitFor(async () => expect(await reported()).toMatchObject([{ topic: missing, rows: 3, code: 'TOPIC_MISSING' }]), PATIENCE);
    expect(await textsIn(there)).toEqual(['flows']);
    expect(await admin.listTopics()).not.toContain(missing);

    await admin.createTopics({ topics: [{ topic: missing, numPartitions: 2, replicationFactor: 1 }], waitForLeaders: true });
    onTestFinished(async () => {
      const deleting = await bareAdmin();
      await deleting.deleteTopics({ topics: [missing] });
    });
    await relay.whenIdle();
    expect(relay.status().held).toEqual([]);
    expect(await textsIn(missing)).toEqual(['one', 'two', 'three']);
    expect(said).toContain('A topic moves again.');
  });

  it('does not keep a single run waiting', async () => {
    const database = await serviceDatabase(variable, service);
    const there = await newTopic(await bareAdmin());
    await addNotes(database, `${there}-missing`, { key: 'a', text: 'waits' });
    await addNotes(database, there, { key: 'a', text: 'one' }, { key: 'b', text: 'two' });
    const relay = createRelay({ database: { url: database.url }, publisher: kafkajs({ brokers: BROKERS }) });
    onTestFinished(() => relay.stop());
    expect(await relay.runOnce()).toBe(2);
    expect(await database.pending()).toBe(1);
    expect((await textsIn(there)).sort()).toEqual(['one', 'two']);
  });
});

describe('a topic that is deleted under a relay', () => {
  it('is held; made again too small it says so; grown to what it was, it takes what waited, in order', async () => {
    const database = await serviceDatabase(variable, service);
    const admin = await bareAdmin();
    const topic = await newTopic(admin, 2);
    const relay = await startRelay(database, { retry: { baseMs: 20, capMs: 100 } });
    const keys = [keyOf(0, 2), keyOf(1, 2)] as const;
    let added = 0;
    const add = async (): Promise<void> => {
      added += 1;
      await addNotes(database, topic, ...keys.map((key) => ({ key, text: `${key}: ${added}` })));
    };
    const held = (): unknown => relay.status().held.find((one) => one.topic === topic && one.partition === undefined);
    await add();
    await relay.whenIdle();
    await admin.deleteTopics({ topics: [topic] });
    // It takes records until the deletion has reached the leader.
    await vi.waitFor(async () => {
      await add();
      expect(held()).toMatchObject({ code: 'TOPIC_MISSING' });
    }, PATIENCE);
    await add();
    await admin.createTopics({ topics: [{ topic, numPartitions: 1, replicationFactor: 1 }], waitForLeaders: true });
    await vi.waitFor(() => expect(held()).toMatchObject({ code: 'TOPIC_SHRUNK' }), PATIENCE);
    // A request that was on its way when the topic went may reach the new one; no other does.
    const before = added;
    const { rows } = relay.status();
    for (let n = 0; n < 3; n++) await add();
    await vi.waitFor(() => expect(relay.status().rows).toBeGreaterThan(rows), PATIENCE);
    expect((await textsIn(topic)).filter((text) => Number(text.split(': ')[1]) > before)).toEqual([]);
    await admin.createPartitions({ topicPartitions: [{ topic, count: 2 }] });
    await relay.whenIdle();
    expect(relay.status()).toMatchObject({ held: [], parked: 0 });
    const texts = await textsIn(topic);
    for (const key of keys) {
      const found = [...new Set(texts.filter((text) => text.startsWith(`${key}: `)))];
      expect(found.length).toBeGreaterThan(0);
      expect(found).toEqual(Array.from({ length: found.length }, (_, n) => `${key}: ${added - found.length + 1 + n}`));
    }
  });
});

describe("a record that the broker refuses, with onPermanentFailure: 'hold'", () => {
  it('holds its partition visibly; what was added before it and other partitions flow', async () => {
    const database = await serviceDatabase(variable, service);
    const topic = await newTopic(await bareAdmin(), 2, { 'max.message.bytes': '10000' });
    const [held, free] = [keyOf(0, 2), keyOf(1, 2)];
    // One transaction: a request would hold them all.
    await addNotes(
      database,
      topic,
      ...[1, 2, 3].map((n) => ({ key: held, text: `before ${n}` })),
      { key: held, text: 'x'.repeat(20_000) },
      { key: held, text: 'after' },
      { key: free, text: 'free 1' },
    );
    const relay = await startRelay(database, { onPermanentFailure: 'hold' });
    const wanted = { topic, partition: 0, rows: 2, code: 'PUBLISH_REJECTED' };
    await vi.waitFor(() => expect(relay.status().held).toMatchObject([wanted]), PATIENCE);
    await addNotes(database, topic, { key: free, text: 'free 2' });
    await vi.waitFor(() => expect(relay.status().settled).toBe(5), PATIENCE);
    expect(relay.status().held).toMatchObject([wanted]);
    expect((await textsIn(topic)).sort()).toEqual(['before 1', 'before 2', 'before 3', 'free 1', 'free 2']);
    expect(await database.pending()).toBe(2);
  });

  it('is published once the topic takes it, before its followers', async () => {
    const database = await serviceDatabase(variable, service);
    const admin = await bareAdmin();
    const topic = await newTopic(admin, 1, { 'max.message.bytes': '10000' });
    const large = 'x'.repeat(20_000);
    await addNotes(database, topic, { key: 'a', text: large }, { key: 'a', text: 'after' });
    const relay = await startRelay(database, { onPermanentFailure: 'hold', retry: { baseMs: 10, capMs: 20 } });
    await vi.waitFor(() => expect(relay.status().held).toMatchObject([{ partition: 0, code: 'PUBLISH_REJECTED' }]), PATIENCE);
    await admin.alterConfigs({
      validateOnly: false,
      resources: [{ type: 2, name: topic, configEntries: [{ name: 'max.message.bytes', value: '1000000' }] }],
    });
    await relay.whenIdle();
    expect(await textsIn(topic)).toEqual([large, 'after']);
    expect(relay.status().held).toEqual([]);
  });
});
