import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { defineEvent } from '@txbox/core';
import { type Database, leaseStore, openDatabase, TxboxError } from '@txbox/core/spi';
import { createOutbox, type SqliteOutbox } from '@txbox/outbox/sqlite';
import { SHARD_SCOPE, SHARDS } from '@txbox/outbox/store';
import { createRelay, type Relay, type RelayOptions, type RelayWatch, watchRelay } from '@txbox/relay';
import { MemoryLog, type PublishFaults } from '@txbox/testing';
import Sqlite from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

const Noted = defineEvent('noted', { topic: 'notes', key: (note: { readonly key: string }) => note.key });
const PATIENCE = { timeout: 10_000, interval: 5 };

let folder: string;
let url: string;
let database: Sqlite.Database;
let outbox: SqliteOutbox;
let log: MemoryLog;
let ends: (() => Promise<unknown>)[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'txbox-watch-'));
  url = `sqlite:${join(folder, 'service.db')}`;
  database = new Sqlite(join(folder, 'service.db'));
  outbox = createOutbox({ database });
  await outbox.migrate();
  log = new MemoryLog();
  log.createTopic('notes', 2);
  ends = [];
});

afterEach(async () => {
  for (const end of ends.toReversed()) await end();
  await outbox.close();
  database.close();
  await rm(folder, { recursive: true });
});

interface Watched {
  readonly relay: Relay;
  readonly watch: RelayWatch;
  readonly url: string;
}

async function watched(options: Partial<RelayOptions> & { readonly faults?: PublishFaults } = {}): Promise<Watched> {
  const { faults = {}, ...others } = options;
  const retry = { baseMs: 1, capMs: 5 };
  const relay = createRelay({ database: { url }, publisher: log.publisher({ faults }), retry, pollMinMs: 1, ...others });
  const watch = watchRelay(relay, { port: 0 });
  ends.push(
    () => watch.close(),
    () => relay.stop({ graceMs: 0 }),
  );
  const { url: base } = await watch.listen();
  return { relay, watch, url: base };
}

async function add(...keys: readonly string[]): Promise<void> {
  await outbox.transaction(async (tx) => {
    for (const key of keys) tx.add(Noted, { key });
  });
}

interface Ready {
  readonly ready: boolean;
  readonly state: string;
  readonly reasons: readonly { readonly code: string; readonly message: string }[];
}

async function readiness(base: string): Promise<{ readonly status: number; readonly body: Ready }> {
  const response = await fetch(`${base}/health/ready`);
  return { status: response.status, body: (await response.json()) as Ready };
}

const codesOf = async (base: string): Promise<string[]> => (await readiness(base)).body.reasons.map(({ code }) => code);

function readingOf(text: string, series: string): number | undefined {
  const line = text.split('\n').find((each) => each.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length + 1));
}

