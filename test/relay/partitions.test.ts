// `txbox partitions` on real servers (P-R12): a topic gets more partitions while services write and consumers read.
import { type Consumer, Kafka, logLevel } from 'kafkajs';
import { expect, it, onTestFinished, vi } from 'vitest';
import { BROKERS, bareAdmin, newTopic } from '../faults/kafka-cluster.ts';
import { Counters, type Raised } from './counter.ts';
import { addNotes, PATIENCE } from './note.ts';
import { TxboxCommands } from './relay-command.ts';
import { SERVERS, serviceDatabase } from './service-database.ts';

const FULL = process.env['TXBOX_TEST_FULL'] === '1';
/** With these a request is given up after seven seconds, so a topic is held for seventeen. */
const QUICK = { connectionTimeoutMs: 500, requestTimeoutMs: 500 };

/** A consumer group that reads the topic from its beginning, keeps what it sees in `seen`, and then stores the offset. */
async function consumerOf(topic: string, seen: Raised[]): Promise<{ readonly consumer: Consumer; readonly group: string }> {
  const group = `${topic}-group`;
  const consumer = new Kafka({ brokers: BROKERS, logLevel: logLevel.NOTHING }).consumer({ groupId: group, metadataMaxAge: 1_000 });
  onTestFinished(() => consumer.disconnect());
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  await consumer.run({
    eachMessage: async ({ message }) => void seen.push(JSON.parse(String(message.value)) as Raised),
    autoCommitInterval: 500,
  });
  return { consumer, group };
}

it('looks before it changes anything, and refuses by name', async () => {
  const [, variable, service] = SERVERS[0];
  const database = await serviceDatabase(variable, service);
  const admin = await bareAdmin();
  const topic = await newTopic(admin, 2);
  const commands = await TxboxCommands.create(database.url, {}, { publisher: QUICK });
  await addNotes(database, topic, { key: 'a', text: '1' });
  expect((await commands.json('partitions', 'grow', '--topic', topic, '--to', '4', '--without-groups')).stderr).toContain(
    'no count is pinned',
  );
  const relay = commands.spawn('relay', 'start');
  await vi.waitFor(async () => expect(await database.pending()).toBe(0), PATIENCE);
  const { json } = await commands.json('partitions', 'list');
  expect(json).toEqual({ topics: [{ topic, partitions: 2, generation: 1, switching: null, broker: 2 }] });
  const refused = await commands.json('partitions', 'grow', '--topic', topic, '--to', '4', '--groups', 'nobody');
  expect(refused.code).toBe(1);
  expect(refused.stderr).toMatch(/GROW_REFUSED/);
  expect(refused.stderr).toMatch(/the broker has 2 partitions.*--create.*group nobody has stored no offset/);
  const look = await commands.json('partitions', 'grow', '--topic', topic, '--to', '4', '--without-groups', '--create', '--dry-run');
  expect(look.stderr).toBe('');
  expect(look).toMatchObject({ code: 0, json: { dryRun: true, topic, partitions: 2, to: 4, broker: 2, heldForMs: 17_000 } });
  expect((await commands.json('partitions', 'list')).json).toEqual(json);
  relay.signal('SIGTERM');
  expect(await relay.end()).toBe(0);
});

it.each(FULL ? SERVERS : [])(
  'a topic grows from 2 to 5 partitions under load on %s, killed half-way and gone on with, and a consumer sees each key in order',
  async (_name, variable, service) => {
    const database = await serviceDatabase(variable, service);
    const topic = await newTopic(await bareAdmin(), 2);
    const counters = await Counters.create(database, topic, 40);
    const commands = await TxboxCommands.create(database.url, {}, { publisher: QUICK });
    const relays = [commands.spawn('relay', 'start'), commands.spawn('relay', 'start')];
    for (const relay of relays) await relay.says('relay: running');
    const seen: Raised[] = [];
    const { group } = await consumerOf(topic, seen);
    const enough = new AbortController();
    const writing = counters.raise({ seed: 12, writers: 6, transactions: enough.signal, counters: 40, slow: 0.02, rolledBack: 0.1 });
    await counters.until(300);
    await vi.waitFor(() => expect(seen.length).toBeGreaterThan(0), PATIENCE);
    const words = ['partitions', 'grow', '--topic', topic, '--actor', 'test'];
    const first = commands.spawn(...words, '--to', '5', '--groups', group, '--create');
    await first.says('the old partitions have their end in');
    await first.kill();
    // One relay is killed while the topic is held, and another begins.
    await relays[0]?.kill();
    relays[0] = commands.spawn('relay', 'start');
    const again = await commands.json(...words);
    expect(again).toMatchObject({ code: 0, json: { grown: true, partitions: 5, generation: 2, switching: null } });
    const grownAt = counters.done;
    await counters.until(grownAt + 300);
    enough.abort();
    await writing;
    await vi.waitFor(async () => expect(await database.pending()).toBe(0), { timeout: 60_000, interval: 100 });
    const committed = (await counters.verdict([])).committed;
    await vi.waitFor(() => expect(new Set(seen.map(({ attempt }) => attempt)).size).toBe(committed), { timeout: 60_000, interval: 100 });
    expect((await counters.verdict(seen)).wrong).toEqual([]);
    const audit = await database.rows('SELECT action, actor FROM txbox_audit ORDER BY id');
    expect(audit.map(({ action, actor }) => [action, actor])).toEqual([
      ['grow-begin', 'test'],
      ['grow-end', 'test'],
    ]);
    for (const relay of relays) relay.signal('SIGTERM');
    for (const relay of relays) expect(await relay.end()).toBe(0);
  },
  180_000,
);
