// A backlog of any size is published in bounded memory, and what does not move starves nobody (P-R2, P-R10). The database is real; the
// broker is not, so that it can be stopped where the test wants it.
import { defineEvent } from '@txbox/core';
import { bucketOf, type PublishRequest } from '@txbox/core/spi';
import { type RelayOptions, type RelayStatus } from '@txbox/relay';
import { MemoryLog, type PublishFaults } from '@txbox/testing';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { bareAdmin, newTopic } from '../faults/kafka-cluster.ts';
import { addNotes, type Note, PATIENCE, startRelay } from './note.ts';
import { RelayProcess } from './relay-process.ts';
import { SERVERS, type ServiceDatabase, serviceDatabase } from './service-database.ts';

const FULL = process.env['TXBOX_TEST_FULL'] === '1';
const [, variable, service] = SERVERS[0];
const MIB = 1_048_576;
/** Most bytes of unanswered requests beside those in memory. */
const IN_FLIGHT_BYTES = 16 * MIB;

/** Keys of each of the partitions. */
function keysOf(partition: number, partitions: number, count: number): string[] {
  const keys: string[] = [];
  for (let n = 0; keys.length < count; n++) if (bucketOf(Buffer.from(`key ${n}`), partitions) === partition) keys.push(`key ${n}`);
  return keys;
}

const bytesOf = ({ records }: PublishRequest): number => records.reduce((sum, { value }) => sum + (value?.length ?? 0), 0);

const LARGE = 900_000;

/** For each of the keys a large event and a small one behind it. */
async function addLarge(database: ServiceDatabase, topic: string, keys: number): Promise<void> {
  const Noted = defineEvent('noted', { topic, key: (note: Note) => note.key, maxBytes: MIB });
  for (let from = 0; from < keys; from += 10) {
    await database.outbox.transaction(async (tx) => {
      for (let n = from; n < from + 10; n++) {
        tx.add(Noted, { key: `key ${n}`, text: `${n} `.padEnd(LARGE, 'x') });
        tx.add(Noted, { key: `key ${n}`, text: `${n} small` });
      }
    });
  }
}

describe('a backlog', () => {
  it('of large events is read and sent within maxBytes and maxRows, small ones among them not held up', { timeout: 60_000 }, async () => {
    const ROWS = 60;
    const database = await serviceDatabase(variable, service);
    await addLarge(database, 'notes', ROWS);
    const texts = new Map<string, string[]>();
    const bounds = { maxBytes: 8 * MIB, maxRows: 200, pageRows: 50, maxRequests: 8 };
    let unanswered = 0;
    const most = { bytes: 0, rows: 0, unanswered: 0, request: 0 };
    const watch = ({ bytes, rows }: RelayStatus): void => {
      most.bytes = Math.max(most.bytes, bytes);
      most.rows = Math.max(most.rows, rows);
      most.unanswered = Math.max(most.unanswered, unanswered);
    };
    const log = new MemoryLog();
    log.createTopic('notes', 32);
    const publisher = Object.assign(log.publisher(), {
      publish: async (request: PublishRequest) => {
        unanswered += bytesOf(request);
        most.request = Math.max(most.request, bytesOf(request));
        watch(relay.status());
        // Others begin meanwhile.
        await new Promise((resolve) => setTimeout(resolve, 5));
        unanswered -= bytesOf(request);
        for (const { key, value } of request.records) {
          const { text } = JSON.parse(String(value)) as Note;
          texts.set(String(key), [...(texts.get(String(key)) ?? []), text.slice(0, 10).trim()]);
        }
        return { topic: request.topic, partition: request.partition, baseOffset: 0n };
      },
    });
    const relay = await startRelay(database, { publisher, ...bounds });
    for (const event of ['published', 'settled'] as const) relay.on(event, () => watch(relay.status()));
    await relay.whenIdle();
    expect([...texts.values()].flat()).toHaveLength(2 * ROWS);
    for (const [key, found] of texts) {
      const n = key.slice('key '.length);
      expect(found).toEqual([`${n} ${'x'.repeat(9 - n.length)}`, `${n} small`]);
    }
    expect(most.bytes).toBeLessThanOrEqual(bounds.maxBytes);
    expect(most.rows).toBeLessThanOrEqual(bounds.maxRows);
    expect(most.unanswered).toBeLessThanOrEqual(IN_FLIGHT_BYTES + MIB);
    // It did go side by side.
    expect(most.unanswered).toBeGreaterThan(4 * LARGE);
    expect(most.request).toBeLessThan(MIB);
  });

  if (FULL)
    it('of large events, far more than fits its memory, is published by a process that does not grow with it', async () => {
      const ROWS = 800;
      const database = await serviceDatabase(variable, service);
      const topic = await newTopic(await bareAdmin(), 12);
      await addLarge(database, topic, ROWS);
      const relay = await RelayProcess.start(database.url, 10_000);
      await vi.waitFor(async () => expect(await database.pending()).toBeLessThan(ROWS), { timeout: 120_000, interval: 50 });
      const half = await relay.mostResidentMib();
      await vi.waitFor(async () => expect(await database.pending()).toBe(0), { timeout: 120_000, interval: 50 });
      const whole = await relay.mostResidentMib();
      console.info(`resident at most: ${half} MiB after half of the backlog, ${whole} MiB after all of it`);
      expect(whole).toBeLessThan((6 / 5) * half + 16);
      expect(whole).toBeLessThan((ROWS * LARGE) / MIB / 1.5);
      expect(await relay.stop()).toBe(0);
    }, 300_000);
});

