import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { defineEvent } from '@txbox/core';
import { type Database, leaseStore, type OwnedSession, openDatabase, type SqlRow, type SqlValue } from '@txbox/core/spi';
import { createOutbox, type SqliteOutbox } from '@txbox/outbox/sqlite';
import { SHARD_SCOPE, SHARDS } from '@txbox/outbox/store';
import { createRelay, type Relay, type RelayOptions } from '@txbox/relay';
import { MemoryLog, type PublishFaults } from '@txbox/testing';
import Sqlite from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const Noted = defineEvent('noted', { topic: 'notes', key: () => 'k' });
const RETRY = { baseMs: 1, capMs: 5 };

let folder: string;
let url: string;
let database: Sqlite.Database;
let outbox: SqliteOutbox;
let log: MemoryLog;
let relays: Relay[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'txbox-relay-'));
  url = `sqlite:${join(folder, 'service.db')}`;
  database = new Sqlite(join(folder, 'service.db'));
  outbox = createOutbox({ database });
  await outbox.migrate();
  log = new MemoryLog();
  log.createTopic('notes', 2);
  relays = [];
});

afterEach(async () => {
  await Promise.all(relays.map((relay) => relay.stop({ graceMs: 0 })));
  await outbox.close();
  database.close();
  await rm(folder, { recursive: true });
});

function newRelay(options: Partial<RelayOptions> & { readonly faults?: PublishFaults } = {}): Relay {
  const { faults = {}, ...others } = options;
  const relay = createRelay({ database: { url }, publisher: log.publisher({ faults }), retry: RETRY, pollMinMs: 1, ...others });
  relays.push(relay);
  return relay;
}

async function add(...texts: readonly string[]): Promise<void> {
  await outbox.transaction(async (tx) => {
    for (const text of texts) tx.add(Noted, text as never);
  });
}

/** The same database; what it answers to a page is given away when `hook` has ended. */
function afterPages(opened: Database, hook: () => Promise<void>): Database {
  const session = async (options?: { readonly dirty?: boolean }): Promise<OwnedSession> => {
    const inner = await opened.session(options);
    const query = async (sql: string, values?: readonly SqlValue[]): Promise<SqlRow[]> => {
      const rows = await inner.query(sql, values);
      if (sql.includes('payload')) await hook();
      return rows;
    };
    return {
      dialect: inner.dialect,
      query,
      execute: (sql, values) => inner.execute(sql, values),
      begin: () => inner.begin(),
      commit: () => inner.commit(),
      rollback: () => inner.rollback(),
      release: () => inner.release(),
      destroy: () => inner.destroy(),
    };
  };
  return { dialect: opened.dialect, description: opened.description, session, close: () => opened.close() };
}

const published = (): string[] => log.readAll('notes').map(({ value }) => JSON.parse(String(value)) as string);
const pending = (): number => (database.prepare('SELECT count(*) AS n FROM txbox_outbox').get() as { n: number }).n;

describe('runOnce', () => {
  it('publishes and settles what is committed, gives its shards up, and may be called again', async () => {
    await add('a', 'b', 'c');
    const relay = newRelay();
    expect(await relay.runOnce()).toBe(3);
    expect(published()).toEqual(['a', 'b', 'c']);
    expect(pending()).toBe(0);
    expect(await relay.runOnce()).toBe(0);
    await add('d');
    // Another relay finds the shards free.
    expect(await newRelay().runOnce()).toBe(1);
  });

  it('is one run for all who call it meanwhile, and may be followed by start', async () => {
    await add('a');
    const relay = newRelay();
    expect(await Promise.all([relay.runOnce(), relay.runOnce()])).toEqual([1, 1]);
    await relay.start();
    await add('b');
    await relay.whenIdle();
    expect(relay.status()).toMatchObject({ published: 2, settled: 2 });
  });

  it('ends early when nothing is left but what a failure holds', async () => {
    await add('a', 'b');
    const relay = newRelay({
      faults: {
        before: () => {
          throw new Error('no');
        },
      },
    });
    expect(await relay.runOnce()).toBe(0);
    expect(pending()).toBe(2);
  });

  it('is refused once the relay was started', async () => {
    const relay = newRelay();
    await relay.start();
    await expect(relay.runOnce()).rejects.toMatchObject({ code: 'ALREADY_STARTED' });
  });

  it('is ended by stop, which waits for the answer to what is on its way', async () => {
    await add('a');
    const asked = Promise.withResolvers<void>();
    const answered = Promise.withResolvers<void>();
    const relay = newRelay({
      faults: {
        after: () => {
          asked.resolve();
          return answered.promise;
        },
      },
    });
    const running = relay.runOnce();
    await asked.promise;
    const stopped = relay.stop();
    answered.resolve();
    await stopped;
    expect(await running).toBe(1);
    expect(pending()).toBe(0);
  });

  it('ends when stop comes while it begins', async () => {
    await add('a');
    const relay = newRelay();
    const running = relay.runOnce();
    await relay.stop();
    await running;
    expect(relay.status()).toMatchObject({ state: 'stopped', id: undefined, shards: [] });
    // It holds no shard: the next one gets them all.
    const other = newRelay();
    await other.start();
    expect(other.status().shards).toHaveLength(16);
  });
});

