import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { embedded, embeddedAdmin, embeddedSource } from '@txbox/embedded';
import type { Inbox } from '@txbox/inbox';
import { createInbox, type SqliteHandlerContext } from '@txbox/inbox/sqlite';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Paid, recordOf } from './topic-log.ts';

describe('inbox of a SQLite database on the embedded log', () => {
  let folder: string;
  let database: Database.Database;
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'txbox-inbox-embedded-'));
    database = new Database(join(folder, 'billing.db'));
    database.exec('CREATE TABLE effects (seq INTEGER PRIMARY KEY AUTOINCREMENT, value TEXT NOT NULL)');
    const admin = embeddedAdmin({ path: join(folder, 'log.db') });
    await admin.createTopic('orders', { partitions: 4 });
    await admin.close();
  });
  afterEach(() => {
    database.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const consumer = async (): Promise<Inbox<SqliteHandlerContext>> => {
    const inbox = createInbox({ database, group: 'billing', source: embeddedSource({ path: join(folder, 'log.db') }), batchSize: 10 });
    inbox.on(Paid, ({ id }, ctx) => void ctx.database.prepare('INSERT INTO effects (value) VALUES (?)').run(id));
    await inbox.migrate();
    return inbox;
  };

  it('stopped in mid-run, sees no applied message again; another goes on in order', async () => {
    const publisher = embedded({ path: join(folder, 'log.db') });
    const ids = Array.from({ length: 400 }, (_, n) => n);
    for (let partition = 0; partition < 4; partition++) {
      const records = ids.filter((n) => n % 4 === partition).map((n) => recordOf(Paid, { id: String(n) }));
      await publisher.publish({ topic: 'orders', partition, records });
    }
    await publisher.close();

    const first = await consumer();
    const began = new Promise((resolve) => first.events.on('applied', resolve));
    await first.start();
    await began;
    await first.stop();
    const { applied } = await first.status();
    expect(applied).toBeGreaterThan(0);
    expect(applied).toBeLessThan(400);

    const second = await consumer();
    await second.start();
    await second.whenCaughtUp();
    expect(await second.status()).toMatchObject({ applied: 400 - applied, duplicates: 0 });
    await second.stop();
    const effects = (database.prepare('SELECT value FROM effects ORDER BY seq').pluck().all() as string[]).map(Number);
    expect(effects.toSorted((a, b) => a - b)).toEqual(ids);
    for (let partition = 0; partition < 4; partition++) {
      const ofLane = effects.filter((n) => n % 4 === partition);
      expect(ofLane).toEqual(ofLane.toSorted((a, b) => a - b));
    }
  });
});