describe('health', () => {
  it('is live and not ready before the start, ready while it runs, neither after the stop', async () => {
    const { relay, url: base } = await watched();
    expect((await fetch(`${base}/health/live`)).status).toBe(200);
    expect(await readiness(base)).toMatchObject({ status: 503, body: { ready: false, state: 'idle', reasons: [{ code: 'not-running' }] } });
    await relay.start();
    expect(await readiness(base)).toMatchObject({ status: 200, body: { ready: true, state: 'running', shards: 16, reasons: [] } });
    await relay.stop();
    expect(await readiness(base)).toMatchObject({ status: 503, body: { state: 'stopped', reasons: [{ code: 'not-running' }] } });
    expect((await fetch(`${base}/health/live`)).status).toBe(503);
  });

  it('says why the last start failed', async () => {
    const { relay, url: base } = await watched({ tablePrefix: 'other_' });
    await expect(relay.start()).rejects.toMatchObject({ code: 'SCHEMA_MISSING' });
    const { body } = await readiness(base);
    expect(body.reasons).toMatchObject([{ code: 'not-running', message: expect.stringContaining('SCHEMA_MISSING') as string }]);
    expect((await fetch(`${base}/health/live`)).status).toBe(200);
  });

  it('is live and not ready while it stops, until what is on its way is answered', async () => {
    const asked = Promise.withResolvers<void>();
    const answer = Promise.withResolvers<void>();
    const after = (): Promise<void> => {
      asked.resolve();
      return answer.promise;
    };
    const { relay, url: base } = await watched({ faults: { after } });
    await relay.start();
    await add('a');
    await asked.promise;
    const stopped = relay.stop();
    expect(await readiness(base)).toMatchObject({ status: 503, body: { state: 'stopping', reasons: [{ code: 'not-running' }] } });
    expect((await fetch(`${base}/health/live`)).status).toBe(200);
    answer.resolve();
    await stopped;
  });

  it('is not ready while all that it has to publish is held, and is again when it moves', async () => {
    let away = true;
    const before = (): void => {
      if (away) throw new TxboxError('BROKER_UNAVAILABLE', 'no broker');
    };
    const { relay, url: base } = await watched({ faults: { before } });
    await relay.start();
    await add('a', 'b', 'c', 'd');
    await vi.waitFor(async () => expect(await codesOf(base)).toEqual(['nothing-moves']), PATIENCE);
    const { body } = await readiness(base);
    expect(body.reasons[0]?.message).toContain('BROKER_UNAVAILABLE: no broker');
    away = false;
    await relay.whenIdle();
    expect(await codesOf(base)).toEqual([]);
  });

  it('is ready while only some of it is held', async () => {
    const Elsewhere = defineEvent('elsewhere', { topic: 'missing', key: () => 'k' });
    let held = Promise.withResolvers<void>();
    const { relay, url: base } = await watched({
      faults: { before: ({ topic }) => (topic === 'notes' ? held.promise : undefined) },
    });
    await relay.start();
    await outbox.transaction(async (tx) => tx.add(Elsewhere, null as never));
    await vi.waitFor(async () => expect(await codesOf(base)).toEqual(['nothing-moves']), PATIENCE);
    const moved = held;
    held = Promise.withResolvers();
    await add('a');
    // The request is on its way, and not late yet.
    await vi.waitFor(async () => expect(await codesOf(base)).toEqual([]), PATIENCE);
    held.resolve();
    moved.resolve();
  });

  it('is not ready once leases cannot be renewed', async () => {
    const opened = await openDatabase({ url });
    ends.push(() => opened.close());
    let away = false;
    const refuse = (): void => {
      if (away) throw new TxboxError('DATABASE_UNAVAILABLE', 'away');
    };
    const cut: Database = {
      dialect: opened.dialect,
      description: opened.description,
      close: () => opened.close(),
      session: async (options) => {
        refuse();
        const session = await opened.session(options);
        return new Proxy(session, {
          get: (target, name) => {
            if (name === 'query' || name === 'execute') refuse();
            const value: unknown = Reflect.get(target, name, target);
            return typeof value === 'function' ? (value.bind(target) as unknown) : value;
          },
        });
      },
    };
    const { relay, url: base } = await watched({ database: cut, leaseTtlMs: 300 });
    await relay.start();
    expect(await codesOf(base)).toEqual([]);
    away = true;
    await vi.waitFor(async () => expect(await codesOf(base)).toEqual(['leases-not-trusted']), PATIENCE);
    away = false;
    await vi.waitFor(async () => expect(await codesOf(base)).toEqual([]), PATIENCE);
  });

  it('is not ready while others hold all shards', async () => {
    const opened = await openDatabase({ url });
    ends.push(() => opened.close());
    const leases = leaseStore(opened);
    await leases.ensure(SHARD_SCOPE, SHARDS);
    const other = randomBytes(16);
    const epochs = new Map<number, number>();
    for (let slot = 0; slot < SHARDS; slot++) {
      epochs.set(slot, (await leases.take(SHARD_SCOPE, [slot], other, 15_000))[0]?.epoch as number);
    }
    const { relay, url: base } = await watched();
    await relay.start();
    expect(await codesOf(base)).toEqual(['no-shards']);
    for (const [slot, epoch] of epochs) await leases.release({ scope: SHARD_SCOPE, slot }, other, epoch);
    await vi.waitFor(async () => expect(await codesOf(base)).toEqual([]), PATIENCE);
  });
});

