// Broker or database away, at the start and in mid-run: nothing is lost, and work goes on by itself.
import { kafkajs } from '@txbox/kafka/kafkajs';
import { createRelay, type Relay, type RelayEvents, type RelayOptions } from '@txbox/relay';
import { createConnection, type RowDataPacket } from 'mysql2/promise';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { backendUrl } from '../conformance/backend-url.ts';
import { BROKERS, bareAdmin, newTopic, proxiedBroker } from '../faults/kafka-cluster.ts';
import { FaultProxy } from '../faults/proxy.ts';
import { Counters } from './counter.ts';
import { addNotes, PATIENCE, startRelay, textsIn } from './note.ts';
import { SERVERS, serviceDatabase } from './service-database.ts';

const LISTENER = 2;
const [, variable, service] = SERVERS[0];
const RETRY = { baseMs: 20, capMs: 200 };
const FAST = { connectionTimeoutMs: 1_000, requestTimeoutMs: 2_000 };

function newRelay(url: string, options: Partial<RelayOptions> = {}): Relay {
  const relay = createRelay({ database: { url }, publisher: kafkajs({ brokers: BROKERS }), retry: RETRY, ...options });
  onTestFinished(() => relay.stop());
  return relay;
}

function next<Name extends keyof RelayEvents>(
  relay: Relay,
  name: Name,
  matches: (event: RelayEvents[Name]) => boolean = () => true,
): Promise<RelayEvents[Name]> {
  return new Promise((resolve) => {
    const end = relay.on(name, (event) => {
      if (!matches(event)) return;
      end();
      resolve(event);
    });
  });
}

describe('a broker that is away', () => {
  it('at the start is BROKER_UNAVAILABLE; nothing is lost, and start may be called again', async () => {
    const database = await serviceDatabase(variable, service);
    const topic = await newTopic(await bareAdmin());
    const { proxy, brokers } = await proxiedBroker(LISTENER);
    const relay = newRelay(database.url, { publisher: kafkajs({ brokers, ...FAST }) });
    await addNotes(database, topic, { key: 'a', text: 'one' }, { key: 'a', text: 'two' });
    await proxy.refuse();
    await expect(relay.start()).rejects.toMatchObject({ code: 'BROKER_UNAVAILABLE' });
    await expect(relay.runOnce()).rejects.toMatchObject({ code: 'BROKER_UNAVAILABLE' });
    expect(relay.status()).toMatchObject({ state: 'idle', id: undefined, shards: [], published: 0 });
    expect(await database.pending()).toBe(2);
    await proxy.heal();
    await relay.start();
    await relay.whenIdle();
    expect(await textsIn(topic)).toEqual(['one', 'two']);
  });

  it('in mid-run is held visibly; what was committed meanwhile follows in order', async () => {
    const database = await serviceDatabase(variable, service);
    const topic = await newTopic(await bareAdmin(), 2);
    const counters = await Counters.create(database, topic, 4);
    const { proxy, brokers } = await proxiedBroker(LISTENER);
    const relay = await startRelay(database, { publisher: kafkajs({ brokers, ...FAST }), retry: RETRY });
    const writing = counters.raise({ seed: 5, writers: 3, transactions: 200, counters: 4, slow: 0, rolledBack: 0.1 });
    await next(relay, 'published');
    const held = next(relay, 'held');
    await proxy.refuse();
    proxy.cut();
    expect((await held).reason).toMatchObject({ kind: 'transient', code: expect.stringMatching(/BROKER_UNAVAILABLE|PUBLISH_UNKNOWN/) });
    expect(relay.status().held.length).toBeGreaterThan(0);
    await writing;
    expect(await database.pending()).toBeGreaterThan(0);
    await proxy.heal();
    await relay.whenIdle();
    expect(relay.status().held).toEqual([]);
    expect((await counters.verdict()).wrong).toEqual([]);
  });
});

