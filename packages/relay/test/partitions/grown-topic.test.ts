// What a running relay does while a topic is switched to more partitions (P-R12).
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { defineEvent } from '@txbox/core';
import { bucketOf, type Database, type OwnedSession, openDatabase, type PublishRequest } from '@txbox/core/spi';
import { createOutbox, type SqliteOutbox } from '@txbox/outbox/sqlite';
import { type OutboxStore, outboxStore, type TopicPin } from '@txbox/outbox/store';
import { createRelay, type Relay } from '@txbox/relay';
import { MemoryLog, type PublishFaults } from '@txbox/testing';
import Sqlite from 'better-sqlite3';
import { afterEach, beforeEach, expect, it, onTestFinished, vi } from 'vitest';

const TOPIC = 'notes';
const KEYS = ['a', 'b', 'c', 'd', 'e', 'f'];
const Noted = defineEvent('noted', { topic: TOPIC, key: (text: string) => text.slice(0, 1) });
/** Renewed, and pins looked at, every 100 ms. */
const LEASE_TTL_MS = 300;

let folder: string;
let database: Sqlite.Database;
let opened: Database;
let store: OutboxStore;
let outbox: SqliteOutbox;
let log: MemoryLog;
let faults: PublishFaults;
let relay: Relay;
let held: string[];
let recovered: string[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'txbox-grown-'));
  const file = join(folder, 'service.db');
  database = new Sqlite(file);
  outbox = createOutbox({ database });
  await outbox.migrate();
  opened = await openDatabase({ url: `sqlite:${file}` });
  store = outboxStore(opened);
  log = new MemoryLog();
  log.createTopic(TOPIC, 5);
  // Two when it was first published to.
  await store.pin(TOPIC, 2);
  faults = {};
  held = [];
  recovered = [];
  const proxy: PublishFaults = { before: (request) => faults.before?.(request), after: (request) => faults.after?.(request) };
  const publisher = log.publisher({ faults: proxy });
  relay = createRelay({
    database: { url: `sqlite:${file}` },
    publisher,
    leaseTtlMs: LEASE_TTL_MS,
    retry: { baseMs: 1, capMs: 5 },
    pollMinMs: 1,
    pollMaxMs: 20,
    pageRows: 10,
    maxRows: 40,
  });
  relay.on('recovered', ({ topic }) => recovered.push(topic));
  relay.on('held', ({ topic, reason }) => held.push(`${topic} ${reason.code}`));
});

afterEach(async () => {
  await relay.stop({ graceMs: 0 });
  await opened.close();
  await outbox.close();
  database.close();
  await rm(folder, { recursive: true });
});

async function add(from: number, to: number): Promise<void> {
  for (let n = from; n <= to; n++) {
    await outbox.transaction(async (tx) => {
      for (const key of KEYS) tx.add(Noted, `${key}${n}`);
    });
  }
}

async function change(next: (pin: TopicPin) => Partial<TopicPin>): Promise<void> {
  const [pin] = await store.pins();
  if (!pin) throw new Error('no pin');
  expect(await store.changePin(pin, { ...pin, ...next(pin) })).toBe(true);
}
const begin = (): Promise<void> => change(() => ({ switching: { partitions: 5, groups: [], since: null, offsets: null } }));
const end = (): Promise<void> => change(({ generation }) => ({ partitions: 5, generation: generation + 1, switching: null }));

/** First occurrences of a key's events, those of the old partition first, as consumers see them that waited. */
function seenOf(key: string): string[] {
  const records = log.readAll(TOPIC).filter((record) => String(record.key) === key);
  const [old, fresh] = [2, 5].map((count) => records.filter(({ partition }) => partition === bucketOf(Buffer.from(key), count)));
  return [...new Set([...(old ?? []), ...(fresh ?? [])].map(({ value }) => JSON.parse(String(value)) as string))];
}
const all = (key: string, last: number): string[] => Array.from({ length: last }, (_, n) => `${key}${n + 1}`);
const size = (): number => log.readAll(TOPIC).length;

