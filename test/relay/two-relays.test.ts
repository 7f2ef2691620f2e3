// Relays side by side: shared shards, killed processes, take-over (P-R8).
import { kafkajs } from '@txbox/kafka/kafkajs';
import { createRelay, type Relay } from '@txbox/relay';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { BROKERS, bareAdmin, newTopic } from '../faults/kafka-cluster.ts';
import { Counters } from './counter.ts';
import { RelayProcess } from './relay-process.ts';
import { relayStatus } from './relay-status.ts';
import { SERVERS, serviceDatabase } from './service-database.ts';

const PATIENCE = { timeout: 20_000, interval: 50 };
const LEASE_TTL_MS = 1_500;

describe.each(SERVERS)('two relays on %s', (_name, variable, service) => {
  it('keep the order of every key and lose nothing while one of them is killed and started again, twice', async () => {
    const database = await serviceDatabase(variable, service);
    const topic = await newTopic(await bareAdmin(), 6);
    const counters = await Counters.create(database, topic, 20);
    const one = await RelayProcess.start(database.url, LEASE_TTL_MS);
    let other = await RelayProcess.start(database.url, LEASE_TTL_MS);
    const writing = counters.raise({ seed: 2, writers: 6, transactions: 400, counters: 20, slow: 0.02, rolledBack: 0.1 });
    for (const done of [80, 240]) {
      await counters.until(done);
      await other.kill();
      other = await RelayProcess.start(database.url, LEASE_TTL_MS);
    }
    await writing;
    await vi.waitFor(async () => expect(await database.pending()).toBe(0), PATIENCE);
    const shares = async (): Promise<number[]> => (await relayStatus(database.url, LEASE_TTL_MS)).relays.map(({ shards }) => shards.length);
    await vi.waitFor(async () => expect(await shares()).toEqual([8, 8]), PATIENCE);
    expect(await Promise.all([one.stop(), other.stop()])).toEqual([0, 0]);
    const { wrong, committed } = await counters.verdict();
    expect(wrong).toEqual([]);
    expect(committed).toBeGreaterThan(320);
    expect([one.alarms, other.alarms]).toEqual([0, 0]);
  });
});

describe('shards', () => {
  const [, variable, service] = SERVERS[0];

  function newRelay(url: string, leaseTtlMs: number): Relay {
    const relay = createRelay({ database: { url }, publisher: kafkajs({ brokers: BROKERS }), leaseTtlMs });
    onTestFinished(() => relay.stop());
    return relay;
  }

  it('are shared by a newcomer, and go back at once when it stops', async () => {
    const { url } = await serviceDatabase(variable, service);
    // Leases that nobody gives up last longer than the test.
    const [one, other] = [newRelay(url, 300_000), newRelay(url, 300_000)];
    await one.start();
    expect(one.status().shards).toHaveLength(16);
    await other.start();
    await vi.waitFor(() => expect([one.status().shards.length, other.status().shards.length]).toEqual([8, 8]), PATIENCE);
    expect(new Set([...one.status().shards, ...other.status().shards]).size).toBe(16);
    const { relays, shardsWithoutRelay } = await relayStatus(url, 300_000);
    expect(relays.map(({ id }) => id).sort()).toEqual([one.status().id, other.status().id].sort());
    expect(relays.map(({ shards }) => shards.length)).toEqual([8, 8]);
    expect(shardsWithoutRelay).toEqual([]);
    await other.stop();
    await vi.waitFor(() => expect(one.status().shards).toHaveLength(16), PATIENCE);
    expect((await relayStatus(url, 300_000)).relays.map(({ shards }) => shards.length)).toEqual([16]);
  });
});