describe('a database that is away', () => {
  async function proxiedDatabase(url: string): Promise<{ readonly proxy: FaultProxy; readonly proxiedUrl: string }> {
    const { hostname, port } = new URL(url);
    const proxy = await FaultProxy.start({ target: `${hostname}:${port}` });
    onTestFinished(() => proxy.close());
    return { proxy, proxiedUrl: Object.assign(new URL(url), { host: proxy.address }).href };
  }

  it('at the start is DATABASE_UNAVAILABLE, and start may be called again', async () => {
    const database = await serviceDatabase(variable, service);
    const topic = await newTopic(await bareAdmin());
    const { proxy, proxiedUrl } = await proxiedDatabase(database.url);
    const relay = newRelay(proxiedUrl);
    await addNotes(database, topic, { key: 'a', text: 'one' });
    await proxy.refuse();
    await expect(relay.start()).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' });
    expect(relay.status().state).toBe('idle');
    await proxy.heal();
    await relay.start();
    await relay.whenIdle();
    expect(await textsIn(topic)).toEqual(['one']);
  });

  it('in mid-run, for longer than its leases last: work goes on when it is back', async () => {
    const database = await serviceDatabase(variable, service);
    const topic = await newTopic(await bareAdmin(), 2);
    const counters = await Counters.create(database, topic, 4);
    const { proxy, proxiedUrl } = await proxiedDatabase(database.url);
    const relay = newRelay(proxiedUrl, { leaseTtlMs: 600 });
    await relay.start();
    const failed = next(relay, 'failed', ({ what }) => what === 'lease');
    const writing = counters.raise({ seed: 6, writers: 3, transactions: 200, counters: 4, slow: 0, rolledBack: 0.1 });
    await next(relay, 'published');
    await proxy.refuse();
    proxy.cut();
    expect((await failed).code).toBe('DATABASE_UNAVAILABLE');
    await vi.waitFor(
      async () => expect(await database.rows('SELECT 1 FROM txbox_lease WHERE expires_at > UTC_TIMESTAMP(6)')).toEqual([]),
      PATIENCE,
    );
    await writing;
    await proxy.heal();
    await vi.waitFor(async () => expect(await database.pending()).toBe(0), PATIENCE);
    const { wrong } = await counters.verdict();
    expect(wrong).toEqual([]);
    expect(relay.status()).toMatchObject({ orderAlarms: 0, state: 'running' });
  });
});

it.each(SERVERS)('connections that %s kills in mid-run are replaced; nothing is lost, doubled or out of order', async (_name, at, name) => {
  const database = await serviceDatabase(at, name);
  const counters = await Counters.create(database, await newTopic(await bareAdmin(), 4), 10);
  const admin = await createConnection(backendUrl(at, name).replace(/^mariadb:/, 'mysql:'));
  onTestFinished(() => admin.end());
  const connections = async (): Promise<number[]> => {
    const [rows] = await admin.query<RowDataPacket[]>('SELECT id FROM information_schema.processlist WHERE db = ?', [
      new URL(database.url).pathname.slice(1),
    ]);
    return rows.map((row) => Number(row['id']));
  };
  // The writers' own connections are open before the relay's.
  const writers = 4;
  const held = await Promise.all(Array.from({ length: writers }, () => database.pool.getConnection()));
  for (const connection of held) connection.release();
  const own = new Set(await connections());
  const relay = newRelay(database.url);
  await relay.start();
  const writing = counters.raise({ seed: 7, writers, transactions: 240, counters: 10, slow: 0.01, rolledBack: 0.1 });
  for (const done of [60, 120, 180]) {
    await counters.until(done);
    const killed = await vi.waitFor(async () => {
      const found = (await connections()).filter((id) => !own.has(id));
      expect(found.length).toBeGreaterThan(0);
      return found;
    }, PATIENCE);
    for (const id of killed) await admin.query(`KILL ${id}`).catch(() => undefined);
  }
  await writing;
  await vi.waitFor(async () => expect(await database.pending()).toBe(0), PATIENCE);
  const { wrong, duplicates } = await counters.verdict();
  expect(wrong).toEqual([]);
  expect(duplicates).toBe(0);
  expect(relay.status().orderAlarms).toBe(0);
});

describe('a schema that does not fit', () => {
  it('is SCHEMA_MISSING when there is none, and start works once it is installed', async () => {
    const database = await serviceDatabase(variable, service, { migrated: false });
    const relay = newRelay(database.url);
    await expect(relay.start()).rejects.toMatchObject({ code: 'SCHEMA_MISSING' });
    await database.outbox.migrate();
    await relay.start();
    expect(relay.status().shards).toHaveLength(16);
  });

  it.each(['core', 'outbox'])('is SCHEMA_TOO_NEW when component %s needs newer code', async (component) => {
    const database = await serviceDatabase(variable, service);
    await database.rows('UPDATE txbox_meta SET min_code_version = 9999 WHERE component = ?', [component]);
    const relay = newRelay(database.url);
    await expect(relay.start()).rejects.toMatchObject({ code: 'SCHEMA_TOO_NEW' });
    await expect(relay.runOnce()).rejects.toMatchObject({ code: 'SCHEMA_TOO_NEW' });
  });
});