describe('start beside runOnce', () => {
  it('waits for the single run, which is refused from then on', async () => {
    await add('a');
    const relay = newRelay();
    const running = relay.runOnce();
    const started = relay.start();
    await expect(relay.runOnce()).rejects.toMatchObject({ code: 'ALREADY_STARTED' });
    expect(await running).toBe(1);
    await started;
    expect(relay.status()).toMatchObject({ state: 'running', published: 1 });
  });

  it('and stop at once end both', async () => {
    const relay = newRelay();
    const running = relay.runOnce();
    const started = expect(relay.start()).rejects.toMatchObject({ code: 'STOPPED' });
    await relay.stop();
    await started;
    await running;
    expect(relay.status()).toMatchObject({ state: 'stopped', id: undefined });
  });
});

describe('whenIdle', () => {
  it('rejects with STOPPED unless the relay runs', async () => {
    const relay = newRelay();
    await expect(relay.whenIdle()).rejects.toMatchObject({ code: 'STOPPED' });
    await relay.start();
    await relay.stop();
    await expect(relay.whenIdle()).rejects.toMatchObject({ code: 'STOPPED' });
  });

  it('resolves when everything committed before is published and settled, also when called while the relay starts', async () => {
    await add('a', 'b');
    const relay = newRelay();
    const started = relay.start();
    await relay.whenIdle();
    expect([published(), pending()]).toEqual([['a', 'b'], 0]);
    await started;
    for (let n = 0; n < 20; n++) {
      await add(`${n}`);
      await relay.whenIdle();
      expect([published().length, pending()]).toEqual([3 + n, 0]);
    }
  });

  it('waits for what lies in the shards of a relay that died, and publishes it when its leases expire', async () => {
    const opened = await openDatabase({ url });
    const leases = leaseStore(opened);
    await leases.ensure(SHARD_SCOPE, SHARDS);
    await leases.take(SHARD_SCOPE, [...Array(SHARDS).keys()], randomBytes(16), 600);
    await add('a', 'b');
    const relay = newRelay({ leaseTtlMs: 600 });
    await relay.start();
    await relay.whenIdle();
    expect([published(), pending()]).toEqual([['a', 'b'], 0]);
    await opened.close();
  });

  it('waits for what another relay has to publish', async () => {
    const answer = Promise.withResolvers<void>();
    const other = newRelay({ faults: { before: () => answer.promise } });
    await other.start();
    await add('a');
    const relay = newRelay();
    await relay.start();
    let idle = false;
    const whenIdle = relay.whenIdle().then(() => {
      idle = true;
    });
    while (other.status().rows === 0) await new Promise((resolve) => setImmediate(resolve));
    expect([idle, pending()]).toEqual([false, 1]);
    answer.resolve();
    await whenIdle;
    expect([published(), pending()]).toEqual([['a'], 0]);
  });

  it('resolves under events that never cease', async () => {
    const relay = newRelay();
    await relay.start();
    let writing = true;
    const writer = (async () => {
      while (writing) await add('x');
    })();
    await relay.whenIdle();
    await relay.whenIdle();
    writing = false;
    await writer;
  });

  it('waits as long as a failure holds something', async () => {
    let refused = 0;
    const relay = newRelay({
      faults: {
        before: () => {
          refused += 1;
          if (refused <= 5) throw new Error('not yet');
        },
      },
    });
    await relay.start();
    await add('a', 'b');
    await relay.whenIdle();
    expect(refused).toBe(6);
    expect(relay.status()).toMatchObject({ published: 2, settled: 2, failedRequests: 5, held: [] });
  });

  it('resolves also when a read that ends last still showed what is settled', async () => {
    const answer = Promise.withResolvers<void>();
    const reading = Promise.withResolvers<void>();
    const shown = Promise.withResolvers<void>();
    let gated = false;
    let pages = 0;
    const opened = await openDatabase({ url });
    const relay = newRelay({
      database: afterPages(opened, async () => {
        pages += 1;
        if (!gated) return;
        reading.resolve();
        await shown.promise;
      }),
      faults: { after: () => answer.promise },
    });
    await relay.start();
    await add('a');
    while (relay.status().rows === 0) await new Promise((resolve) => setImmediate(resolve));
    let idle = false;
    const whenIdle = relay.whenIdle().then(() => {
      idle = true;
    });
    // Its own read has begun and ended before the one that is kept waiting.
    const enough = pages + 3;
    while (pages < enough) await new Promise((resolve) => setImmediate(resolve));
    gated = true;
    await reading.promise;
    const settled = new Promise<void>((resolve) => void relay.on('settled', () => resolve()));
    answer.resolve();
    await settled;
    expect(idle).toBe(false);
    shown.resolve();
    await whenIdle;
    await relay.stop();
    await opened.close();
  });

  it('rejects with STOPPED when the relay is stopped meanwhile', async () => {
    const asked = Promise.withResolvers<void>();
    const relay = newRelay({
      faults: {
        before: () => {
          asked.resolve();
          throw new Error('no');
        },
      },
    });
    await relay.start();
    await add('a');
    const idle = relay.whenIdle();
    await asked.promise;
    const refused = expect(idle).rejects.toMatchObject({ code: 'STOPPED' });
    await relay.stop();
    await refused;
  });
});