describe('what does not move', () => {
  const STUCK = 2_000;
  const BOUNDS = { maxRows: 400, pageRows: 100, batchRows: 50, retry: { baseMs: 20, capMs: 200 } } satisfies Partial<RelayOptions>;

  /** Far more than memory takes of what cannot be published, and in between and behind it what can. */
  async function fill(database: ServiceDatabase, stuck: { topic: string; keys: string[] }, free: { topic: string; keys: string[] }) {
    const note = (keys: string[], n: number): Note => ({ key: keys[n % keys.length] as string, text: `${n}` });
    for (let from = 0; from < STUCK; from += 500) {
      await addNotes(database, stuck.topic, ...Array.from({ length: 500 }, (_, n) => note(stuck.keys, from + n)));
      await addNotes(database, free.topic, ...Array.from({ length: 50 }, (_, n) => note(free.keys, from / 10 + n)));
    }
  }

  /** Texts of each key in the order in which they came; the log of a partition. */
  function publishedOf(log: MemoryLog, topic: string): Map<string, string[]> {
    const byKey = Map.groupBy(log.readAll(topic), ({ key }) => String(key));
    return new Map([...byKey].map(([key, records]) => [key, records.map(({ value }) => (JSON.parse(String(value)) as Note).text)]));
  }

  function expectAll(found: Map<string, string[]>, keys: string[], count: number): void {
    for (const [index, key] of keys.entries()) {
      const expected = Array.from({ length: count }, (_, n) => n).filter((n) => n % keys.length === index);
      expect(found.get(key)).toEqual(expected.map(String));
    }
  }

  async function run(
    faults: PublishFaults,
    topics: { stuck: string; free: string; stuckKeys?: string[] },
    log: MemoryLog,
    heal: () => void,
  ): Promise<void> {
    const database = await serviceDatabase(variable, service);
    const stuck = { topic: topics.stuck, keys: topics.stuckKeys ?? keysOf(0, 2, 8) };
    const free = { topic: topics.free, keys: keysOf(1, 2, 8) };
    await fill(database, stuck, free);
    const relay = await startRelay(database, { publisher: log.publisher({ faults }), ...BOUNDS });
    let most = 0;
    relay.on('published', () => {
      most = Math.max(most, relay.status().rows);
    });
    await vi.waitFor(() => expect(relay.status().settled).toBe(STUCK / 10), PATIENCE);
    expectAll(publishedOf(log, free.topic), free.keys, STUCK / 10);
    await addNotes(database, free.topic, ...free.keys.map((key) => ({ key, text: 'later' })));
    await vi.waitFor(() => expect(relay.status().settled).toBe(STUCK / 10 + free.keys.length), PATIENCE);
    expect(await database.pending()).toBe(STUCK);
    expect(most).toBeLessThanOrEqual(BOUNDS.maxRows);
    heal();
    await relay.whenIdle();
    expectAll(publishedOf(log, stuck.topic), stuck.keys, STUCK);
    expect(relay.status()).toMatchObject({ held: [], orderAlarms: 0 });
    expect(relay.status().rows).toBe(0);
  }

  if (FULL)
    it('a topic that is gone: others flow, and it follows in order when it is there', async () => {
      const log = new MemoryLog();
      log.createTopic('free', 2);
      await run({}, { stuck: 'gone', free: 'free' }, log, () => log.createTopic('gone', 2));
    });

  if (FULL)
    it('a partition that fails, as one without a leader does: the others flow', async () => {
      const log = new MemoryLog();
      log.createTopic('notes', 2);
      let failing = true;
      const before = ({ partition }: PublishRequest): void => {
        if (failing && partition === 0) throw new Error('no leader');
      };
      await run({ before }, { stuck: 'notes', free: 'notes' }, log, () => {
        failing = false;
      });
    });

  if (FULL)
    it('a partition that does not answer: the others flow', async () => {
      const log = new MemoryLog();
      log.createTopic('notes', 2);
      const answer = Promise.withResolvers<void>();
      onTestFinished(() => answer.resolve());
      const before = ({ partition }: PublishRequest): Promise<void> | undefined => (partition === 0 ? answer.promise : undefined);
      await run({ before }, { stuck: 'notes', free: 'notes' }, log, () => answer.resolve());
    });

  /** Together their requests are larger than the memory. */
  const MANY = 16;
  const manyKeys = Array.from({ length: MANY }, (_, partition) => keysOf(partition, MANY, 1)).flat();

  it('many partitions that fail: others flow', async () => {
    const log = new MemoryLog();
    log.createTopic('many', MANY);
    log.createTopic('free', 2);
    let failing = true;
    const before = ({ topic }: PublishRequest): void => {
      if (failing && topic === 'many') throw new Error('no leader');
    };
    await run({ before }, { stuck: 'many', free: 'free', stuckKeys: manyKeys }, log, () => {
      failing = false;
    });
  });

  it('many partitions that do not answer: others flow', async () => {
    const log = new MemoryLog();
    log.createTopic('many', MANY);
    log.createTopic('free', 2);
    const answer = Promise.withResolvers<void>();
    onTestFinished(() => answer.resolve());
    const before = ({ topic }: PublishRequest): Promise<void> | undefined => (topic === 'many' ? answer.promise : undefined);
    await run({ before }, { stuck: 'many', free: 'free', stuckKeys: manyKeys }, log, () => answer.resolve());
  });
});
