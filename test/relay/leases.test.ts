// Shards among relay processes that come, go, are killed and sleep (P-R8). How fast this is, is tested on a clock moved by hand in
// packages/relay/test/shard-leases.test.ts.
import { SHARD_SCOPE } from '@txbox/outbox/store';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { bareAdmin, newTopic } from '../faults/kafka-cluster.ts';
import { Counters } from './counter.ts';
import { RelayProcess } from './relay-process.ts';
import { SERVERS, type ServiceDatabase, serviceDatabase } from './service-database.ts';

const LEASE_TTL_MS = 1_500;
const PATIENCE = { timeout: 25_000, interval: 20 };
const TEST_MS = 60_000;

const HELD = `SELECT HEX(owner) AS owner, COUNT(*) AS shards FROM txbox_lease
  WHERE scope = '${SHARD_SCOPE}' AND owner IS NOT NULL AND expires_at > UTC_TIMESTAMP(6) GROUP BY owner`;

/** How many shards each relay holds by the database's own clock, most first. */
const sharesOf = async (database: ServiceDatabase): Promise<number[]> =>
  (await database.rows(HELD)).map(({ shards }) => Number(shards)).sort((a, b) => b - a);

describe.each(SERVERS)('shards of relay processes on %s', { timeout: TEST_MS }, (_name, variable, service) => {
  it('are balanced among one, two and three, and move on a crash and on a leave', async () => {
    const database = await serviceDatabase(variable, service);
    const shared = (shares: number[]): Promise<unknown> =>
      vi.waitFor(async () => expect(await sharesOf(database)).toEqual(shares), PATIENCE);
    const one = await RelayProcess.start(database.url, LEASE_TTL_MS);
    await shared([16]);
    const two = await RelayProcess.start(database.url, LEASE_TTL_MS);
    await shared([8, 8]);
    const three = await RelayProcess.start(database.url, LEASE_TTL_MS);
    await shared([6, 5, 5]);
    await three.kill();
    await shared([8, 8]);
    expect(await two.stop()).toBe(0);
    await shared([16]);
    expect(await one.stop()).toBe(0);
    expect(await sharesOf(database)).toEqual([]);
    expect(await database.rows('SELECT id FROM txbox_relay')).toHaveLength(1);
  });

  it('are taken from a relay that sleeps past its leases; awake, it loses them, breaks no order and gets its share again', async () => {
    const database = await serviceDatabase(variable, service);
    const counters = await Counters.create(database, await newTopic(await bareAdmin(), 6), 20);
    const [sleeper, other] = [await RelayProcess.start(database.url, LEASE_TTL_MS), await RelayProcess.start(database.url, LEASE_TTL_MS)];
    await vi.waitFor(async () => expect(await sharesOf(database)).toEqual([8, 8]), PATIENCE);
    const enough = new AbortController();
    const writing = counters.raise({ seed: 8, writers: 6, transactions: enough.signal, counters: 20, slow: 0.02, rolledBack: 0.1 });
    onTestFinished(() => enough.abort());
    await counters.until(60);
    sleeper.pause();
    await vi.waitFor(async () => expect(await sharesOf(database)).toEqual([16]), PATIENCE);
    await counters.until(counters.done + 60);
    sleeper.resume();
    await vi.waitFor(async () => expect(await sharesOf(database)).toEqual([8, 8]), PATIENCE);
    expect(sleeper.lost).toBeGreaterThanOrEqual(8);
    enough.abort();
    await writing;
    await vi.waitFor(async () => expect(await database.pending()).toBe(0), PATIENCE);
    expect(await Promise.all([sleeper.stop(), other.stop()])).toEqual([0, 0]);
    const { wrong, committed } = await counters.verdict();
    expect(wrong).toEqual([]);
    expect(committed).toBeGreaterThan(90);
    expect([sleeper.alarms, other.alarms]).toEqual([0, 0]);
  });
});