describe('stop', () => {
  it('before start is for good', async () => {
    const relay = newRelay();
    await relay.stop();
    await expect(relay.start()).rejects.toMatchObject({ code: 'STOPPED' });
    expect(relay.status().state).toBe('stopped');
  });

  it('may be called twice, also at once', async () => {
    await add('a');
    const relay = newRelay();
    await relay.start();
    await relay.whenIdle();
    await Promise.all([relay.stop(), relay.stop()]);
    await relay.stop();
    expect(relay.status()).toMatchObject({ state: 'stopped', shards: [], published: 1, settled: 1 });
  });

  it('during start makes start reject and leaves every shard free', async () => {
    const relay = newRelay();
    const started = expect(relay.start()).rejects.toMatchObject({ code: 'STOPPED' });
    await relay.stop();
    await started;
    const other = newRelay();
    await other.start();
    expect(other.status().shards).toHaveLength(16);
  });

  it('waits for the answer to what is on its way and settles it: the next relay publishes nothing twice', async () => {
    await add('a', 'b');
    const asked = Promise.withResolvers<void>();
    const answered = Promise.withResolvers<void>();
    const relay = newRelay({
      faults: {
        after: () => {
          asked.resolve();
          return answered.promise;
        },
      },
    });
    await relay.start();
    await asked.promise;
    const stopped = relay.stop();
    answered.resolve();
    await stopped;
    expect(pending()).toBe(0);
    expect(await newRelay().runOnce()).toBe(0);
    expect(published()).toEqual(['a', 'b']);
  });

  it('gives up waiting when the grace is over, releases its shards, and loses nothing', async () => {
    await add('a');
    const asked = Promise.withResolvers<void>();
    const relay = newRelay({
      faults: {
        before: () => {
          asked.resolve();
          return new Promise(() => undefined);
        },
      },
    });
    await relay.start();
    await asked.promise;
    await relay.stop({ graceMs: 0 });
    expect(pending()).toBe(1);
    expect(await newRelay().runOnce()).toBe(1);
    expect(published()).toEqual(['a']);
  });

  it('is what `await using` does at the end', async () => {
    let seen: Relay;
    {
      await using relay = newRelay();
      await relay.start();
      seen = relay;
    }
    expect(seen.status().state).toBe('stopped');
  });
});

describe('start', () => {
  it('again gives the same start', async () => {
    const relay = newRelay();
    await Promise.all([relay.start(), relay.start()]);
    await relay.start();
    expect(relay.status().shards).toHaveLength(16);
  });

  it('may be called again after it failed', async () => {
    database.exec('ALTER TABLE txbox_meta RENAME TO hidden');
    const relay = newRelay();
    await expect(relay.start()).rejects.toMatchObject({ code: 'SCHEMA_MISSING' });
    expect(relay.status().state).toBe('idle');
    database.exec('ALTER TABLE hidden RENAME TO txbox_meta');
    await add('a');
    await relay.start();
    await relay.whenIdle();
    expect(published()).toEqual(['a']);
  });
});

describe('events', () => {
  it('tell of shards, messages and holds; a listener that throws harms nobody, one that ended hears nothing', async () => {
    const heard: string[] = [];
    let refuse = true;
    const relay = newRelay({
      faults: {
        before: () => {
          if (refuse) throw new Error('no');
        },
      },
    });
    const off = relay.on('published', () => heard.push('never'));
    off();
    relay.on('published', () => {
      throw new Error('mine');
    });
    relay.on('shard-acquired', () => heard.push('acquired'));
    relay.on('held', () => {
      refuse = false;
      heard.push('held');
    });
    relay.on('recovered', () => heard.push('recovered'));
    relay.on('published', ({ messages }) => heard.push(`published ${messages}`));
    relay.on('settled', ({ messages }) => heard.push(`settled ${messages}`));
    relay.on('shard-released', ({ why }) => heard.push(why));
    await relay.start();
    await add('a', 'b');
    await relay.whenIdle();
    await relay.stop();
    const shards = (what: string): string[] => Array.from({ length: 16 }, () => what);
    expect(heard).toEqual([...shards('acquired'), 'held', 'recovered', 'published 2', 'settled 2', ...shards('stopped')]);
  });
});
