// `txbox relay` as operators run it: a process, signals, exit codes (P-R13).
import { expect, it, vi } from 'vitest';
import { bareAdmin, newTopic } from '../faults/kafka-cluster.ts';
import { Counters } from './counter.ts';
import { TxboxCommands } from './relay-command.ts';
import type { PrintedStatus } from './relay-status.ts';
import { SERVERS, serviceDatabase } from './service-database.ts';

const [, variable, service] = SERVERS[0];

it.each([
  ['kafkajs', [150, 350], 500],
  ['platformatic', [150], 300],
] as const)(
  'relay start (%s), ended by SIGTERM in mid-run and started again, leaves no duplicate in the topic',
  async (kind, stops, enoughOf) => {
    const database = await serviceDatabase(variable, service);
    const counters = await Counters.create(database, await newTopic(await bareAdmin(), 6), 20);
    const txbox = await TxboxCommands.create(database.url, {}, { kind });
    let relay = txbox.spawn('relay', 'start');
    await relay.says('relay: running');
    const enough = new AbortController();
    const { signal } = enough;
    const writing = counters.raise({ seed: 3, writers: 6, transactions: signal, counters: 20, slow: 0.01, rolledBack: 0.1 });
    for (const done of stops) {
      await counters.until(done);
      relay.signal('SIGTERM');
      expect(await relay.end()).toBe(0);
      relay = txbox.spawn('relay', 'start');
      await relay.says('relay: running');
    }
    await counters.until(enoughOf);
    enough.abort();
    await writing;
    await vi.waitFor(async () => expect(await database.pending()).toBe(0), { timeout: 20_000, interval: 50 });
    relay.signal('SIGTERM');
    expect(await relay.end()).toBe(0);
    // Such as of timers that are set to less than nothing.
    expect(relay.stderr).not.toContain('Warning');
    const { wrong, committed, duplicates } = await counters.verdict();
    expect(wrong).toEqual([]);
    expect(duplicates).toBe(0);
    expect(committed).toBeGreaterThan(0.8 * enoughOf);
  },
);

it('relay status --json prints one object: what waits and who publishes it', async () => {
  const database = await serviceDatabase(variable, service);
  const counters = await Counters.create(database, await newTopic(await bareAdmin()), 5);
  await counters.raise({ seed: 4, writers: 1, transactions: 10, counters: 5, slow: 0, rolledBack: 0 });
  const txbox = await TxboxCommands.create(database.url);
  const status = txbox.spawn('relay', 'status', '--json');
  expect(await status.end()).toBe(0);
  const { pending, relays, shardsWithoutRelay } = JSON.parse(status.stdout) as PrintedStatus;
  expect(pending.rows).toBe(10);
  expect(relays).toEqual([]);
  expect(shardsWithoutRelay).toHaveLength(16);
});