it('nothing is sent while a topic is switched, and all of it by the new count afterwards, each key in order', async () => {
  await relay.start();
  await add(1, 5);
  await relay.whenIdle();
  await begin();
  await vi.waitFor(() => expect(held).toContain(`${TOPIC} TOPIC_SWITCHING`));
  const before = size();
  expect(log.readAll(TOPIC).every(({ partition }) => partition < 2)).toBe(true);
  // More than memory holds of a topic that does not move.
  await add(6, 40);
  await vi.waitFor(() => expect(relay.status().rows).toBeGreaterThan(0));
  expect(relay.status().held).toMatchObject([{ topic: TOPIC, code: 'TOPIC_SWITCHING' }]);
  expect(size()).toBe(before);
  await end();
  await relay.whenIdle();
  for (const key of KEYS) expect(seenOf(key)).toEqual(all(key, 40));
  const fresh = log.readAll(TOPIC).filter(({ key, partition, value }) => {
    const text = JSON.parse(String(value)) as string;
    return Number(text.slice(1)) > 5 && partition !== bucketOf(key as Buffer, 5);
  });
  expect(fresh).toEqual([]);
  expect(relay.status()).toMatchObject({ held: [], orderAlarms: 0 });
});

it('a switch that is given up leaves everything where it was', async () => {
  await add(1, 3);
  await begin();
  await relay.start();
  await add(4, 9);
  await vi.waitFor(() => expect(relay.status().held).toMatchObject([{ code: 'TOPIC_SWITCHING' }]));
  expect(size()).toBe(0);
  await change(() => ({ switching: null }));
  await relay.whenIdle();
  for (const key of KEYS) expect(seenOf(key)).toEqual(all(key, 9));
  expect(log.readAll(TOPIC).every(({ partition }) => partition < 2)).toBe(true);
});

it('a request without an answer is sent again by the old count until it is answered, and only then the new one counts', async () => {
  const answers = Promise.withResolvers<void>();
  let asked: PublishRequest | undefined;
  faults.after = async (request) => {
    asked = request;
    await answers.promise;
  };
  await add(1, 2);
  await relay.start();
  await vi.waitFor(() => expect(asked).toBeDefined());
  await begin();
  await vi.waitFor(() => expect(held).toContain(`${TOPIC} TOPIC_SWITCHING`));
  await end();
  await add(3, 4);
  await vi.waitFor(() => expect(recovered).toContain(TOPIC));
  expect(log.readAll(TOPIC).every(({ partition }) => partition < 2)).toBe(true);
  faults = {};
  answers.resolve();
  await relay.whenIdle();
  for (const key of KEYS) expect(seenOf(key)).toEqual(all(key, 4));
});

/** The same database; payloads that a page left out are given away when `hook` has ended. */
function beforePayloads(hook: () => Promise<void>): Database {
  const session = async (options?: { readonly dirty?: boolean }): Promise<OwnedSession> => {
    const inner = await opened.session(options);
    return {
      dialect: inner.dialect,
      query: async (sql, values) => {
        const rows = await inner.query(sql, values);
        if (sql.startsWith('SELECT position, id, payload ')) await hook();
        return rows;
      },
      execute: (sql, values) => inner.execute(sql, values),
      begin: () => inner.begin(),
      commit: () => inner.commit(),
      rollback: () => inner.rollback(),
      release: () => inner.release(),
      destroy: () => inner.destroy(),
    };
  };
  return { dialect: opened.dialect, description: opened.description, session, close: () => Promise.resolve() };
}

it('sends nothing whose payload was being loaded when the topic was held', async () => {
  const asked = Promise.withResolvers<void>();
  const given = Promise.withResolvers<void>();
  const slow = createRelay({
    database: beforePayloads(async () => {
      asked.resolve();
      await given.promise;
    }),
    publisher: log.publisher(),
    leaseTtlMs: LEASE_TTL_MS,
    retry: { baseMs: 1, capMs: 5 },
    pollMinMs: 1,
    pollMaxMs: 20,
    // So that the event does not come with its page.
    maxBytes: 10_000,
  });
  onTestFinished(() => slow.stop({ graceMs: 0 }));
  const isHeld = Promise.withResolvers<void>();
  slow.on('held', () => isHeld.resolve());
  await outbox.transaction(async (tx) => void tx.add(Noted, `a${'x'.repeat(5_000)}`));
  await slow.start();
  await asked.promise;
  const [pin] = await store.pins();
  if (!pin) expect.fail('nothing is pinned');
  const switching = { ...pin, switching: { partitions: 5, groups: [], since: null, offsets: null } };
  expect(await store.changePin(pin, switching)).toBe(true);
  await isHeld.promise;
  given.resolve();
  await vi.waitFor(() => expect(slow.status().failedRequests).toBe(1));
  expect(log.readAll(TOPIC)).toEqual([]);
  expect(await store.changePin(switching, pin)).toBe(true);
  await slow.whenIdle();
  expect(log.readAll(TOPIC)).toHaveLength(1);
});