describe('the server', () => {
  it('takes GET and HEAD of its paths and nothing else', async () => {
    const { url: base } = await watched();
    for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
      const response = await fetch(`${base}/metrics`, { method });
      expect(response.status).toBe(405);
      expect(response.headers.get('allow')).toBe('GET, HEAD');
    }
    for (const path of ['/', '/metrics/', '/health', '/health/live/..%2f', '//metrics'])
      expect((await fetch(`${base}${path}`)).status).toBe(404);
    const head = await fetch(`${base}/metrics?a=b`, { method: 'HEAD' });
    expect(head.status).toBe(200);
    expect(await head.text()).toBe('');
    expect(head.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
  });

  it('answers an address that is no URL with 404', async () => {
    const { watch } = await watched();
    const { promise, resolve, reject } = Promise.withResolvers<number | undefined>();
    const asking = request({ port: watch.address?.port, host: '127.0.0.1', path: 'http://[', method: 'GET' }, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    asking.once('error', reject);
    asking.end();
    expect(await promise).toBe(404);
  });

  it('listens on the loopback unless told otherwise', async () => {
    const { watch } = await watched();
    expect(watch.address?.host).toBe('127.0.0.1');
  });

  it('refuses an address that is taken, and unknown options', async () => {
    const { relay, watch } = await watched();
    const second = watchRelay(relay, { port: watch.address?.port as number });
    ends.push(() => second.close());
    await expect(second.listen()).rejects.toMatchObject({ code: 'ADDRESS_UNAVAILABLE', retryable: true });
    expect(() => watchRelay(relay, { port: 70_000, hots: 'x' } as never)).toThrow(
      /port must be .*unknown option hots|unknown option hots.*port/,
    );
  });
});

describe('/metrics', () => {
  it('counts what was published and settled, by topic', async () => {
    const { relay, watch } = await watched();
    await relay.start();
    await add('a', 'b', 'c');
    await relay.whenIdle();
    const text = await watch.metrics();
    expect(readingOf(text, 'txbox_relay_published_events_total{topic="notes"}')).toBe(3);
    expect(readingOf(text, 'txbox_relay_settled_events_total')).toBe(3);
    expect(readingOf(text, 'txbox_relay_shards')).toBe(16);
    expect(readingOf(text, 'txbox_relay_shard_changes_total{change="acquired"}')).toBe(16);
    expect(readingOf(text, 'txbox_relay_ready')).toBe(1);
    expect(readingOf(text, 'txbox_relay_send_duration_seconds_count{outcome="acknowledged"}')).toBeGreaterThan(0);
    expect(readingOf(text, 'txbox_relay_settle_duration_seconds_count')).toBeGreaterThan(0);
    expect(readingOf(text, 'txbox_relay_order_alarms_total')).toBe(0);
    expect(readingOf(text, 'txbox_relay_oldest_unsent_event_age_seconds')).toBe(0);
  });

  it('shows what waits, how long, and what is held', async () => {
    const before = (): void => {
      throw new TxboxError('BROKER_UNAVAILABLE', 'no broker');
    };
    await add('a', 'a', 'a');
    database.prepare("UPDATE txbox_outbox SET created_at = datetime('now', '-90 seconds')").run();
    const { relay, watch } = await watched({ faults: { before } });
    await relay.start();
    await vi.waitFor(() => expect(relay.status().held).toMatchObject([{ rows: 3 }]), PATIENCE);
    const text = await watch.metrics();
    const [shard] = (database.prepare('SELECT DISTINCT shard FROM txbox_outbox').all() as { shard: number }[]).map((row) => row.shard);
    expect(readingOf(text, 'txbox_relay_oldest_unsent_event_age_seconds')).toBeGreaterThan(88);
    expect(readingOf(text, `txbox_relay_shard_lag_seconds{shard="${shard}"}`)).toBeGreaterThan(88);
    expect(readingOf(text, `txbox_relay_pending_events{shard="${shard}"}`)).toBe(3);
    expect(readingOf(text, `txbox_relay_pending_events{shard="${((shard ?? 0) + 1) % 16}"}`)).toBe(0);
    expect(readingOf(text, `txbox_relay_pending_bytes{shard="${shard}"}`)).toBeGreaterThan(0);
    expect(readingOf(text, 'txbox_relay_held_lanes{topic="notes"}')).toBe(1);
    expect(readingOf(text, 'txbox_relay_held_events{topic="notes"}')).toBe(3);
    expect(readingOf(text, 'txbox_relay_retried_events_total{topic="notes",kind="transient"}')).toBeGreaterThanOrEqual(3);
    expect(readingOf(text, 'txbox_relay_holds_total{topic="notes",kind="transient"}')).toBeGreaterThanOrEqual(1);
    expect(readingOf(text, 'txbox_relay_send_duration_seconds_count{outcome="failed"}')).toBeGreaterThanOrEqual(1);
    expect(readingOf(text, 'txbox_relay_memory_events')).toBe(3);
  });

  it('shows parked keys and dead letters', async () => {
    const before = (): void => {
      throw new TxboxError('PUBLISH_REJECTED', 'too large');
    };
    await add('a', 'a');
    const { relay, watch } = await watched({ faults: { before } });
    await relay.start();
    await vi.waitFor(() => expect(database.prepare('SELECT count(*) AS n FROM txbox_outbox').get()).toEqual({ n: 0 }), PATIENCE);
    const text = await watch.metrics();
    expect(readingOf(text, 'txbox_relay_parked_events_total{topic="notes"}')).toBe(1);
    expect(readingOf(text, 'txbox_relay_followed_events_total{topic="notes"}')).toBe(1);
    expect(readingOf(text, 'txbox_relay_parked_keys')).toBe(1);
    expect(readingOf(text, 'txbox_relay_dead_letters')).toBe(2);
  });

  it('asks the database once, however often it is scraped, and shows how old the answer is', async () => {
    const { relay, watch } = await watched();
    await relay.start();
    await watch.metrics();
    await add('a');
    const asked = vi.spyOn(relay, 'backlog');
    const texts = await Promise.all(Array.from({ length: 20 }, () => watch.metrics()));
    expect(asked).not.toHaveBeenCalled();
    for (const text of texts) expect(readingOf(text, 'txbox_relay_backlog_read_age_seconds')).toBeLessThan(10);
  });

  it('answers while the database does not', async () => {
    const { relay, watch } = await watched();
    await relay.start();
    vi.spyOn(relay, 'backlog').mockRejectedValue(new TxboxError('DATABASE_UNAVAILABLE', 'away'));
    const text = await watch.metrics();
    expect(text).toContain('txbox_relay_backlog_read_age_seconds NaN');
    expect(readingOf(text, 'txbox_relay_shards')).toBe(16);
  });
});

it('a blocked event loop is noticed by the relay itself, and nothing is sent under old leases', async () => {
  const warned: object[] = [];
  const said = { debug: () => undefined, info: () => undefined, warn: (fields: object) => warned.push(fields), error: () => undefined };
  const { relay, watch } = await watched({ leaseTtlMs: 300, logger: said });
  await relay.start();
  const { promise, resolve } = Promise.withResolvers<{ readonly blockedMs: number; readonly leasesTrusted: boolean }>();
  relay.on('event-loop-blocked', resolve);
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 700);
  const { blockedMs } = await promise;
  expect(blockedMs).toBeGreaterThan(500);
  expect(warned).toContainEqual(expect.objectContaining({ blockedMs }));
  const text = await watch.metrics();
  expect(readingOf(text, 'txbox_relay_event_loop_blocks_total')).toBeGreaterThanOrEqual(1);
  expect(readingOf(text, 'txbox_relay_event_loop_delay_seconds_count')).toBeGreaterThanOrEqual(1);
  await vi.waitFor(() => expect(relay.readiness().ready).toBe(true), PATIENCE);
});
