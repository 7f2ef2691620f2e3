import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { defineEvent } from '@txbox/core';
import { type Database, type OwnedSession, openDatabase, type Publisher } from '@txbox/core/spi';
import { createOutbox } from '@txbox/outbox/sqlite';
import { createRelay } from '@txbox/relay';
import { MemoryLog } from '@txbox/testing';
import Sqlite from 'better-sqlite3';
import { expect, it, onTestFinished } from 'vitest';

const TTL_MS = 300;
const Noted = defineEvent('noted', { topic: 'notes', key: () => 'k' });

it('a relay whose process was blocked for longer than its leases are trusted sends nothing before it has renewed them (P-R8)', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'txbox-relay-'));
  const file = new Sqlite(join(folder, 'service.db'));
  const outbox = createOutbox({ database: file });
  await outbox.migrate();
  const happened: ('published' | 'blocked' | 'renewed')[] = [];
  const log = new MemoryLog();
  log.createTopic('notes', 1);
  const database = await openDatabase({ url: `sqlite:${join(folder, 'service.db')}` });
  const relay = createRelay({
    database: onRenewal(database, () => happened.push('renewed')),
    publisher: onPublish(log.publisher(), () => {
      happened.push('published');
      // Somewhere in the middle, so that there are rows in memory.
      if (happened.filter((what) => what === 'published').length !== 10) return;
      block(TTL_MS);
      happened.push('blocked');
    }),
    leaseTtlMs: TTL_MS,
    batchRows: 1,
  });
  onTestFinished(async () => {
    await relay.stop();
    await database.close();
    await outbox.close();
    file.close();
    await rm(folder, { recursive: true });
  });
  await outbox.transaction(async (tx) => {
    for (let n = 0; n < 50; n++) tx.add(Noted, n as never);
  });
  await relay.start();
  await relay.whenIdle();
  const after = happened.slice(happened.indexOf('blocked') + 1);
  expect(after[0]).toBe('renewed');
  expect(after.filter((what) => what === 'published')).toHaveLength(40);
});

/** As garbage collection or a long computation does. */
function block(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

function onPublish(publisher: Publisher, hook: () => void): Publisher {
  const publish = publisher.publish.bind(publisher);
  return Object.assign(publisher, {
    publish: (request: Parameters<typeof publish>[0]) => {
      hook();
      return publish(request);
    },
  });
}

/** The same database; calls `hook` when leases were prolonged. */
function onRenewal(database: Database, hook: () => void): Database {
  return Object.assign(Object.create(database) as Database, {
    session: async (options?: { readonly dirty?: boolean }): Promise<OwnedSession> => {
      const session = await database.session(options);
      const execute = session.execute.bind(session);
      const hooked: OwnedSession = Object.create(session);
      return Object.assign(hooked, {
        query: session.query.bind(session),
        execute: async (sql: string, values?: Parameters<typeof execute>[1]) => {
          const result = await execute(sql, values);
          if (/UPDATE \S*lease\W+SET expires_at/.test(sql)) hook();
          return result;
        },
        begin: session.begin.bind(session),
        commit: session.commit.bind(session),
        rollback: session.rollback.bind(session),
        release: session.release.bind(session),
        destroy: session.destroy.bind(session),
      });
    },
    close: database.close.bind(database),
  });
}
